"""Recounting: the history of one instance, and of a time that is over, read from the store."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from driftd.core.errors import BadInput
from driftd.core.history import History, history
from driftd.core.period import Period
from driftd.core.wording import holds as said
from driftd.core.wording import near
from driftd.doors.desks.recounting import Tell
from driftd.edges import documents
from driftd.flows.following import followed
from driftd.flows.naming import SEE, called
from driftd.flows.recount import recount
from driftd.wiring.answering import rules_by_group

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse

_RECORDS = 1000


def history_of(house: WiredHouse, name: str) -> History:
    """What happened on the instance ``name`` (id, slot or address; of several the newest). Raises BadInput."""
    now = house.now()
    with house.store(read_only=True) as store, store.read() as tx:
        every = tx.instances(gone=True)
        rows = [row for row in every if row.called(name)]
        if not rows:
            raise BadInput(said.unknown(name), near.hint(name, called(every), SEE))
        row = max(rows, key=lambda one: (one.id == name, one.gone_at is None, one.first_seen))
        alive = [row] if row.gone_at is None else []
        return history(
            row,
            tx.sessions(row.id),
            tx.findings_since(None, of=row.id),
            tx.every_hold(row.id),
            [one for one in tx.replacements(_RECORDS, row.group) if row.id in {one.old_id, one.new_id}],
            followed(tx, rules_by_group(house.settings), alive, now).get(row.id),
            tx.attributions(row.id, over=True),
        )


class Recounting:
    """Implements ``driftd.doors.desks.recounting.RecountDesk`` for one house."""

    def __init__(self, house: WiredHouse) -> None:
        self._house = house

    def period(self, since: datetime, until: datetime, tell: Tell) -> Period:
        house = self._house
        keys = documents.verifiers(list(house.trusting.trust.keys))
        with house.store(read_only=True) as store:
            return recount(store, since, until, house.now(), every=house.every, keys=keys, tell=tell)
