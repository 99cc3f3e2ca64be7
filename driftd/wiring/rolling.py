"""Rollouts, joined together: a person's wish with the provider, the manifests and the store."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.core.rollout import Rollout, desired
from driftd.core.wording import near, rollouts
from driftd.doors.desks.rollout import Rolled
from driftd.flows.groups import Group
from driftd.flows.rollout import Wish, ask, go_back

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse


class Rolling:
    """Implements ``driftd.doors.desks.rollout.RolloutDesk`` for one house."""

    def __init__(self, house: WiredHouse) -> None:
        self._house = house

    def shown(self, group: str) -> Rolled:
        known = self._group(group)
        with self._house.store(read_only=True) as store, store.read() as tx:
            chosen = tx.choices(group)
            runs = Counter(row.image for row in tx.instances(group))
            return Rolled(tx.rollouts(group), desired(known.image, chosen), chosen, runs)

    def ask(self, group: str, wish: Wish) -> Rollout:
        known = self._group(group)
        manifest = self._house.manifests.for_image(wish.image)
        if isinstance(manifest, Unseen):
            raise BadInput(f"{group} cannot be rolled out to {wish.image}: {manifest.reason}", manifest.hint)
        if not manifest.enforceable:
            raise BadInput(rollouts.not_vouched(wish.image), f"sign it: driftd manifest sign {wish.image}")
        with self._house.store() as store:
            return ask(store, known, wish, self._house.person(), self._house.now())

    def back(self, group: str, reason: str) -> Rollout:
        known = self._group(group)
        with self._house.store() as store:
            return go_back(store, known, self._house.person(), reason, self._house.now())

    def _group(self, name: str) -> Group:
        known = self._house.groups.get(name)
        if known is None:
            hint = near.hint(name, [*self._house.groups], "see the groups in the configuration")
            raise BadInput(f"no group is called {name!r}", hint)
        return known
