"""The part of a transaction about people: what they said (suppressions, pauses) and what they are told (the outbox)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select, update

from driftd.core.memory import Message, Pause, Suppression
from driftd.edges.store.statements import Statements, fields_of, values_of
from driftd.edges.store.tables import MESSAGE, PAUSE, SUPPRESSION


class PeoplePart(Statements):
    """``Tx`` for suppressions, pauses and messages."""

    def suppressions(self, now: datetime) -> Sequence[Suppression]:
        """Those that still count at ``now``."""
        query = select(SUPPRESSION).where(SUPPRESSION.c.expires_at > now).order_by(SUPPRESSION.c.id)
        return [Suppression(**row) for row in self.rows(query)]

    def add_suppression(self, suppression: Suppression) -> int:
        return self.add(SUPPRESSION, values_of(suppression, without=["id"]))

    def count_suppression(self, suppression_id: int) -> None:
        one_more = SUPPRESSION.c.hits + 1
        self.run(update(SUPPRESSION).where(SUPPRESSION.c.id == suppression_id).values(hits=one_more))

    def pauses(self) -> Sequence[Pause]:
        return [Pause(**row) for row in self.rows(select(PAUSE).order_by(PAUSE.c.group))]

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

    def unsent(self, limit: int = 50) -> Sequence[Message]:
        """Least tried first, so that one that never arrives does not hold up the others; then oldest first."""
        query = select(MESSAGE).where(MESSAGE.c.sent_at.is_(None)).order_by(MESSAGE.c.attempts, MESSAGE.c.id)
        return [Message(**fields_of(Message, row)) for row in self.rows(query.limit(limit))]

    def mark_sent(self, message_id: int, now: datetime) -> None:
        self.run(
            update(MESSAGE)
            .where((MESSAGE.c.id == message_id) & MESSAGE.c.sent_at.is_(None))
            .values(sent_at=now, tried_at=now, attempts=MESSAGE.c.attempts + 1)
        )

    def mark_failed(self, message_id: int, now: datetime) -> None:
        tried = update(MESSAGE).where(MESSAGE.c.id == message_id)
        self.run(tried.values(tried_at=now, attempts=MESSAGE.c.attempts + 1))
