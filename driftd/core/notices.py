"""Notices: what is said to people at once, one message or many of a crowd; and who waits while a crowd comes.

More than a few messages about one group within a minute are said as one, so that a bad day is no flood. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.core.findings import Severity
from driftd.core.memory import Message
from driftd.core.outbox import Delivery
from driftd.core.wording import notices as wording

MINUTE = timedelta(minutes=1)
# How many messages one notice takes: what is more comes with the next one.
CROWD = 100


@dataclass(frozen=True, slots=True)
class Notice:
    """What is said at once. ``group`` is whom it is about ("" where that is no group)."""

    deliveries: tuple[Delivery, ...]
    group: str = ""

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(one.message for one in self.deliveries)

    @property
    def first(self) -> Message:
        """The message, where it is one; else the first of the most severe."""
        return min(self.messages, key=lambda one: (-one.severity.rank, one.id))

    @property
    def severity(self) -> Severity:
        return self.first.severity

    @property
    def doubt(self) -> bool:
        """Whether any of it may have been said before."""
        return any(one.doubt for one in self.deliveries)

    @property
    def lines(self) -> Sequence[str]:
        """A line for each message; what may be said twice says so."""
        return [wording.once_more(one.message.text) if one.doubt else one.message.text for one in self.deliveries]

    @property
    def title(self) -> str:
        """One line that says what it is about."""
        if len(self.deliveries) == 1:
            return wording.once_more(self.first.text) if self.doubt else self.first.text
        return wording.crowd(len(self.deliveries), self.group)

    @property
    def text(self) -> str:
        """All of it."""
        return self.title if len(self.deliveries) == 1 else "\n".join((f"{self.title}:", *self.lines))


class Pace:
    """How fast one outlet is told of each group: at most ``most`` messages a minute one by one, more of them at once.

    ``most`` 0: each on its own, at any rate. What was said before a restart is not counted.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._said: dict[str, deque[datetime]] = {}
        self._until: dict[str, datetime] = {}

    def notices(self, waiting: Iterable[tuple[str, Delivery]], now: datetime) -> list[Notice]:
        """What is to be said now of what waits, by group, oldest first."""
        by_group: dict[str, list[Delivery]] = {}
        for group, delivery in waiting:
            by_group.setdefault(group if self._most else "", []).append(delivery)
        found = [notice for group, mine in by_group.items() for notice in self._of(group, mine, now)]
        return sorted(found, key=lambda one: min(message.id for message in one.messages))

    def _of(self, group: str, waiting: list[Delivery], now: datetime) -> list[Notice]:
        waiting.sort(key=lambda one: one.message.id)
        singly = [Notice((one,), group) for one in waiting]
        if not self._most:
            return singly
        if now < self._until.get(group, now):
            return []
        lately = self._said.setdefault(group, deque())
        while lately and lately[0] + MINUTE <= now:
            lately.popleft()
        return singly if len(lately) + len(waiting) <= self._most else [Notice(tuple(waiting[:CROWD]), group)]

    def said(self, notice: Notice, now: datetime) -> None:
        """It was said: once there were more than a few, its group waits for a minute."""
        if not self._most:
            return
        lately = self._said.setdefault(notice.group, deque())
        lately.append(now)
        if len(notice.deliveries) > 1 or len(lately) > self._most:
            self._until[notice.group] = now + MINUTE
