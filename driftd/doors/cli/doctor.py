"""``driftd doctor``: everything that is configured, looked at once, with what to do about what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from driftd.core.checkup import Mark, Point, status
from driftd.core.errors import BadInput
from driftd.core.wording import doctor as say
from driftd.core.wording import printable
from driftd.doors.cli.app import Context, app, of, span
from driftd.doors.cli.complete import instances
from driftd.doors.cli.lines import symbols
from driftd.doors.cli.progress import counting
from driftd.flows.checkup import checkup

SCHEMA = "driftd.doctor/1"
_MARKS = (Mark.GOOD, Mark.NOTE, Mark.UNSEEN, Mark.WRONG, Mark.UNUSABLE)
_SHOWN = ("✓", "!", "✗", "✗", "✗")
_PLAIN = ("ok", "!!", "no", "no", "no")
_STYLES = {
    Mark.GOOD: "green",
    Mark.NOTE: "yellow",
    Mark.UNSEEN: "bold red",
    Mark.WRONG: "bold red",
    Mark.UNUSABLE: "bold red",
}


@app.command()
def doctor(
    ctx: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            help="Visit only these: instances, slots, groups or addresses.",
            show_default=False,
            autocompletion=instances,
        ),
    ] = None,
    *,
    login: Annotated[
        bool, typer.Option("--login/--no-login", help="Log in to instances; else their host keys alone are looked at.")
    ] = True,
    most: Annotated[int, typer.Option(min=1, help="How many instances of each group are visited.")] = 10,
    timeout: Annotated[str, typer.Option(help="The longest that all of it may take.")] = "60s",
    as_json: Annotated[bool, typer.Option("--json", help="Say it in JSON.")] = False,
) -> None:
    """Check everything that is configured, and say what to do about what is wrong. Nothing is changed.

    Exit status: 0 nothing to mend, 1 something to mend, 2 the configuration cannot be used, 3 something that cannot be
    reached. A visit is announced in the store, as that of every look.
    """
    context, limit = of(ctx), span(timeout, "--timeout").total_seconds()
    try:
        checks = context.house().doctor().checks(targets or [], login=login, most=most)
    except BadInput as error:
        if targets:
            raise
        found = [Point("configuration", str(context.config or ""), Mark.UNUSABLE, str(error), error.hint)]
        _tell(context, found, as_json=as_json)
        raise typer.Exit(status(found)) from None
    found = []
    with counting(context.err, one=True) as count:
        count("checking", 0, len(checks))
        area = ""
        for done, (check, points) in enumerate(zip(checks, checkup(checks, limit_s=limit), strict=True), start=1):
            found += points
            count(f"checked {check.area}", done, len(checks))
            if not as_json:
                area = _lines(context.out, points, area)
    if as_json:
        _tell(context, found, as_json=True)
    else:
        context.out.print(_amount(found))
    raise typer.Exit(status(found))


def _tell(context: Context, points: Sequence[Point], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(values(points), indent=2))
    else:
        _lines(context.out, points, "")
        context.out.print(_amount(points))


def _lines(out: Console, points: Iterable[Point], area: str) -> str:
    """A line for each, below its area's name; the area that was told last."""
    marks = dict(zip(_MARKS, symbols(out, _SHOWN, _PLAIN), strict=True))
    for one in points:
        if one.area != area:
            area = one.area
            out.print(Text(area, "bold"))
        line = Text.assemble((f"{marks[one.mark]} ", _STYLES[one.mark]))
        if one.about and one.about != area:
            line.append(f"{printable(one.about)}: ", "cyan")
        line.append(printable(one.says))
        _print(out, line, 2)
        if one.hint and one.mark is not Mark.GOOD:
            _print(out, Text(f"next: {printable(one.hint)}", "dim"), 4)
    return area


def _print(out: Console, line: Text, indent: int) -> None:
    """Folded below itself on a terminal; whoever reads the other end of a pipe wants it whole."""
    if out.is_terminal:
        out.print(Padding(line, (0, 0, 0, indent), expand=False))
    else:
        out.print(" " * indent + line.plain, markup=False, highlight=False, soft_wrap=True)


def _amount(points: Sequence[Point]) -> Text:
    marks = [one.mark for one in points]
    wrong = marks.count(Mark.WRONG) + marks.count(Mark.UNUSABLE)
    unseen = marks.count(Mark.UNSEEN)
    said = say.amounts_to(marks.count(Mark.GOOD), marks.count(Mark.NOTE), wrong, unseen)
    return Text(said, "bold red" if wrong or unseen else "bold")


def values(points: Sequence[Point]) -> dict[str, object]:
    """The same for machines."""
    return {
        "schema": SCHEMA,
        "status": status(points),
        "points": [
            {"area": one.area, "about": one.about, "mark": one.mark, "says": one.says, "hint": one.hint}
            for one in points
        ],
    }
