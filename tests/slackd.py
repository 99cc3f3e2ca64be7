"""A stand-in of Slack on loopback: what driftd uses of its Web API, Socket Mode and incoming webhooks.

It is as strict as Slack's documentation says: unknown channels, blocks over their limits, bad tokens and calls in too
quick succession are answered as Slack answers them. It is not Slack: docs/notify.md says what that leaves open.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from dataclasses import dataclass, field

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

BOT, APP = "xoxb-stand-in", "xapp-stand-in"
CHANNEL, NAME, TEAM = "C0FLEET", "#fleet", "T0TEAM"
ACK_S = 3.0


class InvalidBlocks(Exception):
    """Slack would answer invalid_blocks."""


def _text(found, limit, kinds=("plain_text", "mrkdwn")):
    if not isinstance(found, dict) or found.get("type") not in kinds or not isinstance(found.get("text"), str):
        raise InvalidBlocks(f"no text object: {found}")
    if not 1 <= len(found["text"]) <= limit:
        raise InvalidBlocks(f"{len(found['text'])} characters, {limit} at most")
    if set(found) - {"type", "text", "emoji", "verbatim"} or (found["type"] == "mrkdwn" and "emoji" in found):
        raise InvalidBlocks(f"unknown fields: {found}")


def _button(found):
    if set(found) - {"type", "action_id", "text", "value", "style", "confirm", "url"} or found["type"] != "button":
        raise InvalidBlocks(f"no button: {found}")
    _text(found["text"], 75, ("plain_text",))
    if len(found.get("value", "")) > 2000 or len(found.get("action_id", "")) > 255:
        raise InvalidBlocks("a value or action_id is too long")
    if found.get("style", "primary") not in {"primary", "danger"}:
        raise InvalidBlocks(f"no style: {found['style']}")
    if confirm := found.get("confirm"):
        _text(confirm["title"], 100, ("plain_text",))
        _text(confirm["text"], 300)
        _text(confirm["confirm"], 30, ("plain_text",))
        _text(confirm["deny"], 30, ("plain_text",))


def _header(found):
    _text(found["text"], 150, ("plain_text",))


def _section(found):
    if "text" not in found and "fields" not in found:
        raise InvalidBlocks("a section without text and fields")
    if "text" in found:
        _text(found["text"], 3000)
    if "fields" in found:
        _several(found["fields"], 10, "fields")


def _several(texts, most, what):
    if not 1 <= len(texts) <= most:
        raise InvalidBlocks(f"{what}: 1 to {most}")
    for one in texts:
        _text(one, 2000)


def _actions(found):
    if not 1 <= len(found["elements"]) <= 25:
        raise InvalidBlocks("actions: 1 to 25")
    for one in found["elements"]:
        _button(one)
    if len({one["action_id"] for one in found["elements"]}) != len(found["elements"]):
        raise InvalidBlocks("action_id twice")


_KINDS = {
    "header": _header,
    "section": _section,
    "context": lambda found: _several(found["elements"], 10, "context"),
    "actions": _actions,
}


def check_blocks(blocks):
    """Raises InvalidBlocks for what Slack would not take."""
    if not isinstance(blocks, list) or len(blocks) > 50:
        raise InvalidBlocks("50 blocks at most")
    for one in blocks:
        try:
            _KINDS[one["type"]](one)
        except (KeyError, TypeError) as error:
            raise InvalidBlocks(repr(error)) from None


def texts_of(blocks):
    """Every text object in blocks."""
    if isinstance(blocks, dict):
        if blocks.get("type") in {"plain_text", "mrkdwn"}:
            yield blocks
        for value in blocks.values():
            yield from texts_of(value)
    elif isinstance(blocks, list):
        for one in blocks:
            yield from texts_of(one)


def unescaped(text):
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


@dataclass
class Posted:
    """A message as it is now; ``at`` is when it came first, ``versions`` is how often it was changed."""

    ts: str
    text: str
    blocks: list
    raw: dict
    thread: str = ""
    at: float = 0.0
    versions: int = 0
    user: str = ""

    @property
    def shown(self) -> str:
        """All that a person reads, as a person reads it."""
        return "\n".join(unescaped(one["text"]) for one in texts_of(self.blocks)) or unescaped(self.text)

    @property
    def buttons(self) -> dict[str, dict]:
        found = (one for block in self.blocks if block["type"] == "actions" for one in block["elements"])
        return {one["action_id"]: one for one in found}


@dataclass
class Slackd:
    """The stand-in. ``mode`` "" answers; "down" answers 503 without JSON, "mute" hangs up, ``throttled`` is how many
    calls more are answered 429; ``deaf`` posts and hangs up without an answer.
    """

    url: str = ""
    hook: str = ""
    mode: str = ""
    throttled: int = 0
    retry_after: int = 7
    error: str = ""
    deaf: bool = False
    messages: list[Posted] = field(default_factory=list)
    told: list[Posted] = field(default_factory=list)
    hooked: list[dict] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    acks: dict[str, float] = field(default_factory=dict)
    connections: list = field(default_factory=list)
    _number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ws_port: int = 0

    # --- what a test asks and does ---

    @property
    def parents(self) -> list[Posted]:
        return [one for one in self.messages if not one.thread]

    def thread(self, ts: str) -> list[Posted]:
        return [one for one in self.messages if one.thread == ts]

    def trouble(self, what: str) -> None:
        self.mode, self.throttled, self.error = "", 0, ""
        if what == "later":
            self.mode = "down"
        elif what == "often":
            self.throttled = 1
        else:
            self.error = "invalid_blocks"

    def payload(self, message: Posted, action: str, user: str = "U1", *, at: float | None = None, value=None):
        """What Slack sends for a click."""
        button = message.buttons.get(action, {"value": value or "", "text": {"text": action}})
        return {
            "type": "block_actions",
            "user": {"id": user, "username": "somebody", "team_id": TEAM},
            "api_app_id": "A1",
            "team": {"id": TEAM, "domain": "x"},
            "channel": {"id": CHANNEL, "name": "fleet"},
            "container": {"type": "message", "message_ts": message.ts, "channel_id": CHANNEL, "is_ephemeral": False},
            "message": {"ts": message.ts, "text": message.text},
            "actions": [
                {
                    "action_id": action,
                    "block_id": "b",
                    "type": "button",
                    "value": button["value"] if value is None else value,
                    "action_ts": f"{time.time() if at is None else at:.6f}",
                }
            ],
        }

    def envelope(self, payload, *, name: str = "", attempt: int = 0) -> str:
        """Send one, wait for its ack; its id. Fails when the ack comes late or never."""
        with self._lock:
            self._number += 1
            name = name or f"envelope-{self._number}"
        self.acks.pop(name, None)
        body = {"envelope_id": name, "type": "interactive", "accepts_response_payload": True, "payload": payload}
        if attempt:
            body |= {"retry_attempt": attempt, "retry_reason": "timeout"}
        began = time.monotonic()
        self.connections[-1].send(json.dumps(body))
        while name not in self.acks:
            assert time.monotonic() < began + ACK_S, "no ack within 3 s"
            time.sleep(0.005)
        return name

    def click(self, message: Posted, action: str, user: str = "U1", **others) -> str:
        return self.envelope(self.payload(message, action, user, **others))

    def refresh(self) -> None:
        """As Slack does every few hours: it asks for a new connection, and ends this one."""
        old = self.connections[-1]
        old.send(json.dumps({"type": "disconnect", "reason": "refresh_requested", "debug_info": {}}))
        old.close()

    # --- HTTP ---

    def answer(self, path: str, token: str, body: dict) -> dict:
        method = path.rpartition("/")[2]
        self.calls.append(method)
        if token != (APP if method == "apps.connections.open" else BOT):
            return {"ok": False, "error": "invalid_auth"}
        if self.error:
            return {"ok": False, "error": self.error}
        known = {
            "auth.test": lambda _: {"ok": True, "team_id": TEAM, "user_id": "U0BOT"},
            "apps.connections.open": lambda _: {"ok": True, "url": f"ws://127.0.0.1:{self._ws_port}/link/?ticket=1"},
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "chat.postEphemeral": self._whisper,
        }
        if method not in known:
            return {"ok": False, "error": "unknown_method"}
        try:
            return known[method](body)
        except InvalidBlocks as error:
            return {"ok": False, "error": "invalid_blocks", "errors": [str(error)]}

    def _check(self, body: dict) -> str:
        if body.get("channel") not in {CHANNEL, NAME}:
            return "channel_not_found"
        if not body.get("text") and not body.get("blocks"):
            return "no_text"
        if len(body.get("text", "")) > 40_000:
            return "msg_too_long"
        check_blocks(body.get("blocks", []))
        return ""

    def _post(self, body: dict) -> dict:
        if wrong := self._check(body):
            return {"ok": False, "error": wrong}
        if body.get("thread_ts") and not any(one.ts == body["thread_ts"] for one in self.messages):
            return {"ok": False, "error": "thread_not_found"}
        return self._keep(self.messages, body)

    def _keep(self, where: list[Posted], body: dict) -> dict:
        with self._lock:
            self._number += 1
            ts = f"1700000000.{self._number:06}"
        where.append(
            Posted(
                ts,
                body.get("text", ""),
                body.get("blocks", []),
                body,
                body.get("thread_ts", ""),
                time.time(),
                user=body.get("user", ""),
            )
        )
        return {"ok": True, "channel": CHANNEL, "ts": ts, "message_ts": ts}

    def _update(self, body: dict) -> dict:
        if body.get("channel") != CHANNEL:  # an id alone, unlike chat.postMessage
            return {"ok": False, "error": "channel_not_found"}
        if wrong := self._check(body):
            return {"ok": False, "error": wrong}
        found = next((one for one in self.messages if one.ts == body.get("ts")), None)
        if found is None:
            return {"ok": False, "error": "message_not_found"}
        found.text, found.blocks = body.get("text", ""), body.get("blocks", [])
        found.versions += 1
        return {"ok": True, "channel": CHANNEL, "ts": found.ts}

    def _whisper(self, body: dict) -> dict:
        if wrong := self._check(body):
            return {"ok": False, "error": wrong}
        if not str(body.get("user", "")).startswith("U"):
            return {"ok": False, "error": "user_not_in_channel"}
        return self._keep(self.told, body)


class Handler(http.server.BaseHTTPRequestHandler):
    @property
    def slack(self) -> Slackd:
        return self.server.slack

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.slack.mode == "down":
            self._say(503, b"upstream connect error", "text/html")
        elif self.slack.mode == "mute":
            self.close_connection = True
        elif self.slack.throttled:
            self.slack.throttled -= 1
            self._say(429, b'{"ok":false,"error":"ratelimited"}', retry=str(self.slack.retry_after))
        elif self.path.startswith("/services/"):
            self._hook(json.loads(raw))
        else:
            self._call(raw)

    def _call(self, raw):
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        kind = self.headers.get("Content-Type") or ""
        body = json.loads(raw) if raw and kind.startswith("application/json") else {}
        answer = self.slack.answer(self.path, token, body)
        if self.slack.deaf:
            self.close_connection = True
        else:
            self._say(200, json.dumps(answer).encode())

    def _hook(self, body):
        if self.slack.error:
            return self._say(400, self.slack.error.encode(), "text/plain")
        try:
            check_blocks(body.get("blocks", []))
        except InvalidBlocks:
            return self._say(400, b"invalid_blocks", "text/plain")
        self.slack.hooked.append(body)
        return self._say(200, b"ok", "text/plain")

    def _say(self, status, body, kind="application/json; charset=utf-8", retry=""):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if retry:
            self.send_header("Retry-After", retry)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


@contextlib.contextmanager
def slackd():
    """One on loopback."""
    slack = Slackd()

    def socket(connection):
        slack.connections.append(connection)
        hello = {"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"}, "debug_info": {}}
        connection.send(json.dumps(hello))
        with contextlib.suppress(ConnectionClosed):
            for text in connection:
                said = json.loads(text)
                slack.acks[said["envelope_id"]] = time.monotonic()

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.slack = slack
    link = serve(socket, "127.0.0.1", 0)
    slack.url = f"http://127.0.0.1:{web.server_address[1]}/api/"
    slack.hook = f"http://127.0.0.1:{web.server_address[1]}/services/T0/B0/s3cr3t"
    slack._ws_port = link.socket.getsockname()[1]
    threads = [
        threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}),
        threading.Thread(target=link.serve_forever),
    ]
    for one in threads:
        one.start()
    try:
        yield slack
    finally:
        web.shutdown()
        web.server_close()
        link.shutdown()
        for connection in slack.connections:
            connection.close()
        for one in threads:
            one.join(10)
