"""Outlets: the ways to people, each with its own state for every message; and what all of them share in telling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.core import wording
from driftd.core.errors import BadInput, DriftdError, NotFound, Refused, Throttled, Unreached
from driftd.core.findings import Severity
from driftd.core.memory import Message, Store, Tx
from driftd.core.outbox import Delivery, Ended
from driftd.flows.together import all_looked

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
# So soon after an outlet is back it is told what waited.
LONGEST_AWAY = timedelta(minutes=2)
A_ROUND = 20
READ = 500


@dataclass(frozen=True, slots=True)
class Outlet:
    """One way to people, as configured: what is less severe than ``least`` is not said there."""

    name: str
    least: Severity = Severity.INFO
    singly: int = 0

    def wants(self, message: Message) -> bool:
        """Whether the message is severe enough."""
        return message.severity.rank >= self.least.rank


def group_of(tx: Tx, message: Message) -> str:
    """The group that a message is about; "" where it is about none."""
    if message.rid and (record := tx.replacement(message.rid)) is not None:
        return record.group
    row = tx.instance(message.instance_id) if message.instance_id else None
    return row.group if row else ""


def surely_unsaid(error: DriftdError) -> bool:
    """Whether nothing was said for certain, so that saying it again is saying it once."""
    return isinstance(error, Refused | Throttled | Unreached | NotFound | BadInput)


def sealed(store: Store, waiting: Sequence[Delivery], now: datetime) -> list[Delivery]:
    """Those that are to be said now, as they will be said: of those that others might join, the ones that are due."""
    ready = [one for one in waiting if one.message.due is None]
    open_still = [one for one in waiting if one.message.due is not None]
    if not open_still:
        return ready
    with store.read() as tx:
        due = [one for one in open_still if (one.message.due or now) <= now or all_looked(tx, one.message)]
    if not due:
        return ready
    with store.write() as tx:
        told = [(one, tx.seal(one.message.id)) for one in due]
    return ready + [Delivery(message, one.attempts, one.doubt) for one, message in told if message is not None]


def settle(tx: Tx, outlets: Sequence[str], now: datetime) -> None:
    """What every outlet has taken is sent."""
    for number in tx.taken_by_all(outlets):
        tx.mark_sent(number, now)


class Patience:
    """How long an outlet that is away is left alone, and a message that it refuses. Not kept over a restart."""

    def __init__(self) -> None:
        self._failures = 0
        self._away_until: datetime | None = None
        self._refused: dict[int, tuple[int, datetime]] = {}

    def away(self, now: datetime) -> bool:
        """Whether it is too early to ask again."""
        return self._away_until is not None and now < self._away_until

    def due(self, deliveries: Sequence[Delivery], now: datetime) -> list[Delivery]:
        """Without those that were refused a short while ago."""
        return [
            one for one in deliveries if one.message.id not in self._refused or self._refused[one.message.id][1] <= now
        ]

    def well(self, messages: Sequence[Message]) -> None:
        """It took these."""
        self._failures, self._away_until = 0, None
        for one in messages:
            self._refused.pop(one.id, None)

    def failed(self, messages: Sequence[Message], error: DriftdError, now: datetime) -> str:
        """It did not take these; the sentence for the log."""
        if isinstance(error, Refused):
            times = max((self._refused.get(one.id, (0, now))[0] for one in messages), default=0) + 1
            pause = _pause(times + 4)
            self._refused.update({one.id: (times, now + pause) for one in messages})
        else:
            self._failures += 1
            pause = min(_pause(self._failures), LONGEST_AWAY)
            if isinstance(error, Throttled):
                pause = min(max(pause, timedelta(seconds=error.retry_after_s)), LONGEST_PAUSE)
            self._away_until = now + pause
        why = f"{error}; {error.hint}" if error.hint else str(error)
        return wording.not_said(messages[0].text if messages else "", why, pause)


def _pause(times: int) -> timedelta:
    return min(timedelta(seconds=FIRST_PAUSE.total_seconds() * 2.0 ** min(times - 1, 10)), LONGEST_PAUSE)


class Book:
    """One outlet's part of the outbox: intents before, outcomes after. ``names`` are those of all outlets."""

    def __init__(self, store: Store, outlet: Outlet, names: Sequence[str], clock: Callable[[], datetime]) -> None:
        self.store = store
        self.outlet = outlet
        self.names = tuple(names)
        self.clock = clock
        with store.write() as tx:
            settle(tx, self.names, clock())  # an outlet that is configured no more holds nothing up

    def waiting(self) -> list[Delivery]:
        """What the outlet has not taken."""
        with self.store.read() as tx:
            return list(tx.undelivered(self.outlet.name, READ))

    def begin(self, messages: Sequence[Message]) -> None:
        """They are about to be said."""
        with self.store.write() as tx:
            tx.begin_delivery(self.outlet.name, [one.id for one in messages], self.clock())

    def took(self, tx: Tx, messages: Sequence[Message]) -> None:
        """They were said, or need not be."""
        now = self.clock()
        tx.end_delivery(self.outlet.name, [one.id for one in messages], Ended.SAID, now)
        settle(tx, self.names, now)

    def failed(self, deliveries: Sequence[Delivery], error: DriftdError) -> None:
        """They were not said, or nobody knows."""
        surely = surely_unsaid(error)
        now = self.clock()
        with self.store.write() as tx:
            for one in deliveries:
                how = Ended.UNSAID if surely and not one.doubt else Ended.UNKNOWN
                tx.end_delivery(self.outlet.name, [one.message.id], how, now)
                tx.mark_failed(one.message.id, now)
