"""``driftd history``: of one instance who was there, what was found, what people and driftd did, in order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from driftd.core.outlook import Outlook
from driftd.core.wording import count, printable
from driftd.doors.cli.app import app, of
from driftd.doors.cli.complete import one_instance
from driftd.doors.cli.lines import none, say, show, stacked, total

if TYPE_CHECKING:
    from driftd.core.history import Event, History

_STYLES = {"session": "red", "finding": "yellow", "hold": "cyan"}


@app.command()
def history(
    ctx: typer.Context,
    instance: Annotated[
        str,
        typer.Argument(
            help="The instance, by id, slot or address; also one that is gone.", autocompletion=one_instance
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Say it in JSON.")] = False,
) -> None:
    """Say of one instance who was on it, what was found and done, its taint, and what follows from that and when."""
    context = of(ctx)
    found = context.house().explaining().history(instance)
    if as_json:
        typer.echo(json.dumps(_values(found), indent=2))
        return
    row = found.row
    gone = f", gone since {row.gone_at:%Y-%m-%d %H:%M:%S} UTC" if row.gone_at else ""
    head = f"{row.id} ({row.slot or 'no slot'}) in {row.group}, {row.verdict}: {row.reason}{gone}"
    say(context.out, head, "bold")
    lines = [(f"tainted: {row.taint}", "red")] if row.taint else []
    if found.follows is not None:
        lines.append((found.follows.says, "red"))
        if found.follows.hold:
            lines.append((f"to keep it longer: {found.follows.hold}", "dim"))
    for said, style in lines:
        say(context.out, said, style)
    if found.left:
        total(context.out, f"{count(found.left, 'older event')} left out")
    if found.events:
        show(context.out, stacked(("when (UTC)", "what", "says"), map(_row, found.events)))
    else:
        none(context.out, "Nothing happened that the store knows of.")
    total(context.out, f"driftd itself was there in {count(found.visits, 'recorded session')}")


def _row(event: Event) -> tuple[Sequence[Text], Sequence[Text]]:
    when = Text(f"{event.at:%Y-%m-%d %H:%M:%S}", "dim")
    return (when, Text(event.what)), [Text(printable(event.says), _STYLES.get(event.what, ""))]


def _values(found: History) -> dict[str, object]:
    """The same for machines."""
    row = found.row
    return {
        "schema": "driftd.history/1",
        "id": row.id,
        "group": row.group,
        "slot": row.slot,
        "verdict": row.verdict,
        "reason": row.reason,
        "gone_at": row.gone_at.isoformat() if row.gone_at else None,
        "taint": row.taint,
        "taint_since": row.taint_since.isoformat() if row.taint_since else None,
        **Outlook("", "", found.follows).taint_follows(),
        "visits": found.visits,
        "older": found.left,
        "events": [{"at": one.at.isoformat(), "what": one.what, "says": one.says} for one in found.events],
    }
