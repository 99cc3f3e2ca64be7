"""The buttons under messages: clicks that come by Socket Mode, so that no port of driftd's need be open.

Each is acknowledged before anything else is done with it (Slack waits for three seconds), and answered to who clicked
alone. The connection is slack_sdk's own, which begins anew whenever it breaks or Slack asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

from slack_sdk.errors import SlackClientError
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from driftd.core.cards import Press
from driftd.core.clicks import Click
from driftd.core.errors import DriftdError, ProviderError
from driftd.edges.slack.blocks import ACTION, VALUE, safe
from driftd.edges.slack.calls import Api, read, told

SENTENCE = 3000
WORKERS = 2


class Buttons:
    """Hands each click to ``press`` and tells who clicked the sentence that it returns."""

    def __init__(self, api: Api, app_token_file: Path, press: Callable[[Click], str]) -> None:
        self._api = api
        self._file = app_token_file
        self._press = press
        self._client: SocketModeClient | None = None
        read(app_token_file)

    def tick(self) -> list[str]:
        """Connect where nothing is connected yet; why that failed. Raises DriftdError."""
        if self._client is None:
            token, web = read(self._file), self._api.client()
            made = SocketModeClient(token, web_client=web, concurrency=WORKERS)
            made.socket_mode_request_listeners.append(self._asked)
            try:
                # Asked here, since connect() would sleep for as long as Slack says, again and again.
                made.wss_uri = web.apps_connections_open(app_token=token)["url"]
                made.connect()
            except (SlackClientError, OSError, HTTPException, ValueError) as error:
                made.close()
                raise told("apps.connections.open", error) from None
            self._client = made
        elif not self._client.is_connected():
            self._client.app_token = read(self._file)  # it may have been renewed
            return ["Slack's buttons are not connected; driftd goes on trying"]
        return []

    @property
    def connected(self) -> bool:
        """Whether clicks can come."""
        return self._client is not None and self._client.is_connected()

    def close(self) -> None:
        """Take no more clicks."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _asked(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        if request.type != "interactive":
            return
        click = read_click(request.payload)
        if click is None:
            return
        try:
            said = self._press(click)
        except DriftdError as error:
            said = f"{error}; nothing is done"
        self._answer(click, said)

    def _answer(self, click: Click, said: str) -> None:
        channel, _, _ = click.ref.partition(":")
        text = safe(said, SENTENCE)
        block = {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}
        words = {"channel": channel, "user": click.user, "text": text, "blocks": [block], "parse": "none"}
        try:
            self._api.call("chat.postEphemeral", words)
        except ProviderError:
            return  # the card shows what is so; a sentence to one person is not worth a second try


def read_click(payload: Mapping[str, Any]) -> Click | None:
    """The click that ``payload`` tells of; None where it is none of ours, or cannot be read."""
    try:
        if payload["type"] != "block_actions":
            return None
        [action] = payload["actions"]
        name, value = str(action["action_id"]), str(action["value"])
        if not name.startswith(ACTION) or len(value) > VALUE:
            return None
        user, place = str(payload["user"]["id"]), payload["container"]
        said = json.loads(value)
        ref = f"{place['channel_id']}:{place['message_ts']}"
        return Click(
            id=f"{ref}/{name}/{user}/{action['action_ts']}",
            user=user,
            by=f"slack:{user}",
            press=Press(name.removeprefix(ACTION)),
            of=str(said["of"]),
            group=str(said["group"]),
            key=str(said["key"]),
            ref=ref,
            at=datetime.fromtimestamp(float(action["action_ts"]), UTC),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
