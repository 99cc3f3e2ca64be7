"""``driftd rehearse``: the configured groups in a simulated world where much goes wrong, and what held."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from driftd.core.errors import BadInput
from driftd.core.rehearsal import Rehearsed
from driftd.doors.cli import complete
from driftd.doors.cli.app import CLEAN, DRIFTED, Context, app, of
from driftd.doors.cli.files import ready, write
from driftd.doors.cli.progress import counting
from driftd.doors.desks.rehearsing import Play, RehearsalDesk

ENDINGS = (".html", ".svg", ".json")
MOST_SEEDS, MOST_INSTANCES = 1_000_000, 200
INTERRUPTED = 130


@app.command()
def rehearse(
    ctx: typer.Context,
    groups: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[GROUP…]", help="Groups (default: all).", show_default=False, autocompletion=complete.groups
        ),
    ] = None,
    *,
    seeds: Annotated[int, typer.Option("--seeds", "-n", help="How many are played.")] = 200,
    first: Annotated[int, typer.Option("--from", metavar="SEED", help="The first of them.")] = 0,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Play this one, and tell all of it.", show_default=False)
    ] = None,
    size: Annotated[
        int, typer.Option("--size", help="How many instances each group has; 0: as the store last knew.")
    ] = 0,
    owning: Annotated[bool, typer.Option("--owning", help="Slots own a volume and an address each.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes; 0: one for each processor.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write a page (.html), the picture alone (.svg) or all as .json.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Play your groups, by your rules, in a simulated world that crashes, delays, hides, refuses and lies.

    Nothing is reached and nothing is touched. Each seed is a run of its own, the same whenever it is played. Exit
    status: 0 all that must always be true held, 1 something was violated.
    """
    context = of(ctx)
    wish = _wish(groups or [], seed, first, seeds, size, jobs, owning=owning)
    desk = context.house().rehearsing()
    found = desk.begin(wish)
    ready(output)
    if output is not None and output.suffix not in ENDINGS:
        raise BadInput(f"-o {output}: nobody knows what to write there", f"end its name in {', '.join(ENDINGS)}")
    stopped = _play(context, desk, wish, found)
    if output is not None:
        from driftd.doors.report.rehearsal import written  # noqa: PLC0415  # costs --help a quarter of a second

        write(output, written(output.suffix, found).encode())
        context.err.print(f"written to {output}", highlight=False, markup=False)
    _print(context, found, as_json=as_json, timeline=seed is not None)
    if not found.held:
        raise typer.Exit(DRIFTED)
    raise typer.Exit(INTERRUPTED if stopped else CLEAN)


def _wish(groups: list[str], seed: int | None, first: int, seeds: int, size: int, jobs: int, *, owning: bool) -> Play:
    if seeds < 1 or seeds > MOST_SEEDS:
        raise BadInput(f"--seeds {seeds} is no number of runs", f"say how many are played, from 1 to {MOST_SEEDS:,}")
    if first < 0 or (seed or 0) < 0:
        raise BadInput("seeds are counted from 0", "name one that is 0 or more")
    if size < 0 or size > MOST_INSTANCES:
        raise BadInput(f"--size {size} is no size of a group", f"say how many instances, from 1 to {MOST_INSTANCES}")
    if jobs < 0:
        raise BadInput(f"--jobs {jobs} is no number of processes", "say 1 or more, or 0 for one for each processor")
    if seed is not None:
        first, seeds = seed, 1
    return Play(groups, first, seeds, size, min(jobs, 64), owning)


def _play(context: Context, desk: RehearsalDesk, wish: Play, found: Rehearsed) -> bool:
    """Whether it was interrupted."""
    with counting(context.err, one=True) as count:

        def tell(now: Rehearsed) -> None:
            broken = f", {len(now.broken)} violated" if now.broken else ""
            count(f"rehearsing{broken}", now.seeds, now.wanted)

        count("rehearsing", 0, wish.seeds)
        try:
            desk.play(wish, found, tell)
        except KeyboardInterrupt:
            context.err.print(f"interrupted after {found.seeds} of {wish.seeds} seeds", highlight=False)
            return True
    return False


def _print(context: Context, found: Rehearsed, *, as_json: bool, timeline: bool) -> None:
    from driftd.doors.report import rehearsal as report  # noqa: PLC0415  # costs --help a quarter of a second

    if as_json:
        typer.echo(report.as_json(found), nl=False)
        return
    for part in report.table(found, timeline=timeline):
        context.out.print(part)
