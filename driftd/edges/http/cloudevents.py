"""Webhooks: each message is posted as a CloudEvent (1.0, structured JSON), signed as Standard Webhooks does it.

The id is the same however often a message is sent, so that whoever receives it can tell what came twice.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from driftd.core.errors import BadInput
from driftd.core.journal import instant
from driftd.core.notices import Notice
from driftd.core.outbox import Delivery
from driftd.edges.http.posting import post
from driftd.edges.http.server import TOKEN_LIMIT, Server
from driftd.secretfiles import held

TYPE = "application/cloudevents+json; charset=utf-8"
PREFIX = "whsec_"
# What Standard Webhooks asks of a key, in bytes.
LEAST_KEY = 24


class Webhook:
    """``driftd.core.ports.Notifier``: one request for each message. ``source`` says which driftd it is (a URI).

    With ``secret_file`` each request is signed; the file is read for every one, so that it can be renewed.
    """

    def __init__(
        self, server: Server, *, source: str, clock: Callable[[], datetime], secret_file: Path | None = None
    ) -> None:
        self._server = server
        self._source = source
        self._clock = clock
        self._secret_file = secret_file
        if secret_file is not None:
            key_in(secret_file)

    def send(self, notice: Notice) -> None:
        """See ``Notifier.send``."""
        for delivery in notice.deliveries:
            body = json.dumps(event(delivery, self._source), ensure_ascii=True, sort_keys=True).encode("ascii")
            headers = {"Content-Type": TYPE}
            if self._secret_file is not None:
                headers |= signed(_name(delivery), self._clock(), body, key_in(self._secret_file))
            post(self._server, "", body, headers)


def event(delivery: Delivery, source: str) -> Mapping[str, object]:
    """The event. ``driftdagain`` says that it may have been sent before; its ``id`` is then the same."""
    message = delivery.message
    return {
        "specversion": "1.0",
        "id": _name(delivery),
        "source": source,
        "type": f"io.driftd.{message.code}",
        "time": instant((message.created_at or datetime.fromtimestamp(0, UTC)).astimezone(UTC)),
        "datacontenttype": "application/json",
        **({"subject": _text(message.instance_id)} if message.instance_id else {}),
        **({"driftdagain": True} if delivery.doubt else {}),
        "data": {
            "code": message.code,
            "severity": message.severity.value,
            "text": _text(message.text),
            "instance": _text(message.instance_id),
            "replacement": message.rid,
        },
    }


def _name(delivery: Delivery) -> str:
    """Unique within a source, and no longer than anybody takes; a key may hold names that instances gave."""
    return "msg_" + hashlib.sha256(delivery.message.key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def signed(name: str, now: datetime, body: bytes, key: bytes) -> Mapping[str, str]:
    """The headers of Standard Webhooks, version 1."""
    at = str(int(now.timestamp()))
    digest = hmac.new(key, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "Webhook-Id": name,
        "Webhook-Timestamp": at,
        "Webhook-Signature": f"v1,{base64.b64encode(digest).decode('ascii')}",
    }


def key_in(file: Path) -> bytes:
    """The key in ``file``: ``whsec_`` and base64. Nothing of it is in the error."""
    text = held(file, "secret", TOKEN_LIMIT).strip()
    try:
        key = base64.b64decode(text.removeprefix(PREFIX.encode()), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(PREFIX.encode()) or len(key) < LEAST_KEY:
        hint = "make one with: (printf whsec_; openssl rand -base64 32) > FILE"
        raise BadInput(f"what {file} holds is no secret of a webhook", hint)
    return key
