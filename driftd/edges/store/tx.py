"""A transaction: replacements, on top of what the other parts bring; and what is swept away in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime

from sqlalchemy import bindparam, delete, select, update

from driftd.core import journal
from driftd.core.breakers.breaker import State as Breaking
from driftd.core.memory import StaleRecord, StoreUnavailable
from driftd.core.replacement import TERMINAL, Record, State
from driftd.edges.store.reading import Row
from driftd.edges.store.statements import values_of
from driftd.edges.store.tables import (
    EXPLAINED,
    FINDING,
    INSTANCE,
    JOB,
    MESSAGE,
    REPLACEMENT,
    SESSION,
    SUPPRESSION,
    TOPIC,
)
from driftd.edges.store.tables_breaker import BREAKER, PASS, SIGHTING
from driftd.edges.store.tables_marks import IDENTITY, MARKS
from driftd.edges.store.tables_outbox import CLICK, INCIDENT
from driftd.edges.store.tables_visits import VISIT
from driftd.edges.store.tx_attribution import AttributionPart
from driftd.edges.store.tx_breaker import BreakerPart
from driftd.edges.store.tx_fleet import FleetPart
from driftd.edges.store.tx_guard import GuardPart
from driftd.edges.store.tx_history import HistoryPart
from driftd.edges.store.tx_images import ImagesPart
from driftd.edges.store.tx_journal import JournalPart
from driftd.edges.store.tx_marks import MarksPart
from driftd.edges.store.tx_outbox import OutboxPart
from driftd.edges.store.tx_people import PeoplePart
from driftd.edges.store.tx_rollout import RolloutPart
from driftd.edges.store.tx_shown import ShownPart
from driftd.edges.store.tx_visits import VisitPart

_TIMES = tuple(field.name for field in fields(Record) if str(field.type).startswith("datetime"))


_OF_GROUP = REPLACEMENT.c.group == bindparam("group")
_OPEN = select(REPLACEMENT).where(REPLACEMENT.c.open).order_by(REPLACEMENT.c.created_at, REPLACEMENT.c.rid)
_ENDED = select(REPLACEMENT).where(REPLACEMENT.c.ended_at >= bindparam("since"))
_STUCK = (
    select(REPLACEMENT).where(REPLACEMENT.c.state == State.STUCK).order_by(REPLACEMENT.c.created_at, REPLACEMENT.c.rid)
)
_ROLLED = (
    select(REPLACEMENT)
    .where((REPLACEMENT.c.rollout != "") & (REPLACEMENT.c.rollout == bindparam("rollout")))
    .order_by(REPLACEMENT.c.created_at, REPLACEMENT.c.rid)
)
_OPEN_OF, _ENDED_OF, _STUCK_OF = (query.where(_OF_GROUP) for query in (_OPEN, _ENDED, _STUCK))
_ONE = select(REPLACEMENT).where(REPLACEMENT.c.rid == bindparam("rid"))
_SAVE = update(REPLACEMENT).where((REPLACEMENT.c.rid == bindparam("of")) & (REPLACEMENT.c.version == bindparam("read")))


def _columns(record: Record) -> dict[str, object]:
    searched = {
        name: getattr(record, name) for name in ("rid", "group", "slot", "old_id", "state", "created_at", "rollout")
    }
    over = record.state in TERMINAL
    searched |= {"open": not over, "ended_at": record.entered_at if over else None, "rollout": record.rollout}
    return searched | {"version": record.version, "record": values_of(record)}


def _record(row: Row) -> Record:
    """Fields that a newer driftd wrote are passed over; those that an older one did not know have their defaults."""
    known = {field.name for field in fields(Record)}
    values = {name: value for name, value in row["record"].items() if name in known}
    for name in _TIMES:
        values[name] = journal.read_instant(values.get(name))
    try:
        return Record(**values | {"state": State(values["state"])})
    except (TypeError, KeyError, ValueError):
        raise StoreUnavailable(
            f"The store holds replacement {row['rid']} in a form that this driftd cannot read.",
            "Restore the store from a backup, or use the version of driftd that wrote it (docs/store.md).",
        ) from None


class SqlTx(
    AttributionPart,
    BreakerPart,
    FleetPart,
    GuardPart,
    HistoryPart,
    ImagesPart,
    JournalPart,
    MarksPart,
    OutboxPart,
    PeoplePart,
    RolloutPart,
    ShownPart,
    VisitPart,
):
    """``Tx``, whole. Good only inside the block that opened it."""

    # replacements

    def open_replacements(self, group: str | None = None) -> Sequence[Record]:
        """Oldest first."""
        rows = self.rows(_OPEN) if group is None else self.rows(_OPEN_OF, group=group)
        return [_record(row) for row in rows]

    def replacements(self, limit: int = 50, group: str | None = None) -> Sequence[Record]:
        """Newest first."""
        query = select(REPLACEMENT).order_by(REPLACEMENT.c.created_at.desc(), REPLACEMENT.c.rid.desc())
        if group is not None:
            query = query.where(REPLACEMENT.c.group == group)
        return [_record(row) for row in self.rows(query.limit(limit))]

    def ended_replacements(self, since: datetime, group: str | None = None) -> Sequence[Record]:
        """See ``Tx.ended_replacements``."""
        since = since.astimezone(UTC)
        rows = self.rows(_ENDED, since=since) if group is None else self.rows(_ENDED_OF, since=since, group=group)
        # Sorted here: for an order SQLite would walk through all that ever were.
        return sorted(map(_record, rows), key=lambda one: (one.created_at, one.rid))

    def rollout_records(self, rollout_id: str) -> Sequence[Record]:
        """See ``RolloutTx.rollout_records``."""
        return [_record(row) for row in self.rows(_ROLLED, rollout=rollout_id)]

    def stuck_replacements(self, group: str | None = None) -> Sequence[Record]:
        """See ``Tx.stuck_replacements``."""
        rows = self.rows(_STUCK) if group is None else self.rows(_STUCK_OF, group=group)
        return [_record(row) for row in rows]

    def replacement(self, rid: str) -> Record | None:
        row = self.one(_ONE, rid=rid)
        return _record(row) if row else None

    def add_replacement(self, record: Record) -> bool:
        """False when the slot or the old instance has an open replacement already (or the ``rid`` is known)."""
        return self.add(REPLACEMENT, _columns(record)) > 0

    def save_replacement(self, record: Record) -> None:
        """``record.version`` is the version that was read; the store keeps the record with the next one.

        Raises ``StaleRecord`` when somebody else moved it since. Who goes on with the same record raises its own
        ``version`` by one, or reads it again.
        """
        kept = replace(record, version=record.version + 1)
        if not self.changed(_SAVE, of=record.rid, read=record.version, **_columns(kept)):
            raise StaleRecord(
                f"Replacement {record.rid} was changed by somebody else in the meantime.",
                "It is read again and goes on.",
            )

    # growth

    def prune(self, before: datetime) -> Mapping[str, int]:
        """Delete what was over before ``before``, and say how many of each. The journal and replacements are kept.

        Of instances that exist, sessions and visits stay: what was driftd's own visit must still be known as that when
        the instance's log is read again.
        """
        before = before.astimezone(UTC)
        gone = select(INSTANCE.c.id).where(INSTANCE.c.gone_at < before)
        known = select(INSTANCE.c.id)
        stray = VISIT.c.instance_id.not_in(known) & (VISIT.c.opened_at < before)
        idle = JOB.c.leased_until.is_(None) | (JOB.c.leased_until < before)
        sweeps = {
            "findings": delete(FINDING).where((FINDING.c.resolved_at < before) | FINDING.c.instance_id.in_(gone)),
            "explained": delete(EXPLAINED).where((EXPLAINED.c.gone_at < before) | EXPLAINED.c.instance_id.in_(gone)),
            "marks": delete(MARKS).where(MARKS.c.instance_id.in_(gone)),
            "identities": delete(IDENTITY).where(IDENTITY.c.instance_id.in_(gone)),
            "sightings": delete(SIGHTING).where(
                (SIGHTING.c.ended_at < before) | SIGHTING.c.instance_id.in_(gone) | SIGHTING.c.instance_id.not_in(known)
            ),
            "breakers": delete(BREAKER).where((BREAKER.c.state == Breaking.CLOSED) & (BREAKER.c.changed_at < before)),
            "sessions": delete(SESSION).where(SESSION.c.instance_id.in_(gone)),
            "visits": delete(VISIT).where(VISIT.c.instance_id.in_(gone) | stray),
            "instances": delete(INSTANCE).where(INSTANCE.c.gone_at < before),
            "messages": delete(MESSAGE).where(MESSAGE.c.sent_at < before),
            "jobs": delete(JOB).where((JOB.c.due < before) & idle),
            "suppressions": delete(SUPPRESSION).where(
                (SUPPRESSION.c.expires_at < before) | (SUPPRESSION.c.withdrawn_at < before)
            ),
        }
        swept = {name: self.changed(sweep) for name, sweep in sweeps.items()} | {"holds": self.prune_holds(before)}
        self.run(delete(PASS).where(PASS.c.at < before))
        self.run(delete(INCIDENT).where(INCIDENT.c.closed_at < before))
        self.run(delete(CLICK).where(CLICK.c.at < before))
        self.run(delete(TOPIC).where(TOPIC.c.message_id.not_in(select(MESSAGE.c.id))))
        return swept
