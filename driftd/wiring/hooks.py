"""A group's hooks, as configured: paths made absolute, names as the port has them."""

from __future__ import annotations

from driftd.core.ports import HookName, Hooks
from driftd.edges.hooks import CommandHooks
from driftd.settings import GroupSettings, Settings


def hooks_of(settings: Settings, group: GroupSettings) -> Hooks | None:
    """What a group's owner has written to stop and start its service; None where there is nothing of the kind.

    A command with a slash in it is a path like any other of the configuration; one without is looked up in PATH.
    """
    commands = {}
    for name in HookName:
        words = getattr(group.hooks, name.value)
        if words:
            program = str(settings.path(words[0])) if "/" in words[0] else words[0]
            commands[name] = (program, *words[1:])
    return CommandHooks(commands, timeout_s=group.hooks.timeout.total_seconds()) if commands else None
