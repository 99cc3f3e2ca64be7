"""``driftd report``: for auditors, what was so and what was done in a time, with the journal's proof."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from driftd.core.errors import BadInput
from driftd.core.period import Period
from driftd.doors.cli.app import CLEAN, DRIFTED, Context, app, of, span
from driftd.doors.cli.files import ready, write
from driftd.doors.cli.progress import counting
from driftd.doors.house import House
from driftd.doors.report.period import Format, render

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}.*")


@app.command()
def report(
    ctx: typer.Context,
    *,
    since: Annotated[
        str, typer.Option(metavar="30d|DATE", help="From when on: so long ago, or a date in UTC.")
    ] = "30d",
    until: Annotated[str, typer.Option(metavar="7d|DATE", help="Until when (default: now).", show_default=False)] = "",
    form: Annotated[Format, typer.Option("--format", "-f", help="What the report looks like.")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report to this file.")] = None,
) -> None:
    """Report a time for auditors: fleet, sessions, drifts, replacements, what people did, and the journal's proof.

    It is read from the store and the journal alone. Exit status: 0 the journal holds, 1 it is broken.
    """
    context = of(ctx)
    house = context.house()
    ready(output)
    now = house.now()
    begin, end = moment(since, now, "--since"), moment(until, now, "--until") if until else now
    if end <= begin:
        raise BadInput(f"--since {since} is not before --until {until or 'now'}", "turn them round")
    period = _read(context, house, begin, end)
    if output is not None:
        write(output, render(form, period).encode())
        context.err.print(f"written to {output}", highlight=False, markup=False)
    elif form is Format.TABLE and context.out.is_terminal:
        from driftd.doors.report.period.table import show  # noqa: PLC0415  # costs --help a quarter of a second

        context.out.print(show(period, context.out.width))
    else:
        typer.echo(render(form, period), nl=False)
    raise typer.Exit(CLEAN if period.proof.good else DRIFTED)


def moment(text: str, now: datetime, option: str) -> datetime:
    """``30d`` ago, or a date and perhaps a time in ISO 8601, UTC where it names no zone. Raises BadInput."""
    if not _DATE.fullmatch(text):
        try:
            return now - span(text, option)
        except BadInput as error:
            raise BadInput(
                str(error).replace("length of time", "length of time or date"), "30d, or 2026-01-31"
            ) from None
        except OverflowError:
            raise BadInput(f"{option} {text!r} is before all time", "write it like 30d or 2026-01-31") from None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{option} {text!r} is no date", "write it like 2026-01-31, or 2026-01-31T08:00:00Z") from None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _read(context: Context, house: House, begin: datetime, end: datetime) -> Period:
    with counting(context.err) as count:
        return house.recounting().period(begin, end, lambda what, done, of: count(f"reading {what}", done, of))
