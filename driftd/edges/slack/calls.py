"""Calls of Slack's Web API by slack_sdk, with its errors told in ours; and the tokens, each from a file."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import urllib.error
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from driftd.core.errors import BadInput, NotFound, ProviderError, Refused, Throttled, Unavailable, Unreached
from driftd.secretfiles import token

try:
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError, SlackClientError
    from slack_sdk.web import SlackResponse
except ImportError:
    raise BadInput(
        "notify.slack needs the Python package slack_sdk, which is not installed",
        "install driftd with its extra: pip install 'driftd[slack]'",
    ) from None

TOKEN_LIMIT = 4096
_CODE = re.compile(r"[a-z_]{1,60}")
_GONE = {"message_not_found", "thread_not_found", "cant_update_message", "edit_window_closed"}
_NEVER = {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text"} | {
    "invalid_arguments",
    "invalid_attachments",
    "cannot_reply_to_message",
}
_PERHAPS = {"fatal_error", "internal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
_HINTS = {
    "channel_not_found": "name the channel by its id (C…), and invite the app: /invite @driftd",
    "not_in_channel": "invite the app to the channel: /invite @driftd",
    "is_archived": "the channel is archived: name another one",
    "missing_scope": "give the app the scopes that docs/notify.md names, and install it anew",
}
_TOKEN_HINT = "see whether the token is this app's and still good (docs/notify.md)"  # noqa: S105  # a sentence


class Api:
    """One workspace's API, at ``url``. The token in ``token_file`` is read for every call, to be renewed; it goes
    over TLS or to this machine, and into no sentence. Raises BadInput for what cannot be asked.
    """

    def __init__(self, token_file: Path, *, url: str, timeout_s: float) -> None:
        parts = urllib.parse.urlsplit(url)
        loopback = parts.hostname in {"127.0.0.1", "::1", "localhost"}
        if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
            raise BadInput(f"Slack's token would go to {url!r} in clear", "use https")
        self._url = url.rstrip("/") + "/"
        self._file = token_file
        self._timeout_s = timeout_s
        read(token_file)

    def client(self) -> WebClient:
        """Without retries of its own: a message that got no answer may have been posted."""
        timeout = max(1, int(self._timeout_s))
        return WebClient(token=read(self._file), base_url=self._url, timeout=timeout, retry_handlers=[])

    def call(self, method: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """One call's answer. Raises as ``Notifier.send`` does, and NotFound where what it is about is gone."""
        return _answer(method, lambda: self.client().api_call(method, json=dict(values)))

    def place(self, app_token: str) -> str:
        """Where an app of this token may connect to for its clicks, once. Raises like ``call``."""
        answer = _answer("apps.connections.open", lambda: self.client().apps_connections_open(app_token=app_token))
        url = answer.get("url")
        if not isinstance(url, str):
            raise Unavailable("Slack did not say where clicks come from")
        return url


def _answer(method: str, asked: Callable[[], SlackResponse]) -> Mapping[str, Any]:
    try:
        data = asked().data
    except (SlackClientError, OSError, http.client.HTTPException, ValueError) as error:
        # Without the cause: what a broken request says of itself may hold the token.
        raise told(method, error) from None
    return data if isinstance(data, dict) else {}


def read(file: Path) -> str:
    """The token in ``file``. Raises BadInput."""
    return token(file, "token of Slack", "it is one line that begins with xoxb- or xapp-", TOKEN_LIMIT)


def told(method: str, error: Exception) -> ProviderError:
    """What a call's failure is, in our terms. Nothing that the other side said is repeated but Slack's own codes."""
    if isinstance(error, SlackApiError):
        return _answered(method, error)
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ConnectionRefusedError | socket.gaierror | ssl.SSLCertVerificationError):
        return Unreached(f"Slack cannot be reached for {method}: {_why(reason)}")
    return Unavailable(f"Slack did not answer {method}: {_why(reason)}")


def _why(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return type(reason).__name__


def _answered(method: str, error: SlackApiError) -> ProviderError:
    answer = error.response
    status = getattr(answer, "status_code", 0)
    headers = {str(name).lower(): value for name, value in dict(getattr(answer, "headers", None) or {}).items()}
    data = getattr(answer, "data", None)
    code = str(data.get("error", "")) if isinstance(data, dict) else ""
    code = code if _CODE.fullmatch(code) else ""
    sentence = f"Slack refuses {method}: {code or f'status {status}'}"
    if status == 429 or code in {"ratelimited", "rate_limited"}:
        wait = str(headers.get("retry-after", ""))
        return Throttled(sentence, retry_after_s=float(wait) if wait.isdigit() and len(wait) < 7 else 0.0)
    if code in _GONE:
        return NotFound(sentence)
    if code in _NEVER:
        return Refused(sentence)
    if not code or code in _PERHAPS or status >= 500:
        return Unavailable(sentence)
    return Unreached(sentence, _HINTS.get(code, _TOKEN_HINT))
