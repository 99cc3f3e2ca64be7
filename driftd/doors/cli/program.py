"""The program: its commands, each read from its file when it is called. ``driftd --help`` reads none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer import core

from driftd.doors.cli.app import app
from driftd.doors.cli.dress import Group, dress
from driftd.doors.cli.front import front
from driftd.doors.cli.overview import OVERVIEW, PANELS

# Importing a file registers its commands; those that are not named here stand in a file of their own name.
FILES: Mapping[str, str] = {
    "manifest": "manifest_exports",
    "accepted": "accept",
    "unaccept": "accept",
    "apply": "plan",
    "approve": "hold",
    "deny": "hold",
    "release": "hold",
    "resume": "pause",
    "cancel": "replace",
    "reset": "breakers",
}


class Mention(core.TyperCommand):
    """A command that has a place in the help, and whose file was not read."""


class Program(Group):
    """The root of the commands."""

    completing = False

    def __init__(self, **given):  # type: ignore[no-untyped-def]  # Typer's own; see TyperGroup
        """What Typer gives its groups."""
        super().__init__(**given)
        made = self.commands
        self.commands = {
            name: made.get(name) or Mention(name=name, short_help=short, rich_help_panel=panel)
            for panel in PANELS
            for name, short, _ in OVERVIEW[panel]
        }

    def get_command(self, ctx, cmd_name):  # type: ignore[no-untyped-def]  # Typer's own types are private
        """The command of that name, its file read; what is mentioned of it while names are completed. None: no such."""
        if isinstance(self.commands.get(cmd_name), Mention) and not self.completing:
            read(cmd_name)
            self.commands[cmd_name] = typer.main.get_group(app).commands[cmd_name]
        return super().get_command(ctx, cmd_name)

    def format_help(self, ctx, formatter):  # type: ignore[no-untyped-def]  # noqa: ARG002  # Typer's signature
        """Print the help's first page."""
        front()

    def shell_complete(self, ctx, incomplete):  # type: ignore[no-untyped-def]  # see above
        """Names of commands, and options."""
        self.completing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self.completing = False


def read(name: str) -> None:
    """Register the command ``name``, and what stands in the same file."""
    import_module(f"{__package__}.{FILES.get(name, name)}")
    dress(app)


@cache
def command() -> Callable[..., Any]:
    """The program as it is called: made once in a process, and each command in it when it is first called."""
    return typer.main.get_command(app)


def whole() -> typer.Typer:
    """The program with all its commands read: for who wants to know them all."""
    for panel in PANELS:
        for name, _, _ in OVERVIEW[panel]:
            read(name)
    return app


app.info.cls = Program

__all__ = ["FILES", "Mention", "Program", "app", "command", "read", "whole"]
