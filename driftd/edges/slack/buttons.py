"""The buttons under messages: clicks that come by Socket Mode, so that no port of driftd's need be open.

Each is acknowledged before anything else is done with it (Slack waits for three seconds), and answered to who clicked
alone. The connection is slack_sdk's own, which begins anew whenever it breaks or Slack asks for it. While there is
none, every tick fails with the reason, so that the job counts as failing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from slack_sdk import WebClient
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from driftd.core.cards import Press
from driftd.core.clicks import Click
from driftd.core.errors import DriftdError, ProviderError, Throttled, Unavailable
from driftd.edges.slack.blocks import ACTION, VALUE, safe
from driftd.edges.slack.calls import Api, read, told

SENTENCE = 3000
WORKERS = 2
# Slack allows a new connection about once a minute; where it does not say for how long to wait, this is enough.
THROTTLED_S = 30.0
_HINT = "see whether wss:// connections to Slack are let through (docs/notify.md); driftd goes on trying"


class _Link(SocketModeClient):
    """Slack's client, which is given each address to connect to, and tells what went wrong with one."""

    def __init__(self, web: WebClient, address: Callable[[], str], wrong: Callable[[Exception], None]) -> None:
        super().__init__("", web_client=web, concurrency=WORKERS, on_error_listeners=[wrong])
        self._address = address

    def issue_new_wss_url(self) -> str:
        """Its own would sleep for as long as Slack says, again and again."""
        return self._address()


class Buttons:
    """Hands each click to ``press`` and tells who clicked the sentence that it returns."""

    def __init__(self, api: Api, app_token_file: Path, press: Callable[[Click], str]) -> None:
        self._api = api
        self._file = app_token_file
        self._press = press
        self._client: SocketModeClient | None = None
        self._why: DriftdError | None = None
        self._not_before = 0.0
        read(app_token_file)

    def tick(self) -> list[str]:
        """Connect where nothing was connected yet. Raises DriftdError for as long as no click can come."""
        if self._client is None:
            where = self._address()
            self._client = _Link(self._api.client(), self._address, self._wrong)
            self._client.socket_mode_request_listeners.append(self._asked)
            self._client.wss_uri = where
            self._client.connect()
        if not self.connected:
            why = self._why or Unavailable("Slack's buttons are not connected: none can be pressed", _HINT)
            raise why.with_traceback(None)
        self._why = None
        return []

    def _address(self) -> str:
        """Where to connect to this time. Raises DriftdError, and remembers it: slack_sdk tells nobody."""
        if time.monotonic() < self._not_before and self._why is not None:
            raise self._why.with_traceback(None)
        try:
            found = self._api.place(read(self._file))  # it may have been renewed
        except DriftdError as error:
            self._why = error
            if isinstance(error, Throttled):
                self._not_before = time.monotonic() + (error.retry_after_s or THROTTLED_S)
            raise
        self._why = None
        return found

    def _wrong(self, error: Exception) -> None:
        self._why = Unavailable(str(told("the connection of its buttons", error)), _HINT)

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
