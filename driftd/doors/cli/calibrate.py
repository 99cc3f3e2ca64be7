"""``driftd calibrate``: what an image's instances do by themselves, learnt from pristine ones."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from driftd.core.errors import BadInput
from driftd.core.wording import printable
from driftd.doors.cli.app import app, of
from driftd.doors.cli.files import ready
from driftd.doors.desks.calibration import Tell, Wish


class Format(StrEnum):
    """What is printed at the end."""

    TABLE = "table"
    JSON = "json"


@app.command()
def calibrate(
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(metavar="GROUP|IMAGE", help="A group (its image is meant), or an image.")],
    *,
    group: Annotated[str, typer.Option("--group", "-g", help="The group that launches, where an image is named.")] = "",
    instances: Annotated[int, typer.Option("--instances", "-n", help="How many are launched.")] = 3,
    wait: Annotated[str, typer.Option(help="How long they are left alone between two looks; 0s to look once.")] = "60s",
    no_restart: Annotated[bool, typer.Option("--no-restart", help="Do not restart them for a last look.")] = False,
    at_most: Annotated[
        str, typer.Option(help="The longest that all of it may take; what a crash leaves is ended after that.")
    ] = "1h",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the overlay here, not beside the manifest.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be launched and written.")] = False,
    form: Annotated[Format, typer.Option("--format", "-f", help="What is printed at the end.")] = Format.TABLE,
) -> None:
    """Launch pristine instances, watch what they do by themselves, and propose a rule for each of it.

    They are looked at after boot, after a while and after a restart, and ended. Nothing is proposed about code, who may
    log in, units, schedules and the boot: that is listed for a person.
    """
    context = of(ctx)
    desk = context.house().calibrating()
    ready(output)
    wish = Wish(
        target=target,
        group=group,
        instances=instances,
        wait=_span("--wait", wait),
        restart=not no_restart,
        at_most=_span("--at-most", at_most),
        output=output,
    )
    from driftd.doors.report import calibration as report  # noqa: PLC0415  # costs --help a quarter of a second

    if dry_run:
        intended = desk.intended(wish)
        if form is Format.JSON:
            typer.echo(json.dumps(report.intention(intended), indent=2))
        else:
            context.out.print(report.plan(intended))
        return
    with _progress(context.err) as tell, _terminated_like_interrupted():
        outcome = desk.calibrate(wish, tell)
    if form is Format.JSON:
        typer.echo(json.dumps(report.values(outcome), indent=2))
    else:
        context.out.print(report.render(outcome), crop=False)  # a command to copy stays whole


def _span(option: str, text: str) -> timedelta:
    from driftd.settingparts import duration  # noqa: PLC0415  # costs --help a quarter of a second

    try:
        return duration(text)
    except ValueError as error:
        raise BadInput(f"{option}: {error}", "write it like 90s, 5m or 2h") from None


@contextmanager
def _progress(console: Console) -> Iterator[Tell]:
    """A line for each thing that is done: as bars on a terminal, else one sentence when it is over."""
    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[why]}", style="dim", markup=False),
    )
    shown = console.is_terminal
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not shown) as progress:

        def tell(what: str, done: int, of: int, why: str) -> None:
            if not shown:
                if done == of:
                    console.print(f"{what}: done", highlight=False, markup=False)
                return
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=of, why="")
            progress.update(tasks[what], completed=done, why=printable(why))

        yield tell


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Whoever is asked to end ends what was launched first, and is not to be hurried in that (Ctrl-C twice does)."""
    kinds = (signal.SIGTERM, signal.SIGHUP)

    def interrupted(_number: int, _frame: object) -> None:
        for number in kinds:  # a terminal that goes away, and what started us, may both say so
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupted) for number in kinds}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
