"""``driftd policy``: what a policy says, before it bites."""

from __future__ import annotations

from typing import Annotated

import typer

from driftd.doors.cli.app import app, of

policy = typer.Typer(help="Read policies before they bite.", no_args_is_help=True)
app.add_typer(policy, name="policy")


@policy.command()
def check(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Packs or files (default: those of the configuration).", show_default=False),
    ] = None,
) -> None:
    """Read policies and say what is wrong with them, with file, line and remedy."""
    for line in of(ctx).house().check_policies(names or []):
        typer.echo(line)
