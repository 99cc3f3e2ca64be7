"""Sole: several sections of providers side by side, where each instance is of one of them and of no other.

The store, locks and looks know an instance by its id. So one that two sections tell of is nobody's until that is
mended: both refuse to list it, and what cannot be listed is not changed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from driftd.core.asides import hand_on
from driftd.core.errors import Refused
from driftd.core.facts import Instance
from driftd.core.ports import Compute, Inventory, Provider

HINT = "make the select of one of them narrower, or let one section serve both groups"


class Claims:
    """Which instances each section told of last, by group. May be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, dict[str, frozenset[str]]] = {}

    def take(self, section: str, found: Iterable[Instance], group: str = "") -> None:
        """What ``section`` has now, in ``group`` or (of "") in all of its groups. Raises ``Refused`` where another
        section has one of them, too; that is remembered, so that the other one is refused as well.
        """
        by_group: dict[str, set[str]] = {group: set()} if group else {}
        for one in found:
            by_group.setdefault(group or one.group, set()).add(one.id)
        with self._lock:
            told = {name: frozenset(ids) for name, ids in by_group.items()}
            self._told[section] = {**self._told.get(section, {}), **told} if group else told
            self._refuse(section, told)

    def check(self, section: str, found: Iterable[Instance]) -> None:
        """The same of some, with nothing remembered."""
        by_group: dict[str, set[str]] = {}
        for one in found:
            by_group.setdefault(one.group, set()).add(one.id)
        with self._lock:
            self._refuse(section, by_group)

    def _refuse(self, section: str, told: Mapping[str, Iterable[str]]) -> None:
        for group, ids in sorted(told.items()):
            for other, groups in sorted(self._told.items()):
                for its, theirs in sorted(groups.items()) if other != section else ():
                    if both := sorted(theirs.intersection(ids)):
                        raise Refused(
                            f"{both[0]} is in group {group} of providers.{section} and in group {its} of "
                            f"providers.{other}, and an instance is in one",
                            HINT,
                        )


def sole(provider: Provider, section: str, claims: Claims) -> Provider:
    """``provider`` under the name of its section, and refusing what another section has, too."""
    return cast("Provider", _Sole(provider, section, claims))


class _Sole:
    def __init__(self, provider: Provider, section: str, claims: Claims) -> None:
        self._provider = provider
        self.name = section
        self.inventory = _Inventory(provider.inventory, section, claims)
        self.compute = None if provider.compute is None else _Compute(provider.compute, section, claims)
        self.traffic, self.volumes, self.addresses = provider.traffic, provider.volumes, provider.addresses
        hand_on(provider, self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)


class _Inventory:
    def __init__(self, plain: Inventory, section: str, claims: Claims) -> None:
        self._plain, self._section, self._claims = plain, section, claims

    def find(self, group: str) -> Sequence[Instance]:
        found = self._plain.find(group)
        self._claims.take(self._section, found, group)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


class _Compute:
    def __init__(self, plain: Compute, section: str, claims: Claims) -> None:
        self._plain, self._section, self._claims = plain, section, claims

    def list(self, tags: Mapping[str, str]) -> Sequence[Instance]:
        found = self._plain.list(tags)
        if tags:
            self._claims.check(self._section, found)
        else:
            self._claims.take(self._section, found)
        return found

    def describe(self, instance_id: str) -> Instance:
        found = self._plain.describe(instance_id)
        self._claims.check(self._section, [found])
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)
