"""A group's owner: of the cloud's hooks those that the group has, and whom they were told of."""

from __future__ import annotations

from collections.abc import Mapping

from driftd.core.facts import Instance, Unseen
from driftd.core.hooks import HookName, Hooks, NotYet


class Owner:
    """Implements ``Hooks`` for one group. ``told`` gets each (hook, instance) that was said to be done."""

    def __init__(self, hooks: Hooks, names: frozenset[HookName], told: set[tuple[str, str]]) -> None:
        self._hooks = hooks
        self._names = names
        self._told = told

    def has(self, name: HookName) -> bool:
        """See ``Hooks.has``."""
        return name in self._names and self._hooks.has(name)

    def run(self, name: HookName, instance: Instance, group: str, facts: Mapping[str, str]) -> str | NotYet:
        """See ``Hooks.run``."""
        if not self.has(name):
            return ""
        said = self._hooks.run(name, instance, group, facts)
        if said == "":
            self._told.add((name.value, instance.id))
        return said

    def ask(self, name: HookName, instance: Instance, group: str) -> bytes | Unseen:
        """See ``Hooks.ask``."""
        return self._hooks.ask(name, instance, group)
