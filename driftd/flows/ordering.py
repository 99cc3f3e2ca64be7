"""Ordering: which of the replacements that wait are urgent, read now and then: it orders them, and decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from driftd.core.findings import Verdict
from driftd.core.guards.order import Urgent, queue
from driftd.core.memory import InstanceRow, Tx
from driftd.core.replacement import Record, State
from driftd.flows.groups import Group

AFRESH = timedelta(seconds=30)


class Ordering:
    """Puts the records of each round in order."""

    def __init__(self, groups: Mapping[str, Group]) -> None:
        self._groups = groups
        self._urgent = Urgent()
        self._read_at: datetime | None = None

    def sorted(self, tx: Tx, records: Sequence[Record], now: datetime) -> list[Record]:
        """Who is decided first; what is urgent may be as old as ``AFRESH``."""
        if self._read_at is None or not self._read_at <= now < self._read_at + AFRESH:
            self._urgent, self._read_at = self._read(tx, records), now
        return queue(records, self._urgent, now)

    def _read(self, tx: Tx, records: Sequence[Record]) -> Urgent:
        waiting = [one for one in records if one.state is State.ADMITTING]
        if len(waiting) < 2:
            return Urgent()
        old = {one.old_id for one in waiting}
        names = {one.group for one in waiting} & self._groups.keys()
        rows = [row for name in names for row in tx.instances(name) if row.id in old]
        return urgent(tx, self._groups, rows)


def urgent(tx: Tx, groups: Mapping[str, Group], rows: Iterable[InstanceRow]) -> Urgent:
    """What is urgent among these instances of ``groups``."""
    tainted: dict[str, timedelta] = {}
    critical = set(tx.critical_instances())
    for row in rows:
        if row.taint:
            tainted[row.id] = groups[row.group].rules.grace.cap
        if row.verdict is Verdict.TAMPERED:
            critical.add(row.id)
    return Urgent(tainted, critical)
