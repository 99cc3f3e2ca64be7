"""Rehearsing: the groups as they are configured, put before a simulated world. No provider is even loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from driftd.core.errors import BadInput, DriftdError
from driftd.core.findings import Action
from driftd.core.hooks import CALLED_ONCE
from driftd.core.rehearsal import Rehearsed
from driftd.core.wording import rehearsing as said
from driftd.doors.desks.rehearsing import Play, Tell
from driftd.flows.rehearse import rehearse
from driftd.rehearsal import crew
from driftd.rehearsal.scenario import GroupPlan
from driftd.rehearsal.shape import Asked
from driftd.wiring.breaking import limits_of as thresholds_of
from driftd.wiring.groups import limits_of, manner_of
from driftd.wiring.guarding import rules_of

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse

USUAL_SIZE = 3
LOOKING_ONLY = frozenset({"static"})
OWNING = ("volumes", "addresses")


class Rehearsing:
    """Implements ``driftd.doors.desks.rehearsing.RehearsalDesk`` for one house."""

    def __init__(self, house: WiredHouse) -> None:
        self._house = house

    def begin(self, wish: Play) -> Rehearsed:
        return Rehearsed(wish.seeds, tuple(self._notes(wish)), self._again(wish))

    def play(self, wish: Play, into: Rehearsed, tell: Tell) -> None:
        began = monotonic()
        seeds = range(wish.first, wish.first + wish.seeds)
        try:
            rehearse(crew.played(seeds, self._asked(wish), wish.jobs or crew.most()), into, tell)
        finally:
            into.seconds = monotonic() - began

    def _names(self, wish: Play) -> list[str]:
        settings = self._house.settings
        if not settings.groups:
            hint = "write one: driftd init; docs/configuration.md shows all there is"
            raise BadInput("no group is configured, so there is nothing to rehearse", hint)
        for name in wish.groups:
            settings.group(name)
        return list(dict.fromkeys(wish.groups or settings.groups))

    def _again(self, wish: Play) -> str:
        """The command that plays the same again, but for the seed."""
        names = self._names(wish)
        sizes = {self._size(name, wish)[0] for name in names}
        # Where groups are not alike, only the store knows how large each is.
        size = [f"--size {sizes.pop()}"] if len(sizes) == 1 else []
        return " ".join(["driftd rehearse", *wish.groups, *size, *(["--owning"] if wish.owning else [])])

    def _asked(self, wish: Play) -> Asked:
        settings = self._house.settings
        plans = tuple(self._plan(name, wish) for name in self._names(wish))
        return Asked(plans, thresholds_of(settings))

    def _plan(self, name: str, wish: Play) -> GroupPlan:
        settings = self._house.settings
        group, hooks = settings.groups[name], settings.groups[name].hooks
        return GroupPlan(
            name=name,
            size=self._size(name, wish)[0],
            rules=replace(rules_of(settings, name, group), enforce=Action.REPLACE),
            manner=manner_of(group),
            limits=limits_of(settings, group),
            watched=True,
            owning=wish.owning or self._owns(name),
            hooked=bool(hooks.quiesce or hooks.step_down or hooks.serve),
            once=CALLED_ONCE & {known for known, _ in hooks.each()},
            every=group.every,
            keep_snapshots=group.replacing.keep_snapshots,
            zones=tuple(group.zones),
        )

    def _owns(self, name: str) -> bool:
        """Whether the provider's section names one of the group's slots as the owner of a volume or an address."""
        section = self._house.settings.providers.get(self._house.settings.groups[name].provider, {})
        return any(f"{name}/" in str(section.get(kind, "")) for kind in OWNING)

    def _size(self, name: str, wish: Play) -> tuple[int, str]:
        """How many instances, and who says so."""
        if wish.size:
            return wish.size, "as you say"
        if listed := len(self._house.settings.groups[name].hosts):
            return listed, "as the configuration lists"
        try:
            with self._house.store(read_only=True) as store, store.read() as tx:
                known = len(tx.instances(name))
        except DriftdError:  # nothing is needed of it
            known = 0
        if known:
            return known, "as the store last knew"
        return USUAL_SIZE, "since nobody knows how many it has (say --size)"

    def _notes(self, wish: Play) -> Iterator[str]:
        for name in self._names(wish):
            group = self._house.settings.groups[name]
            yield said.size(name, *self._size(name, wish))
            if self._house.settings.kind_of(group.provider) in LOOKING_ONLY:
                yield said.cannot_replace(name, group.provider)
            if group.enforce == "observe":
                yield said.only_observes(name)
