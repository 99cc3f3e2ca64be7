"""``driftd store``: is it whole, a copy of it, a copy put back, and the word of a person that it may act again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from driftd.doors.cli.app import CLEAN, DRIFTED, Context, app, of
from driftd.doors.cli.done import Json, tell
from driftd.doors.cli.files import ready
from driftd.doors.cli.lines import say
from driftd.doors.cli.progress import working
from driftd.doors.desks.keeping import StoreState

store = typer.Typer(help="What driftd remembers: check it, back it up, restore it.", no_args_is_help=True)
app.add_typer(store, name="store")


@store.command()
def check(ctx: typer.Context, as_json: Json = False) -> None:
    """Look whether the store is whole, its chain too; exit status 1 when it is not. It may be in use."""
    context = of(ctx)
    with working(context.err, "checking the store"):
        state = context.house().keeping().check()
    _tell(context, state, as_json=as_json)


@store.command()
def backup(
    ctx: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file; one that is there is replaced.")],
    as_json: Json = False,
) -> None:
    """Copy the store, also while the daemon runs, and look whether the copy is whole."""
    context = of(ctx)
    keeping = context.house().keeping()
    ready(output)
    with working(context.err, f"copying the store to {output}"):
        state = keeping.backup(output)
    _tell(context, state, as_json=as_json)


@store.command()
def restore(ctx: typer.Context, file: Annotated[Path, typer.Argument(help="A backup.")], as_json: Json = False) -> None:
    """Put a backup in the store's place; what was there is kept beside it. Nothing is changed before `store accept`."""
    context = of(ctx)
    with working(context.err, f"restoring {file}"):
        said = context.house().keeping().restore(file)
    _did(context, "restore", said, as_json=as_json)


@store.command()
def upgrade(ctx: typer.Context, as_json: Json = False) -> None:
    """Bring a store of an older driftd up to date, as any command that writes does; a copy is made first."""
    _did(of(ctx), "upgrade", of(ctx).house().keeping().upgrade(), as_json=as_json)


@store.command()
def accept(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option(help="Why it may act again; it stands in the journal.")],
    as_json: Json = False,
) -> None:
    """Say that you looked at the fleet, and that a store that was restored, or seemed old, may act on it again."""
    said = [f"settled: {one}" for one in of(ctx).house().keeping().accept(reason)]
    _did(of(ctx), "accept", said, as_json=as_json)


def _tell(context: Context, state: StoreState, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(state.values))
    else:
        _say(context, state.said)
    raise typer.Exit(CLEAN if state.good else DRIFTED)


def _did(context: Context, did: str, said: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        tell(context, did, ". ".join(said), as_json=True, sentences=list(said))
    else:
        _say(context, said)


def _say(context: Context, sentences: Sequence[str]) -> None:
    for sentence in sentences:
        say(context.out, sentence)
