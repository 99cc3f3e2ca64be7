"""Expire: evidence is removed once its time is over, and the journal says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from driftd.core.asides import RootCopying
from driftd.core.custody.ledger import SUBJECT, Kept, ledger, removed
from driftd.core.custody.terms import Place
from driftd.core.errors import DriftdError
from driftd.core.memory import Store
from driftd.core.wording import custody as wording
from driftd.flows.groups import Group
from driftd.flows.stops import no_fence


class Expirer:
    """Removes bundles that are past what they were to be kept for. Only those that the ledger names: a file of which
    this store knows nothing may be what a store that was put back from a copy forgot.
    """

    def __init__(
        self,
        store: Store,
        place: Place,
        groups: Mapping[str, Group],
        *,
        clock: Callable[[], datetime],
        fence: Callable[[], None] = no_fence,
    ) -> None:
        self._store = store
        self._place = place
        self._groups = groups
        self._clock = clock
        self._fence = fence

    def _uncopied(self, one: Kept) -> None:
        """Its copy of the root volume first: a bundle that is gone would not tell of it any more."""
        group = self._groups.get(one.group)
        if one.root and group is not None and isinstance(group.provider, RootCopying):
            group.provider.delete_root_copy(one.root)

    def tick(self) -> list[str]:
        """One round; what was removed, in sentences."""
        now, said = self._clock(), []
        with self._store.read() as tx:
            over = [one for one in ledger(tx.journal_lines(SUBJECT)).values() if not one.gone and one.until <= now]
        for one in over:
            self._fence()
            text = wording.removed(one.id, one.instance_id, f"{one.until:%Y-%m-%d %H:%M} UTC")
            try:
                self._uncopied(one)
                self._place.remove(one.id)
            except DriftdError as error:
                said.append(wording.not_removed(one.id, str(error)))
                continue
            with self._store.write() as tx:
                tx.journal("decision", SUBJECT, removed(one.id, text), now)
            said.append(text)
        return said
