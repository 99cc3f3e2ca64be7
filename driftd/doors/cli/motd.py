"""``driftd motd``: what a person reads at login: what will happen to the server, when, and how to hold it."""

from __future__ import annotations

from typing import Annotated

import typer

from driftd.doors.cli.app import app, of
from driftd.doors.cli.complete import instances


@app.command()
def motd(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="GROUP|INSTANCE",
            help="A group, for a file in its image; or an instance (id, slot or address).",
            autocompletion=instances,
        ),
    ],
) -> None:
    """Print what a person at login should know: that it is noted, what follows from it and when, and how to hold it.

    The text of a group is true at any time, so that an image may hold it as a plain file (docs/sessions.md).
    """
    typer.echo(of(ctx).house().explaining().motd(name), nl=False)
