"""An incoming webhook of Slack: it tells, and nothing that it told can change."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from driftd.core.errors import BadInput
from driftd.core.notices import Notice
from driftd.edges.slack.blocks import of_notice
from driftd.secretfiles import held

LIMIT = 4096


class SlackWebhook:
    """``driftd.core.ports.Notifier``. ``post`` sends a body with headers, and raises as ``Notifier.send`` does."""

    def __init__(self, post: Callable[[bytes, Mapping[str, str]], None]) -> None:
        self._post = post

    def send(self, notice: Notice) -> None:
        """See ``Notifier.send``."""
        shown = of_notice(notice)
        body = {name: shown[name] for name in ("text", "blocks", "unfurl_links", "unfurl_media")}
        self._post(json.dumps(body).encode("ascii"), {"Content-Type": "application/json"})


def address(file: Path) -> str:
    """The webhook's address, which is a secret. Nothing of it is in the error."""
    try:
        return held(file, "webhook", LIMIT).decode("ascii").strip()
    except UnicodeDecodeError:
        raise BadInput(f"what {file} holds is no address", "it is one line: https://hooks.slack.com/…") from None
