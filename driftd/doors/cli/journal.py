"""``driftd journal``: the hash-chained record of every decision and call."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from driftd.core.journal import exported
from driftd.doors.cli.app import CLEAN, DRIFTED, app, of

journal = typer.Typer(help="The hash-chained record of every decision and call.", no_args_is_help=True)
app.add_typer(journal, name="journal")


@journal.command()
def verify(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Say it in JSON.")] = False,
) -> None:
    """Check the whole chain; exit status 1 when it is broken."""
    result = of(ctx).house().verify_journal()
    typer.echo(json.dumps(result) if as_json else result["said"])
    raise typer.Exit(CLEAN if result["ok"] else DRIFTED)


@journal.command()
def show(
    ctx: typer.Context,
    subject: Annotated[str | None, typer.Argument(help="Only lines about this replacement or instance.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print the journal, oldest line first."""
    with of(ctx).house().store(read_only=True) as store, store.read() as tx:
        for line in tx.journal_lines(subject):
            if as_json:
                typer.echo(exported(line))
            else:
                body = json.dumps(dict(line.body), sort_keys=True, ensure_ascii=True, default=str)
                when = f"{line.at:%Y-%m-%d %H:%M:%S}"
                typer.echo(f"{line.seq:>5} {when} {line.kind:<11} {line.subject} {body} {line.hash[:12]}")
