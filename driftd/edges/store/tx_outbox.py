"""The part of a transaction about outlets: what each has taken, what it shows, and what was clicked there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, bindparam, func, select, update
from sqlalchemy.dialects.sqlite import insert

from driftd.core.memory import Message
from driftd.core.outbox import Delivery, Ended, Incident
from driftd.edges.store.statements import Statements, fields_of, values_of
from driftd.edges.store.tables import MESSAGE
from driftd.edges.store.tables_outbox import CLICK, DELIVERY, INCIDENT

_TRIED = func.coalesce(DELIVERY.c.attempts, 0).label("times")
_UNDELIVERED = (
    select(MESSAGE, _TRIED, func.coalesce(DELIVERY.c.begun, False).label("begun"))
    .select_from(MESSAGE)
    .outerjoin(DELIVERY, and_(DELIVERY.c.message_id == MESSAGE.c.id, DELIVERY.c.outlet == bindparam("outlet")))
    .where(MESSAGE.c.sent_at.is_(None), DELIVERY.c.taken_at.is_(None))
    .order_by("times", MESSAGE.c.id)
    .limit(bindparam("most"))
)
_TAKEN = (
    select(DELIVERY.c.message_id)
    .join(MESSAGE, MESSAGE.c.id == DELIVERY.c.message_id)
    .where(
        MESSAGE.c.sent_at.is_(None),
        DELIVERY.c.taken_at.is_not(None),
        DELIVERY.c.outlet.in_(bindparam("names", expanding=True)),
    )
    .group_by(DELIVERY.c.message_id)
    .having(func.count() == bindparam("of"))
)
_OPEN = select(INCIDENT).where(INCIDENT.c.outlet == bindparam("outlet"), INCIDENT.c.closed_at.is_(None))


class OutboxPart(Statements):
    """``OutboxTx``, but for the messages themselves."""

    def undelivered(self, outlet: str, limit: int) -> Sequence[Delivery]:
        rows = self.rows(_UNDELIVERED, outlet=outlet, most=limit)
        return [Delivery(Message(**fields_of(Message, row)), row["times"], bool(row["begun"])) for row in rows]

    def begin_delivery(self, outlet: str, messages: Sequence[int], now: datetime) -> None:
        for number in messages:
            row = {"message_id": number, "outlet": outlet, "attempts": 1, "begun": True, "tried_at": now}
            again = {"attempts": DELIVERY.c.attempts + 1, "begun": True, "tried_at": now}
            keys = ["message_id", "outlet"]
            self.run(insert(DELIVERY).values(row).on_conflict_do_update(index_elements=keys, set_=again))

    def end_delivery(self, outlet: str, messages: Sequence[int], how: Ended, now: datetime) -> None:
        for number in messages:
            if how is Ended.SAID:
                row = {"message_id": number, "outlet": outlet, "attempts": 0, "begun": False, "tried_at": now}
                self.put(DELIVERY, row | {"attempts": self._attempts(outlet, number), "taken_at": now})
            elif how is Ended.UNSAID:
                mine = (DELIVERY.c.message_id == number) & (DELIVERY.c.outlet == outlet)
                self.run(update(DELIVERY).where(mine).values(begun=False))

    def _attempts(self, outlet: str, number: int) -> int:
        mine = (DELIVERY.c.message_id == number) & (DELIVERY.c.outlet == outlet)
        row = self.one(select(DELIVERY.c.attempts).where(mine))
        return int(row["attempts"]) if row else 0

    def taken_by_all(self, outlets: Sequence[str]) -> Sequence[int]:
        rows = self.rows(_TAKEN, names=tuple(outlets), of=len(outlets))
        return [int(row["message_id"]) for row in rows]

    def incidents(self, outlet: str) -> Sequence[Incident]:
        rows = self.rows(_OPEN.order_by(INCIDENT.c.id), outlet=outlet)
        return [Incident(**fields_of(Incident, row)) for row in rows]

    def put_incident(self, incident: Incident) -> int:
        if not incident.id:
            return self.add(INCIDENT, values_of(incident, without=["id"]))
        self.put(INCIDENT, values_of(incident))
        return incident.id

    def add_click(self, key: str, by: str, what: str, now: datetime) -> bool:
        row = {"key": key, "by": by, "what": what, "at": now}
        return self.changed(insert(CLICK).values(row).on_conflict_do_nothing()) > 0
