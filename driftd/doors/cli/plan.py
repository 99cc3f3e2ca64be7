"""``driftd plan`` and ``apply``: what replacements would do, read first, and then asked for as it was read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from driftd.core.errors import BadInput
from driftd.core.wording import planning as wording
from driftd.doors.cli.app import app, of, span
from driftd.doors.cli.complete import instances
from driftd.doors.cli.done import Json, tell
from driftd.doors.cli.files import ready, write
from driftd.doors.cli.lines import say, total
from driftd.doors.cli.planned import show_plan
from driftd.doors.desks.planning import Asked, Document

_LONGEST_DAYS = 7


@app.command()
def plan(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[GROUP|INSTANCE]...", help="Groups, or instances by id, slot or address.", autocompletion=instances
        ),
    ] = None,
    *,
    reason: Annotated[
        str, typer.Option(help="Why what nothing asks for is to be replaced; it goes with the plan.")
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="Every instance, drifted or not; needs --reason.")] = False,
    unattended: Annotated[
        bool, typer.Option("--unattended", help="What driftd does by itself, with nobody asking: not to be applied.")
    ] = False,
    valid_for: Annotated[str, typer.Option(help="For how long it may be applied: 30m, 1h; at most 7d.")] = "1h",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the plan to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Show what would be replaced and why: order, waves, steps, what waits for what, and what is left in service.

    Of a group what drift asks for, of all groups where none is named, and instances that are named. Only the
    provider's lists and the store are read: nobody is looked at, and nothing is changed.
    """
    context = of(ctx)
    house = context.house()
    ready(output)
    length = span(valid_for, "--valid-for")
    if length.days > _LONGEST_DAYS or (length.days == _LONGEST_DAYS and length.seconds):
        raise BadInput(f"--valid-for {valid_for} is longer than 7d", "what a plan rests on does not stay so for longer")
    desk = house.planning()
    made = desk.plan(names or [], everything=everything, reason=reason, valid_for=length, by_hand=not unattended)
    if output is not None:
        write(output, (json.dumps(made, indent=2) + "\n").encode())
    if as_json:
        typer.echo(json.dumps(made, indent=2))
    else:
        show_plan(context.out, made, house.now())
        if output is not None:
            total(context.out, f"written to {output}; it asks for nothing until: driftd apply {output}")


@app.command()
def apply(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="PLAN", help="A plan that driftd plan -o wrote.")],
    yes: Annotated[bool, typer.Option("--yes", help="Ask for it without a question: the plan was read.")] = False,
    as_json: Json = False,
) -> None:
    """Ask the daemon for what a plan says, all of it or nothing, in its order, if everything is still as it was read.

    It is asked for by a person: windows, approvals, pace and the second look are passed by, as the plan says. Holds,
    people on an instance, the budget, zones and the minimum in service are waited for.
    """
    context = of(ctx)
    house = context.house()
    with house.planning().checked(file) as checked:
        if not as_json:
            show_plan(context.out, checked.document, house.now())
        if not yes:
            if as_json or not context.err.is_terminal:
                raise BadInput(*wording.NOBODY_TO_ASK)
            number = len(checked.document["replacements"])
            typer.confirm(f"Ask for {number} replacement{'' if number == 1 else 's'}?", abort=True, err=True)
        done = checked.ask()
    _told(ctx, checked.document, done, house.person(), as_json=as_json)


def _told(ctx: typer.Context, document: Document, done: Asked, person: str, *, as_json: bool) -> None:
    said = wording.asked(len(done.rids), document["digest"], person)
    then = wording.DAEMON_GOES_ON if done.daemon else wording.NO_DAEMON
    if as_json:
        fields = {"plan": document["digest"], "replacements": list(done.rids), "daemon": done.daemon}
        tell(of(ctx), "apply", f"{said}; {then}", as_json=True, **fields)
        return
    say(of(ctx).out, f"{said}.")
    say(of(ctx).out, f"{then[0].upper()}{then[1:]}.", "" if done.daemon else "yellow")
