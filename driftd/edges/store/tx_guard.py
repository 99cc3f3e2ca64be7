"""The part of a transaction about what guards read: holds, people on instances, and how replacements ended lately."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import RowMapping, delete, func, select, update

from driftd.core.facts import Session
from driftd.core.findings import Severity
from driftd.core.holds import Hold
from driftd.core.journal import instant
from driftd.core.memory import SessionRow
from driftd.core.replacement import State
from driftd.edges.store.statements import Statements, fields_of, values_of
from driftd.edges.store.tables import FINDING, INSTANCE, REPLACEMENT, SESSION
from driftd.edges.store.tables_guard import HOLD

# A replacement that waited longer than this before it ended is not found by when it ended.
LONGEST_WAIT = timedelta(days=30)


class GuardPart(Statements):
    """``Tx`` for holds and what else guards read."""

    def holds(self, now: datetime) -> Sequence[Hold]:
        """See ``Tx.holds``."""
        stands = (HOLD.c.until > now) & HOLD.c.released_at.is_(None)
        return [Hold(**row) for row in self.rows(select(HOLD).where(stands).order_by(HOLD.c.id))]

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
        since = since.astimezone(UTC)
        mine = select(INSTANCE.c.id).where((INSTANCE.c.group == group) & INSTANCE.c.gone_at.is_(None))
        lately = SESSION.c.live | (SESSION.c.ended_at >= since) | (SESSION.c.first_seen >= since)
        query = select(SESSION).where(SESSION.c.instance_id.in_(mine) & SESSION.c.own.is_(False) & lately)
        return [_session(row) for row in self.rows(query.order_by(SESSION.c.instance_id, SESSION.c.id))]

    def critical_instances(self) -> Sequence[str]:
        """See ``Tx.critical_instances``."""
        bad = FINDING.c.resolved_at.is_(None) & (FINDING.c.severity == Severity.CRITICAL)
        query = select(FINDING.c.instance_id).where(bad & (FINDING.c.suppressed_by == "")).distinct()
        return [row["instance_id"] for row in self.rows(query.order_by(FINDING.c.instance_id))]

    def _ended(self, since: datetime, group: str | None) -> Sequence[RowMapping]:
        """Rows of replacements that ended since."""
        query = select(REPLACEMENT).where(REPLACEMENT.c.open.is_(False))
        query = query.where(REPLACEMENT.c.created_at >= (since - LONGEST_WAIT).astimezone(UTC))
        query = query.where(func.json_extract(REPLACEMENT.c.record, "$.entered_at") >= instant(since))
        if group is not None:
            query = query.where(REPLACEMENT.c.group == group)
        return self.rows(query.order_by(REPLACEMENT.c.created_at, REPLACEMENT.c.rid))

    def _stuck(self, group: str) -> Sequence[RowMapping]:
        """Rows of replacements that needed a person."""
        stuck = (REPLACEMENT.c.group == group) & (REPLACEMENT.c.state == State.STUCK)
        return self.rows(select(REPLACEMENT).where(stuck).order_by(REPLACEMENT.c.created_at, REPLACEMENT.c.rid))

    def prune_holds(self, before: datetime) -> int:
        """Delete those that ended before; how many."""
        before = before.astimezone(UTC)
        return self.changed(delete(HOLD).where((HOLD.c.until < before) | (HOLD.c.released_at < before)))


def _session(row: RowMapping) -> SessionRow:
    return SessionRow(row["id"], row["instance_id"], Session(**fields_of(Session, row)), row["own"], row["first_seen"])
