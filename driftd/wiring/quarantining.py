"""Quarantine, joined together: a person's wish with the providers and the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from driftd.core.errors import BadInput
from driftd.core.quarantine import Quarantined
from driftd.flows.quarantine import ask_end, kept

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse


class Quarantining:
    """Implements ``driftd.doors.desks.quarantining.QuarantineDesk`` for one house."""

    def __init__(self, house: WiredHouse) -> None:
        self._house = house

    def kept(self) -> Sequence[Quarantined]:
        with self._house.store(read_only=True) as store, store.read() as tx:
            return kept(tx, self._house.groups.values())

    def put(self, instance: str, reason: str) -> str:
        house = self._house
        found = house.find([instance])
        if len(found) != 1:
            raise BadInput(f"{instance!r} names {len(found)} instances", "put them into quarantine one at a time")
        with house.store() as store:
            return house.replacer(store).request(found[0], f"{house.person()} asked: {reason}", quarantine=True)

    def end(self, instance: str, reason: str) -> str:
        house = self._house
        with house.store() as store:
            return ask_end(store, house.groups, instance, house.person(), reason, house.now())
