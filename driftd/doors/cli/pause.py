"""``driftd pause`` and ``resume``: one command stops what goes forward, or with ``--hard`` every change."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from driftd.core.memory import LeaseHeld, Pause, StoreUnavailable
from driftd.core.wording import printable
from driftd.doors.cli.app import app, of

Group = Annotated[str, typer.Option("--group", "-g", help="Only this group (default: everywhere).", show_default=False)]


@app.command()
def pause(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option(help="Why; it is shown wherever something waits because of it.")],
    group: Group = "",
    hard: Annotated[bool, typer.Option("--hard", help="Stop undoing, too: not one call is made.")] = False,
) -> None:
    """Stop now: nothing new is begun, nothing under way goes forward. Looking goes on, and so does undoing."""
    context = of(ctx)
    house = context.house()
    now, owner = house.now(), house.person()
    try:
        with house.store() as store, store.write() as tx:
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
    context.out.print(printable(said), highlight=False, markup=False)


@app.command()
def resume(ctx: typer.Context, group: Group = "") -> None:
    """Let changes go on."""
    context = of(ctx)
    house = context.house()
    now, owner = house.now(), house.person()
    with house.store() as store, store.write() as tx:
        was = tx.clear_pause(group)
        if was:
            tx.journal("human", group or "everywhere", {"did": "resume", "owner": owner}, now)
    file = house.pause_file()
    if not group and file.exists():
        file.unlink()
        was = True
    said = (
        f"Resumed {group or 'everywhere'}."
        if was
        else f"Nothing was paused {'in ' + group if group else 'everywhere'}."
    )
    context.out.print(said, highlight=False, markup=False)
