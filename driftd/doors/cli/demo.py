"""``driftd demo``: the main job on real local servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from driftd.doors.cli.app import CLEAN, DRIFTED, app, of
from driftd.doors.cli.files import ready, write
from driftd.doors.demo import story
from driftd.doors.demo.stage import Stage, Where
from driftd.doors.demo.view import watching


@app.command()
def demo(
    ctx: typer.Context,
    provider: Annotated[
        Where,
        typer.Option(help="Servers of this kernel, or these behind an emulator of AWS: the same story by AWS's API."),
    ] = Where.LOCAL,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the fleet running, with the commands to try next.")
    ] = False,
    clean: Annotated[bool, typer.Option("--clean", help="Only remove what an earlier demo left.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the outcome to this file.")] = None,
) -> None:
    """Bake, launch, log in, change a file, see it, replace the server without losing a request, prove it."""
    context = of(ctx)
    house = context.house()
    ready(json_file)
    status = house.demo_inside(provider, keep=keep)
    if status is not None:
        raise typer.Exit(status)
    if clean:
        for line in house.demo_clean() or ["There was nothing to remove."]:
            context.out.print(line, highlight=False, markup=False)
        return
    stage = house.demo_stage(provider)
    ended = CLEAN
    try:
        with watching(context.out) as view:
            outcome = story.tell(stage, view)
        story.conclude(outcome, context.out)
        if json_file is not None:
            write(json_file, (json.dumps(outcome.as_json(), indent=2, default=str) + "\n").encode())
        ended = CLEAN if outcome.held else DRIFTED
    finally:
        _leave(context.out, stage, keep=keep)
    raise typer.Exit(ended)


def _leave(out: Console, stage: Stage, *, keep: bool) -> None:
    """Take the fleet down, or say what can be tried on it."""
    if not keep:
        stage.stop_load()
        stage.stop_daemon()
        stage.clean()
        return
    hints = stage.hints()
    if not hints:
        return
    out.print()
    out.print("The fleet is yours. Try:", style="bold")
    for command, shows in hints:
        out.print(f"  {command}", style="cyan", highlight=False, markup=False, soft_wrap=True)
        out.print(f"      {shows}", style="dim", highlight=False, markup=False)
