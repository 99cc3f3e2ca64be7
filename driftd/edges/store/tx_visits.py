"""The part of a transaction about driftd's own visits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Function, bindparam, func, select, update

from driftd.core.visits import Looked, Trace, VisitRow, Way
from driftd.edges.store.reading import Row
from driftd.edges.store.statements import Statements
from driftd.edges.store.tables_visits import VISIT

_OF = update(VISIT).where(VISIT.c.id == bindparam("number"))
_CLOSE = _OF.where(VISIT.c.closed_at.is_(None)).values(closed_at=bindparam("now"))
_MOMENTS = ("came_at", "entered_at", "parted_at")
_WAY = ("key", "source", "port", "user", "certified", "pushed")
_TRACE = _OF.values({name: bindparam(f"new_{name}") for name in (*_WAY, "parted", *_MOMENTS)})
_VISITS = (
    select(VISIT)
    .where(VISIT.c.instance_id == bindparam("instance_id"))
    .order_by(VISIT.c.opened_at.desc(), VISIT.c.id.desc())
)

_IN = (
    (VISIT.c.opened_at >= bindparam("since"))
    & (VISIT.c.opened_at < bindparam("until"))
    & (VISIT.c.entered_at.is_not(None) | (VISIT.c.scan == ""))
)
_TIMES = (
    select(
        VISIT.c.instance_id,
        func.count().label("times"),
        func.min(VISIT.c.opened_at).label("first"),
        func.max(VISIT.c.opened_at).label("last"),
    )
    .where(_IN)
    .group_by(VISIT.c.instance_id)
)
_LAG: Function[Any] = func.lag(VISIT.c.opened_at, type_=VISIT.c.opened_at.type)
_BEFORE = _LAG.over(partition_by=VISIT.c.instance_id, order_by=VISIT.c.opened_at)
_STEPS = select(VISIT.c.instance_id, VISIT.c.opened_at, _BEFORE.label("before")).where(_IN).subquery()
# SQLite gives the other columns of the row that has the one maximum.
_GAPS = select(
    _STEPS.c.instance_id,
    _STEPS.c.before,
    func.max(func.julianday(_STEPS.c.opened_at) - func.julianday(_STEPS.c.before)).label("days"),
).group_by(_STEPS.c.instance_id)


def _row(row: Row) -> VisitRow:
    trace = None
    if row["scan"]:
        way = None
        if row["came_at"] is not None:
            way = Way(row["source"], row["port"], row["user"], row["key"], row["certified"], row["pushed"])
        trace = Trace(row["scan"], way, row["came_at"], row["entered_at"], row["parted_at"], row["parted"])
    return VisitRow(row["key"], row["opened_at"], row["closed_at"], trace)


class VisitPart(Statements):
    """``VisitTx``."""

    def open_visit(self, instance_id: str, key: str, now: datetime, scan: str = "") -> int:
        return self.add(VISIT, {"instance_id": instance_id, "key": key, "opened_at": now, "scan": scan})

    def trace_visit(self, visit_id: int, trace: Trace) -> None:
        if trace.way is None:
            return
        told = {name: getattr(trace.way, name) for name in _WAY}
        told |= {"parted": trace.parted} | {name: getattr(trace, name) for name in _MOMENTS}
        self.run(_TRACE, {"number": visit_id} | {f"new_{name}": value for name, value in told.items()})

    def close_visit(self, visit_id: int, now: datetime) -> None:
        self.run(_CLOSE, {"number": visit_id, "now": now})

    def visits(self, instance_id: str) -> Sequence[VisitRow]:
        return [_row(row) for row in self.rows(_VISITS, instance_id=instance_id)]

    def looked(self, since: datetime, until: datetime) -> Mapping[str, Looked]:
        within = {"since": since.astimezone(UTC), "until": until.astimezone(UTC)}
        gaps = {row["instance_id"]: row for row in self.rows(_GAPS, **within) if row["before"] is not None}
        found = {}
        for row in self.rows(_TIMES, **within):
            gap = gaps.get(row["instance_id"])
            longest = timedelta(days=gap["days"]) if gap else timedelta(0)
            found[row["instance_id"]] = Looked(
                row["times"], row["first"], row["last"], longest, gap["before"] if gap else None
            )
        return found
