"""A group's hooks, as configured: paths made absolute, names as the port has them, commands and HTTP calls joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from driftd.core.errors import BadInput
from driftd.core.facts import Instance, Unseen
from driftd.core.hooks import HookName, Hooks, NotYet, OnFailure, Terms
from driftd.edges.hooks import CommandHooks
from driftd.edges.http.hooks import HttpHooks, Place
from driftd.edges.http.server import Server
from driftd.settinghooks import HookSetting
from driftd.settings import GroupSettings, Settings


def _now() -> datetime:
    return datetime.now(UTC)


class JoinedHooks:
    """``Hooks`` of several kinds: each hook is of the one kind that has it."""

    def __init__(self, kinds: Sequence[Hooks]) -> None:
        self._kinds = {name: kind for kind in kinds for name in HookName if kind.has(name)}

    def has(self, name: HookName) -> bool:
        """See ``Hooks.has``."""
        return name in self._kinds

    def run(self, name: HookName, instance: Instance, group: str, facts: Mapping[str, str]) -> str | NotYet:
        """See ``Hooks.run``."""
        return self._kinds[name].run(name, instance, group, facts) if self.has(name) else ""

    def ask(self, name: HookName, instance: Instance, group: str) -> bytes | Unseen:
        """See ``Hooks.ask``."""
        if not self.has(name):
            return Unseen(f"{group} has no {name} hook", f"name one: groups.{group}.hooks.{name}")
        return self._kinds[name].ask(name, instance, group)


def hooks_of(
    settings: Settings, group: GroupSettings, name: str = "", clock: Callable[[], datetime] = _now
) -> Hooks | None:
    """What the owner of the group ``name`` has to say or do; None where there is nothing of the kind. Raises BadInput.

    A command with a slash in it is a path like any other of the configuration; one without is looked up in PATH.
    """
    commands, places, timeouts = {}, {}, {}
    for hook, said in group.hooks.each():
        timeouts[hook] = (said.timeout or group.hooks.timeout).total_seconds()
        if said.command:
            first, *more = said.command
            commands[hook] = (str(settings.path(first)) if "/" in first else first, *more)
            continue
        try:
            places[hook] = _place(settings, said, timeouts[hook])
        except BadInput as error:
            raise BadInput(f"groups.{name}.hooks.{hook}: {error}", error.hint) from None
    if not commands and not places:
        return None
    return JoinedHooks([CommandHooks(commands, timeouts_s=timeouts), HttpHooks(places, clock)])


def _place(settings: Settings, said: HookSetting, timeout_s: float) -> Place:
    def file(path: str) -> Path | None:
        return settings.path(path) if path else None

    token = file(said.token_file)
    server = Server(said.url, timeout_s=timeout_s, token_file=token, ca_file=file(said.ca_file))
    return Place(server, token, file(said.secret_file))


def terms_of(group: GroupSettings) -> tuple[Terms, ...]:
    """What is declared of each hook. Handing leadership over is a part of coming to rest."""
    usual, found = Terms(), {}
    for name, said in group.hooks.each():
        if name is HookName.STEP_DOWN and group.hooks.quiesce is not None:
            continue
        known = HookName.QUIESCE if name is HookName.STEP_DOWN else name
        within = usual.within if said.within is None else said.within
        found[known] = Terms(known.value, said.on_failure or OnFailure.ABORT, within)
    return tuple(found.values())
