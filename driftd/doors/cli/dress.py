"""Gives each command its place, its few words and its example (overview.py), and keeps its help plain."""

from __future__ import annotations

from collections.abc import Iterable

import typer
from typer import core
from typer.models import CommandInfo

from driftd.doors.cli.overview import OVERVIEW


def plain(params: Iterable[object]) -> None:
    """What the help shows of ``params``: arguments in capitals, and no type where there is no value."""
    for one in params:
        if isinstance(one, core.TyperArgument):
            one.metavar = one.metavar or one.name.upper()
        elif isinstance(one, core.TyperOption) and one.is_flag:
            one.metavar = ""


class Command(core.TyperCommand):
    """A command whose help is plain."""

    def get_params(self, ctx):  # type: ignore[no-untyped-def]  # Typer's own types are private
        """See ``plain``."""
        params = super().get_params(ctx)
        plain(params)
        return params


class Group(core.TyperGroup):
    """A group of commands whose help is plain."""

    def get_params(self, ctx):  # type: ignore[no-untyped-def]  # see above
        """See ``plain``."""
        params = super().get_params(ctx)
        plain(params)
        return params


def dress(app: typer.Typer, path: str = "") -> None:
    """Give every command of ``app``, and those of its groups, its place, its few words and its example."""
    rows = {name: (panel, short, example) for panel, its in OVERVIEW.items() for name, short, example in its}
    order = list(rows)

    def name_of(info: CommandInfo) -> str:
        return f"{path} {info.name or getattr(info.callback, '__name__', '')}".strip()

    app.registered_commands.sort(key=lambda info: order.index(name_of(info)))
    for info in app.registered_commands:
        panel, info.short_help, example = rows[name_of(info)]
        info.rich_help_panel = None if path else panel
        info.epilog = f"Example: {example}"
        info.cls = Command
    app.registered_groups.sort(key=lambda group: order.index(str(group.name)))
    for group in app.registered_groups:
        group.rich_help_panel, group.short_help, example = rows[str(group.name)]
        group.epilog = f"Example: {example}"
        group.cls = Group
        if group.typer_instance is not None:
            dress(group.typer_instance, str(group.name))
