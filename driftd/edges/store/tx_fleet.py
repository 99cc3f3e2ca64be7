"""The part of a transaction about instances: what they are, what was found on them, who was there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import RowMapping, select, update

from driftd.core.facts import Session
from driftd.core.findings import Finding
from driftd.core.memory import FindingRow, InstanceRow, SessionRow
from driftd.edges.store.statements import Statements, fields_of, values_of
from driftd.edges.store.tables import FINDING, INSTANCE, SESSION, VISIT

# What may become known of a session after it was first seen.
_LATER = ("ended_at", "live", "tty", "key", "key_id", "evidence")


def finding_row(row: RowMapping) -> FindingRow:
    """The row as the core knows it."""
    seen = {name: row[name] for name in ("id", "instance_id", "first_seen", "last_seen", "resolved_at")}
    return FindingRow(finding=Finding(**fields_of(Finding, row)), **seen)


def session_row(row: RowMapping) -> SessionRow:
    """The row as the core knows it."""
    seen = {name: row[name] for name in ("id", "instance_id", "own", "first_seen")}
    return SessionRow(session=Session(**fields_of(Session, row)), **seen)


class FleetPart(Statements):
    """``Tx`` for instances, findings, sessions and visits."""

    def instances(self, group: str | None = None, *, gone: bool = False) -> Sequence[InstanceRow]:
        """Sorted by group, slot and id; with ``gone``, those that no longer exist are among them."""
        query = select(INSTANCE).order_by(INSTANCE.c.group, INSTANCE.c.slot, INSTANCE.c.id)
        if group is not None:
            query = query.where(INSTANCE.c.group == group)
        if not gone:
            query = query.where(INSTANCE.c.gone_at.is_(None))
        return [InstanceRow(**row) for row in self.rows(query)]

    def instance(self, instance_id: str) -> InstanceRow | None:
        row = self.one(select(INSTANCE).where(INSTANCE.c.id == instance_id))
        return InstanceRow(**row) if row else None

    def put_instance(self, row: InstanceRow) -> None:
        self.put(INSTANCE, values_of(row))

    def open_findings(self, instance_id: str | None = None) -> Sequence[FindingRow]:
        """Oldest first."""
        query = select(FINDING).where(FINDING.c.resolved_at.is_(None)).order_by(FINDING.c.id)
        if instance_id is not None:
            query = query.where(FINDING.c.instance_id == instance_id)
        return [finding_row(row) for row in self.rows(query)]

    def finding(self, finding_id: int) -> FindingRow | None:
        row = self.one(select(FINDING).where(FINDING.c.id == finding_id))
        return finding_row(row) if row else None

    def add_finding(self, instance_id: str, finding: Finding, now: datetime) -> FindingRow:
        """An open finding of this signature on this instance is seen again instead of added twice."""
        values = values_of(finding) | {"instance_id": instance_id, "first_seen": now, "last_seen": now}
        number = self.add(FINDING, values)
        if number:
            where = FINDING.c.id == number
        else:
            where = (
                FINDING.c.resolved_at.is_(None)
                & (FINDING.c.instance_id == instance_id)
                & (FINDING.c.signature == finding.signature)
            )
            self.run(update(FINDING).where(where).values(**values_of(finding), last_seen=now))
        return finding_row(self.run(select(FINDING).where(where)).mappings().one())

    def touch_finding(self, finding_id: int, finding: Finding, now: datetime) -> None:
        self.run(update(FINDING).where(FINDING.c.id == finding_id).values(**values_of(finding), last_seen=now))

    def resolve_finding(self, finding_id: int, now: datetime) -> None:
        """Resolved already is success, and keeps its first date."""
        still_open = (FINDING.c.id == finding_id) & FINDING.c.resolved_at.is_(None)
        self.run(update(FINDING).where(still_open).values(resolved_at=now))

    def sessions(self, instance_id: str) -> Sequence[SessionRow]:
        """By start."""
        query = select(SESSION).where(SESSION.c.instance_id == instance_id)
        return [session_row(row) for row in self.rows(query.order_by(SESSION.c.started_at, SESSION.c.id))]

    def add_session(self, instance_id: str, session: Session, own: bool, now: datetime) -> bool:
        """A session known already learns what became known since (its end, say); whose it was stays as first said."""
        values = values_of(session) | {"instance_id": instance_id, "own": own, "first_seen": now}
        if self.add(SESSION, values):
            return True
        same = ("instance_id", "door", "user", "source", "port", "pid", "started_at")
        query = select(SESSION)
        for name in same:
            query = query.where(SESSION.c[name] == values[name])
        known = self.run(query).mappings().one()
        news = {name: values[name] for name in _LATER if values[name] != known[name] and values[name] not in (None, "")}
        if news:
            self.run(update(SESSION).where(SESSION.c.id == known["id"]).values(news))
        return False

    def open_visit(self, instance_id: str, key: str, now: datetime) -> int:
        return self.add(VISIT, {"instance_id": instance_id, "key": key, "opened_at": now})

    def close_visit(self, visit_id: int, now: datetime) -> None:
        still_open = (VISIT.c.id == visit_id) & VISIT.c.closed_at.is_(None)
        self.run(update(VISIT).where(still_open).values(closed_at=now))

    def visits(self, instance_id: str) -> Sequence[tuple[str, datetime, datetime | None]]:
        query = select(VISIT.c.key, VISIT.c.opened_at, VISIT.c.closed_at).where(VISIT.c.instance_id == instance_id)
        rows = self.rows(query.order_by(VISIT.c.opened_at.desc(), VISIT.c.id.desc()))
        return [(row["key"], row["opened_at"], row["closed_at"]) for row in rows]
