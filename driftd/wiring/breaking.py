"""Circuit breakers, joined together: metered providers, the rules' numbers, and what decides what counts as drift."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from driftd import __version__
from driftd.core.breakers.breaker import FLEET, of_group
from driftd.core.breakers.facts import Leftover
from driftd.core.breakers.limits import Thresholds
from driftd.core.memory import Store
from driftd.core.ports import Provider
from driftd.flows.groups import Group
from driftd.flows.metered import Meter, metered
from driftd.flows.trip import Tripper
from driftd.probe import wire
from driftd.settings import Settings
from driftd.wiring.answering import digest_of

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse


def limits_of(settings: Settings) -> Thresholds:
    """The rules' numbers, as configured."""
    return Thresholds(**settings.breakers.model_dump())


class Watch:
    """What the daemon trips its breakers by. ``groups`` are the house's, each with its calls counted."""

    def __init__(self, house: WiredHouse, store: Store) -> None:
        self._house = house
        self._store = store
        self._meter = Meter(house.now)

    @cached_property
    def groups(self) -> Mapping[str, Group]:
        """One meter and one wrapping for each provider."""
        wrapped: dict[int, Provider] = {}
        for group in self._house.groups.values():
            wrapped.setdefault(id(group.provider), metered(group.provider, self._meter))
        return {
            name: replace(group, provider=wrapped[id(group.provider)]) for name, group in self._house.groups.items()
        }

    def tripper(self, left: Callable[[], Mapping[str, Sequence[Leftover]]], clock: Callable[[], datetime]) -> Tripper:
        """Holds the rules against what is so. ``left`` is what the janitor could not clean up."""
        return Tripper(
            self._store,
            self.groups,
            clock=clock,
            meter=self._meter,
            limits=limits_of(self._house.settings),
            versions=lambda: self._versions,
            left=left,
        )

    @cached_property
    def _versions(self) -> Mapping[tuple[str, str], str]:
        """Read once: policies are, too."""
        settings = self._house.settings
        rules = {(f"the rules of {name}", of_group(name)): digest_of(settings, name) for name in settings.groups}
        return {("driftd", FLEET): __version__, ("the probe's schema", FLEET): str(wire.SCHEMA), **rules}
