"""``driftd explain``: of a finding or an instance, what differs, since when, because of what, and what comes next."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from driftd.doors.cli.app import app, of
from driftd.doors.cli.complete import explainable


class Format(StrEnum):
    """What the explanation looks like."""

    TEXT = "text"
    JSON = "json"


@app.command()
def explain(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="FINDING|INSTANCE",
            help="A finding's number or signature; an instance's id or slot.",
            autocompletion=explainable,
        ),
    ],
    form: Annotated[Format, typer.Option("--format", "-f", help="What it looks like.")] = Format.TEXT,
) -> None:
    """Say what differs and since when, which rule judged it, where else it is, what comes next and how to stop it."""
    context = of(ctx)
    asked = context.house().explaining().explain(name)
    from driftd.doors.report import explaining  # noqa: PLC0415  # costs --help a quarter of a second

    if form is Format.JSON:
        typer.echo(explaining.text(asked), nl=False)
    else:
        context.out.print(explaining.render(asked))
