"""Slack's channel as a board: one message an incident, changed in place, what follows in its thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftd.core.cards import Card
from driftd.core.errors import Unavailable
from driftd.core.notices import Notice
from driftd.edges.slack import blocks
from driftd.edges.slack.calls import Api


class SlackBoard:
    """``driftd.core.ports.Board``. A ``ref`` is ``CHANNEL:TS``, as Slack names the message."""

    def __init__(self, api: Api, channel: str) -> None:
        self._api = api
        self._channel = channel

    def post(self, card: Card, *, doubt: bool) -> str:
        """See ``Board.post``."""
        return self._posted(blocks.of_card(card, doubt=doubt))

    def crowd(self, notice: Notice) -> str:
        """See ``Board.crowd``."""
        return self._posted(blocks.of_notice(notice))

    def update(self, ref: str, card: Card) -> str:
        """See ``Board.update``."""
        channel, ts = _place(ref)
        shown = blocks.of_card(card)
        self._api.call(
            "chat.update", {"channel": channel, "ts": ts} | {k: shown[k] for k in ("text", "blocks", "parse")}
        )
        return ref

    def follow(self, ref: str, notice: Notice) -> None:
        """See ``Board.follow``."""
        channel, ts = _place(ref)
        self._api.call("chat.postMessage", {"channel": channel, "thread_ts": ts, **blocks.of_notice(notice)})

    def _posted(self, shown: Mapping[str, Any]) -> str:
        answer = self._api.call("chat.postMessage", {"channel": self._channel, **shown})
        channel, ts = answer.get("channel"), answer.get("ts")
        if not isinstance(channel, str) or not isinstance(ts, str):
            raise Unavailable("Slack did not say where it put a message")
        return f"{channel}:{ts}"


def _place(ref: str) -> tuple[str, str]:
    channel, _, ts = ref.partition(":")
    return channel, ts
