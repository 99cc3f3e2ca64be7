"""Order: who is asked first whether it may begin. Pure; the guards alone say who does.

Those under way come first, for they hold what others wait for. Of those that wait to be let in: first the tainted for
whom people were waited longer than the cap, then what is security-critical, then who waits longest. One that was let in
and came back, since it could not be planned, has only begun to wait again: a failure never keeps its place at the head.
Those that still need a second look come last, longest due first, so that each gets its turn.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from driftd.core.replacement import Record, State


@dataclass(frozen=True, slots=True)
class Urgent:
    """What puts one before others: instances that are tainted, with their group's cap; and those that are critical."""

    tainted: Mapping[str, timedelta] = field(default_factory=dict)
    critical: Collection[str] = frozenset()


_PLACE = {State.CAPTURING: 1, State.PLANNING: 1, State.ADMITTING: 2, State.CONFIRMING: 3}


def queue(records: Iterable[Record], urgent: Urgent, now: datetime) -> list[Record]:
    """``records`` in the order in which they are to be decided."""

    def rank(record: Record) -> tuple[int, bool, bool, datetime, str]:
        if record.state is not State.ADMITTING:
            return _PLACE.get(record.state, 0), False, False, record.next_at or record.created_at, record.rid
        cap = urgent.tainted.get(record.old_id)
        past = cap is not None and now >= record.created_at + cap
        return _PLACE[record.state], not past, record.old_id not in urgent.critical, record.entered_at, record.rid

    return sorted(records, key=rank)
