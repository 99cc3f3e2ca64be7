"""The part of a transaction about what guards read: holds, and people on instances."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import bindparam, delete, select, update

from driftd.core.findings import Severity
from driftd.core.holds import Hold
from driftd.core.memory import SessionRow
from driftd.edges.store.statements import Statements, values_of
from driftd.edges.store.tables import FINDING, INSTANCE, SESSION
from driftd.edges.store.tables_guard import HOLD
from driftd.edges.store.tx_fleet import session_row

_HOLDS = select(HOLD).where((HOLD.c.until > bindparam("now")) & HOLD.c.released_at.is_(None)).order_by(HOLD.c.id)
_MEMBERS = select(INSTANCE.c.id).where((INSTANCE.c.group == bindparam("group")) & INSTANCE.c.gone_at.is_(None))
_LATELY = SESSION.c.live | (SESSION.c.ended_at >= bindparam("since")) | (SESSION.c.first_seen >= bindparam("since"))
_VISITORS = (
    select(SESSION)
    .where(SESSION.c.instance_id.in_(_MEMBERS) & SESSION.c.own.is_(False) & _LATELY)
    .order_by(SESSION.c.instance_id, SESSION.c.id)
)


class GuardPart(Statements):
    """``Tx`` for holds and what else guards read."""

    def holds(self, now: datetime) -> Sequence[Hold]:
        """See ``Tx.holds``."""
        return [Hold(**row) for row in self.rows(_HOLDS, now=now)]

    def every_hold(self, instance_id: str | None = None, *, since: datetime | None = None) -> Sequence[Hold]:
        """See ``Tx.every_hold``."""
        query = select(HOLD).order_by(HOLD.c.id)
        if instance_id is not None:
            query = query.where(HOLD.c.instance_id == instance_id)
        if since is not None:
            query = query.where(HOLD.c.until >= since.astimezone(UTC))
        return [Hold(**row) for row in self.rows(query)]

    def put_hold(self, hold: Hold) -> int:
        """See ``Tx.put_hold``."""
        values = values_of(hold, without=["id"])
        if not hold.id:
            return self.add(HOLD, values)
        self.run(update(HOLD).where(HOLD.c.id == hold.id).values(values))
        return hold.id

    def recent_sessions(self, group: str, since: datetime) -> Sequence[SessionRow]:
        """See ``Tx.recent_sessions``."""
        return [session_row(row) for row in self.rows(_VISITORS, group=group, since=since.astimezone(UTC))]

    def critical_instances(self) -> Sequence[str]:
        """See ``Tx.critical_instances``."""
        bad = FINDING.c.resolved_at.is_(None) & (FINDING.c.severity == Severity.CRITICAL)
        query = select(FINDING.c.instance_id).where(bad & (FINDING.c.suppressed_by == "")).distinct()
        return [row["instance_id"] for row in self.rows(query.order_by(FINDING.c.instance_id))]

    def prune_holds(self, before: datetime) -> int:
        """Delete those that ended before; how many."""
        before = before.astimezone(UTC)
        return self.changed(delete(HOLD).where((HOLD.c.until < before) | (HOLD.c.released_at < before)))
