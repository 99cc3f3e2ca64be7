"""The part of a transaction about people: what they said (suppressions, pauses) and what they are told (the outbox)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, select, update

from driftd.core.memory import Message, Pause, Suppression, Topic
from driftd.edges.store.reading import Row
from driftd.edges.store.statements import Statements, fields_of, values_of
from driftd.edges.store.tables import MESSAGE, PAUSE, SUPPRESSION, TOPIC

_SUPPRESSIONS = select(SUPPRESSION).order_by(SUPPRESSION.c.id)
_STANDING = _SUPPRESSIONS.where((SUPPRESSION.c.expires_at > bindparam("now")) & SUPPRESSION.c.withdrawn_at.is_(None))
_PAUSES = select(PAUSE).order_by(PAUSE.c.group)
_UNSENT = (
    select(MESSAGE)
    .where(MESSAGE.c.sent_at.is_(None))
    .order_by(MESSAGE.c.attempts, MESSAGE.c.id)
    .limit(bindparam("most"))
)
_UNSENT_AND_DUE = _UNSENT.where(MESSAGE.c.due.is_(None) | (MESSAGE.c.due <= bindparam("now")))
_TOPIC = select(TOPIC).where(TOPIC.c.topic == bindparam("topic"))


def _suppression(row: Row) -> Suppression:
    return Suppression(**fields_of(Suppression, row) | {"members": tuple(row["members"].split())})


def _topic(row: Row) -> Topic:
    seen = {name: tuple(row["seen"].get(name, ())) for name in ("named", "kinds")}
    return Topic(**fields_of(Topic, row, without=["named", "kinds"]) | seen)


class PeoplePart(Statements):
    """``Tx`` for suppressions, pauses and messages."""

    def suppressions(self, now: datetime) -> Sequence[Suppression]:
        """Those that still count at ``now``."""
        return [_suppression(row) for row in self.rows(_STANDING, now=now)]

    def every_suppression(self) -> Sequence[Suppression]:
        """Oldest first."""
        return [_suppression(row) for row in self.rows(_SUPPRESSIONS)]

    def add_suppression(self, suppression: Suppression) -> int:
        values = values_of(suppression, without=["id"]) | {"members": " ".join(suppression.members)}
        return self.add(SUPPRESSION, values)

    def count_suppression(self, suppression_id: int, now: datetime, findings: int = 1) -> None:
        one = update(SUPPRESSION).where(SUPPRESSION.c.id == suppression_id)
        self.run(one.values(hits=SUPPRESSION.c.hits + findings, used_at=now))

    def withdraw_suppression(self, suppression_id: int, by: str, now: datetime) -> bool:
        still = (SUPPRESSION.c.id == suppression_id) & SUPPRESSION.c.withdrawn_at.is_(None)
        return self.changed(update(SUPPRESSION).where(still).values(withdrawn_at=now, withdrawn_by=by)) > 0

    def pauses(self) -> Sequence[Pause]:
        return [Pause(**row) for row in self.rows(_PAUSES)]

    def set_pause(self, pause: Pause) -> None:
        """A group that is paused already is paused anew, under the new owner and reason."""
        self.put(PAUSE, values_of(pause))

    def clear_pause(self, group: str) -> bool:
        """False when it was not paused."""
        return self.changed(delete(PAUSE).where(PAUSE.c.group == group)) > 0

    def say(self, message: Message, now: datetime) -> bool:
        """Queue a message; False when one with this key was queued before (and has not been pruned since)."""
        created = message.created_at or now
        return self.add(MESSAGE, values_of(message, without=["id"]) | {"created_at": created}) > 0

    def unsent(self, limit: int = 50, *, now: datetime | None = None) -> Sequence[Message]:
        """Least tried first, so that one that never arrives does not hold up the others; then oldest first."""
        rows = self.rows(_UNSENT, most=limit) if now is None else self.rows(_UNSENT_AND_DUE, most=limit, now=now)
        return [Message(**fields_of(Message, row)) for row in rows]

    def message_id(self, key: str) -> int:
        row = self.one(select(MESSAGE.c.id).where(MESSAGE.c.key == key))
        return int(row["id"]) if row else 0

    def open_message(self, message_id: int) -> Message | None:
        row = self.one(select(MESSAGE).where((MESSAGE.c.id == message_id) & MESSAGE.c.sent_at.is_(None)))
        return Message(**fields_of(Message, row)) if row else None

    def seal(self, message_id: int) -> Message | None:
        waits = (MESSAGE.c.id == message_id) & MESSAGE.c.sent_at.is_(None)
        self.run(update(MESSAGE).where(waits).values(due=None))
        return self.open_message(message_id)

    def retell(self, message: Message) -> bool:
        still = (MESSAGE.c.id == message.id) & MESSAGE.c.sent_at.is_(None) & MESSAGE.c.due.is_not(None)
        told = {"text": message.text, "severity": message.severity, "due": message.due}
        return self.changed(update(MESSAGE).where(still).values(told)) > 0

    def topic(self, topic: str) -> Topic | None:
        row = self.one(_TOPIC, topic=topic)
        return _topic(row) if row else None

    def topics(self, message_id: int) -> Sequence[Topic]:
        """By name."""
        rows = self.rows(select(TOPIC).where(TOPIC.c.message_id == message_id).order_by(TOPIC.c.topic))
        return [_topic(row) for row in rows]

    def put_topic(self, topic: Topic) -> None:
        values = values_of(topic, without=["named", "kinds"])
        self.put(TOPIC, values | {"seen": {"named": topic.named, "kinds": topic.kinds}})

    def mark_sent(self, message_id: int, now: datetime) -> None:
        self.run(
            update(MESSAGE)
            .where((MESSAGE.c.id == message_id) & MESSAGE.c.sent_at.is_(None))
            .values(sent_at=now, tried_at=now, attempts=MESSAGE.c.attempts + 1)
        )

    def mark_failed(self, message_id: int, now: datetime) -> None:
        tried = update(MESSAGE).where(MESSAGE.c.id == message_id)
        self.run(tried.values(tried_at=now, attempts=MESSAGE.c.attempts + 1))
