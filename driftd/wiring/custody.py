"""Evidence, joined together: the directory, the looks, the journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from driftd import __version__
from driftd.core.custody.bundle import INDEX
from driftd.core.custody.ledger import SUBJECT, Kept, fetched, ledger
from driftd.core.errors import BadInput
from driftd.core.facts import Instance
from driftd.core.looks import Look
from driftd.core.memory import Store
from driftd.core.strictjson import read
from driftd.core.wording import custody as wording
from driftd.core.wording import near
from driftd.doors.desks.custody import Listed, Opened
from driftd.edges import store as stores
from driftd.edges.bundles import BundleDirectory, unpacked
from driftd.flows.audit import Visits
from driftd.flows.capture import Capturer, Taking
from driftd.flows.remembering import Known
from driftd.flows.visit import Visitor

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse


class Custody:
    """Implements ``driftd.doors.desks.custody.EvidenceDesk`` for one house."""

    def __init__(self, house: WiredHouse) -> None:
        self._house = house

    def place(self) -> BundleDirectory:
        """Where bundles lie."""
        settings = self._house.settings
        named = settings.evidence.directory
        beside = Path(stores.path_of(self._house.store_url)).parent / "evidence"
        return BundleDirectory(settings.path(named) if named else beside, settings.evidence.room)

    def capturer(self, store: Store) -> Capturer:
        """What keeps evidence, by looks of its own."""
        return Capturer(store, self.place(), self._see(store), clock=self._house.now, generator=__version__)

    def _see(self, store: Store) -> Callable[[Instance, Taking], Look]:
        house = self._house

        def see(instance: Instance, taking: Taking) -> Look:
            def look(visited: Instance, visits: Visits, known: Known) -> Look:
                return house.judged_look(visited, visits, known, store, besides=taking)

            longest = house.settings.ssh.look_timeout * 2
            return Visitor(store, look, house.looker.own_key, clock=house.now, longest=longest)(instance)

        return see

    # --- the desk ---

    def listed(self) -> Sequence[Listed]:
        """See ``EvidenceDesk.listed``."""
        place = self.place()
        return [Listed(one, not one.gone and place.size(one.id) == one.size) for one in self._ledger().values()]

    def opened(self, bundle_id: str) -> Opened:
        """See ``EvidenceDesk.opened``."""
        kept, data = self._read(bundle_id)
        members = unpacked(data)
        try:
            index = read(members.get(INDEX, b""))
        except ValueError:
            index = None
        if not isinstance(index, dict):
            raise BadInput(wording.NO_BUNDLE, wording.SEE_JOURNAL)
        return Opened(kept, index, {name: len(one) for name, one in members.items()})

    def fetched(self, bundle_id: str) -> tuple[Kept, bytes]:
        """See ``EvidenceDesk.fetched``."""
        kept, data = self._read(bundle_id)
        with self._house.store() as store, store.write() as tx:
            tx.journal("human", SUBJECT, fetched(kept.id, self._house.person()), self._house.now())
        return kept, data

    def taken(self, name: str, because: str) -> Kept:
        """See ``EvidenceDesk.taken``."""
        house = self._house
        found = house.find([name])
        if len(found) != 1:
            raise BadInput(f"{name!r} names {len(found)} instances", "take evidence of one at a time")
        instance = found[0]
        _ = house.policies  # a mistake in a policy is said before anybody is visited
        with house.store() as store:
            return self.capturer(store).by_hand(house.groups[instance.group], instance, because, house.person())

    def _ledger(self) -> dict[str, Kept]:
        with self._house.store(read_only=True) as store, store.read() as tx:
            return ledger(tx.journal_lines(SUBJECT))

    def _read(self, bundle_id: str) -> tuple[Kept, bytes]:
        known = self._ledger()
        kept = known.get(bundle_id)
        if kept is None:
            raise BadInput(wording.unknown(bundle_id), near.hint(bundle_id, list(known), wording.SEE))
        if kept.gone:
            raise BadInput(wording.gone(kept.id, kept.gone), wording.SEE)
        return kept, self.place().read(kept.id, kept.held)
