"""``driftd pause`` and ``resume``: one command stops what goes forward, or with ``--hard`` every change."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from driftd.core.errors import DriftdError
from driftd.core.memory import LeaseHeld, Pause, StoreUnavailable
from driftd.doors.cli.app import app, of
from driftd.doors.cli.complete import groups
from driftd.doors.cli.done import Json, tell
from driftd.flows.naming import the_group

Group = Annotated[
    str,
    typer.Option(
        "--group", "-g", help="Only this group (default: everywhere).", show_default=False, autocompletion=groups
    ),
]


@app.command()
def pause(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option(help="Why; it is shown wherever something waits because of it.")],
    group: Group = "",
    hard: Annotated[bool, typer.Option("--hard", help="Stop undoing, too: not one call is made.")] = False,
    as_json: Json = False,
) -> None:
    """Stop now: nothing new is begun, nothing under way goes forward. Looking goes on, and so does undoing."""
    context = of(ctx)
    house = context.house()
    now, owner = house.now(), house.person()
    try:
        with house.store() as store, store.write() as tx:
            if group:
                the_group(tx, group, house.known_groups())
            tx.set_pause(Pause(group, owner, reason, now, hard))
            body = {"did": "pause", "owner": owner, "reason": reason, "hard": hard}
            tx.journal("human", group or "everywhere", body, now)
    except (StoreUnavailable, LeaseHeld) as error:  # LeaseHeld: an older daemon runs, which heeds the file, too
        context.err.print(
            f"The store did not take it ({error}); the pause file does, and stops undoing, too: {house.pause_file()}",
            highlight=False,
            markup=False,
        )
        # That it exists is what counts; on a full disk its text may find no room.
        house.pause_file().touch()
        with contextlib.suppress(OSError):
            house.pause_file().write_text(f"{owner}: {reason}\n", encoding="utf-8")
    also = ", undoing too" if hard else ""
    said = f"Paused {group or 'everywhere'}{also}: {reason}"
    tell(context, "pause", said, as_json=as_json, group=group, owner=owner, hard=hard)


@app.command()
def resume(ctx: typer.Context, group: Group = "", as_json: Json = False) -> None:
    """Let changes go on."""
    context = of(ctx)
    house = context.house()
    now, owner = house.now(), house.person()
    file, refused = house.pause_file(), None
    was = False
    try:
        with house.store() as store, store.write() as tx:
            was = tx.clear_pause(group)
            if was:
                tx.journal("human", group or "everywhere", {"did": "resume", "owner": owner}, now)
            elif group:
                the_group(tx, group, house.known_groups())
    except (StoreUnavailable, LeaseHeld) as error:  # the file is another matter: it may be older than the fault
        refused = error
    if file.exists() and not group:
        _remove(file, was)
        if refused is not None:
            raise type(refused)(
                f"The pause file {file} is removed; what is paused in the store still is: {refused}",
                f"{refused.hint} Then say driftd resume again.".lstrip(),
            )
        was = True
    if refused is not None:
        raise refused
    where = f"in {group}" if group else "everywhere"
    said = f"Resumed {group or where}." if was else f"Nothing was paused {where}."
    if group and file.exists():
        said += f" The pause file {file} still stops everything; driftd resume, without a group, removes it."
    tell(context, "resume", said, as_json=as_json, group=group, was_paused=was)


def _remove(file: Path, was: bool) -> None:
    """The pause file, which somebody else may just have removed."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        done = "The pause in the store is lifted, but the" if was else "The"
        raise DriftdError(
            f"{done} pause file {file} cannot be removed and still stops everything: {error.strerror or error}",
            "Remove it as its owner.",
        ) from error
