"""Announce: what waits in the outbox is said to people, each message once, with patience where nobody answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from driftd.core import wording
from driftd.core.errors import Refused, Unavailable
from driftd.core.memory import Message, Store
from driftd.core.ports import Notifier
from driftd.flows.together import all_looked

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
A_ROUND = 20


class Announcer:
    """Sends unsent messages, oldest first. A message is marked sent only after the notifier took it: a crash in
    between says it twice rather than never.

    When the notifier is away, all wait; when it refuses one message, only that one does.
    """

    def __init__(self, store: Store, notifier: Notifier, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._notifier = notifier
        self._clock = clock
        self._failures = 0
        self._away_until: datetime | None = None
        self._refused_until: dict[int, datetime] = {}

    def tick(self) -> list[str]:
        """One round; what could not be said, in sentences."""
        now = self._clock()
        if self._away_until is not None and now < self._away_until:
            return []
        waiting = self._waiting(now)
        due = [message for message in waiting if self._refused_until.get(message.id, now) <= now]
        said: list[str] = []
        for message in sorted(due, key=lambda one: one.id)[:A_ROUND]:
            try:
                self._notifier.send(message)
            except Unavailable as error:
                return [*said, self._away(message, error)]
            except Refused as error:
                said.append(self._refused(message, error))
            else:
                self._sent(message)
        return said

    def _waiting(self, now: datetime) -> list[Message]:
        """What is to be sent now, as it will be sent: of those that others might join, the ones that are due."""
        with self._store.read() as tx:
            limit = A_ROUND + len(self._refused_until)
            waiting = list(tx.unsent(limit=limit, now=now))
            early = [one for one in tx.unsent(limit=limit) if one.due is not None and one.due > now]
            waiting += [one for one in early if all_looked(tx, one)]
        if all(message.due is None for message in waiting):
            return waiting
        with self._store.write() as tx:
            sealed = [tx.seal(message.id) for message in waiting]
        return [message for message in sealed if message is not None]

    def _sent(self, message: Message) -> None:
        self._failures, self._away_until = 0, None
        self._refused_until.pop(message.id, None)
        with self._store.write() as tx:
            tx.mark_sent(message.id, self._clock())

    def _away(self, message: Message, error: Unavailable) -> str:
        self._failures += 1
        pause = min(FIRST_PAUSE * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE)
        self._away_until = self._clock() + pause
        self._failed(message)
        return wording.not_said(message.text, str(error), pause)

    def _refused(self, message: Message, error: Refused) -> str:
        pause = min(FIRST_PAUSE * 2 ** min(message.attempts + 4, 10), LONGEST_PAUSE)
        self._refused_until[message.id] = self._clock() + pause
        self._failed(message)
        return wording.not_said(message.text, str(error), pause)

    def _failed(self, message: Message) -> None:
        with self._store.write() as tx:
            tx.mark_failed(message.id, self._clock())
