"""The part of a transaction about instances: what they are, what was found on them, who was there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, select, update

from driftd.core import confidence
from driftd.core.facts import Session
from driftd.core.findings import Finding
from driftd.core.memory import FindingRow, InstanceRow, SessionRow
from driftd.core.zones import Placed
from driftd.edges.store.reading import Row
from driftd.edges.store.statements import Statements, fields_of, values_of
from driftd.edges.store.tables import FINDING, INSTANCE, SESSION

# What may become known of a session after it was first seen.
_LATER = ("ended_at", "live", "tty", "key", "key_id", "evidence", "kind", "number", "boot", "confidence")

_INSTANCES = select(INSTANCE).order_by(INSTANCE.c.group, INSTANCE.c.slot, INSTANCE.c.id)
_OF_GROUP = _INSTANCES.where(INSTANCE.c.group == bindparam("group"))
_THERE, _THERE_OF_GROUP = (query.where(INSTANCE.c.gone_at.is_(None)) for query in (_INSTANCES, _OF_GROUP))
_INSTANCE = select(INSTANCE).where(INSTANCE.c.id == bindparam("id"))
# Those that are there come first: what they tell of their slot counts.
_ZONES = (
    select(INSTANCE.c.id, INSTANCE.c.group, INSTANCE.c.slot, INSTANCE.c.zone)
    .where((INSTANCE.c.zone != "") & (INSTANCE.c.gone_at.is_(None) | (INSTANCE.c.gone_at > bindparam("since"))))
    .order_by(INSTANCE.c.gone_at.is_not(None), INSTANCE.c.first_seen, INSTANCE.c.id)
)
_OPEN = select(FINDING).where(FINDING.c.resolved_at.is_(None)).order_by(FINDING.c.id)
_OPEN_ON = _OPEN.where(FINDING.c.instance_id == bindparam("instance_id"))
_FINDING = select(FINDING).where(FINDING.c.id == bindparam("id"))
_ALIKE = _OPEN_ON.where(FINDING.c.signature == bindparam("signature"))
_TOUCH = update(FINDING).where(FINDING.c.id == bindparam("number"))
_RESOLVE = _TOUCH.where(FINDING.c.resolved_at.is_(None)).values(resolved_at=bindparam("now"))
_SESSIONS = (
    select(SESSION)
    .where(SESSION.c.instance_id == bindparam("instance_id"))
    .order_by(SESSION.c.started_at, SESSION.c.id)
)
# One session, whoever told of it and when.
_SAME = ("instance_id", "door", "user", "source", "port", "pid", "started_at")
_KNOWN = select(SESSION).where(*(SESSION.c[name] == bindparam(name) for name in _SAME))


def finding_row(row: Row) -> FindingRow:
    """The row as the core knows it."""
    seen = {name: row[name] for name in ("id", "instance_id", "first_seen", "last_seen", "resolved_at")}
    return FindingRow(finding=Finding(**fields_of(Finding, row)), **seen)


def session_row(row: Row) -> SessionRow:
    """The row as the core knows it."""
    seen = {name: row[name] for name in ("id", "instance_id", "own", "first_seen")}
    return SessionRow(session=Session(**fields_of(Session, row)), **seen)


class FleetPart(Statements):
    """``Tx`` for instances, findings and sessions."""

    def instances(self, group: str | None = None, *, gone: bool = False) -> Sequence[InstanceRow]:
        """Sorted by group, slot and id; with ``gone``, those that no longer exist are among them."""
        if group is None:
            rows = self.rows(_INSTANCES if gone else _THERE)
        else:
            rows = self.rows(_OF_GROUP if gone else _THERE_OF_GROUP, group=group)
        return [InstanceRow(**row) for row in rows]

    def instance(self, instance_id: str) -> InstanceRow | None:
        row = self.one(_INSTANCE, id=instance_id)
        return InstanceRow(**row) if row else None

    def put_instance(self, row: InstanceRow) -> None:
        self.put(INSTANCE, values_of(row))

    def zones(self, since: datetime) -> Sequence[Placed]:
        return [Placed(**row) for row in self.rows(_ZONES, since=since)]

    def open_findings(self, instance_id: str | None = None) -> Sequence[FindingRow]:
        """Oldest first."""
        rows = self.rows(_OPEN) if instance_id is None else self.rows(_OPEN_ON, instance_id=instance_id)
        return [finding_row(row) for row in rows]

    def finding(self, finding_id: int) -> FindingRow | None:
        row = self.one(_FINDING, id=finding_id)
        return finding_row(row) if row else None

    def add_finding(self, instance_id: str, finding: Finding, now: datetime) -> FindingRow:
        """An open finding of this signature on this instance is seen again instead of added twice."""
        values = values_of(finding) | {"instance_id": instance_id, "first_seen": now, "last_seen": now}
        number = self.add(FINDING, values)
        if not number:
            alike = {"instance_id": instance_id, "signature": finding.signature}
            number = self.run(_ALIKE, alike).mappings().one()["id"]
            self.touch_finding(number, finding, now)
        return finding_row(dict(self.run(_FINDING, {"id": number}).mappings().one()))

    def touch_finding(self, finding_id: int, finding: Finding, now: datetime) -> None:
        self.run(_TOUCH, {"number": finding_id, **values_of(finding), "last_seen": now})

    def resolve_finding(self, finding_id: int, now: datetime) -> None:
        """Resolved already is success, and keeps its first date."""
        self.run(_RESOLVE, {"number": finding_id, "now": now})

    def sessions(self, instance_id: str) -> Sequence[SessionRow]:
        """By start."""
        return [session_row(row) for row in self.rows(_SESSIONS, instance_id=instance_id)]

    def add_session(self, instance_id: str, session: Session, own: bool, now: datetime) -> bool:
        """A session known already learns what became known since (its end, say); whose it was stays as first said."""
        values = values_of(session) | {"instance_id": instance_id, "own": own, "first_seen": now}
        if self.add(SESSION, values):
            return True
        known = dict(self.run(_KNOWN, {name: values[name] for name in _SAME}).mappings().one())
        values |= confidence.kept(session_row(known).session, session)
        told = {name: values[name] for name in _LATER if values[name] is False or values[name]}
        news = {name: value for name, value in told.items() if value != known[name]}
        if news:
            self.run(update(SESSION).where(SESSION.c.id == known["id"]).values(news))
        return False
