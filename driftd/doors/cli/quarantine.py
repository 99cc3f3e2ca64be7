"""``driftd quarantine``: replace an instance, and keep it for whoever wants to examine it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from driftd.core.errors import BadInput
from driftd.core.quarantine import Quarantined
from driftd.core.wording import printable
from driftd.doors.cli.app import Context, app, of
from driftd.doors.cli.complete import one_instance
from driftd.doors.cli.done import Json, tell
from driftd.doors.cli.lines import say, show, stacked


@app.command()
def quarantine(
    ctx: typer.Context,
    instance: Annotated[
        str,
        typer.Argument(
            help="The instance, by id or slot; without one, say who is in quarantine.", autocompletion=one_instance
        ),
    ] = "",
    end: Annotated[bool, typer.Option("--end", help="End one that is in quarantine, for good.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it stands in the journal and in every message.")] = "",
    as_json: Json = False,
) -> None:
    """Replace an instance, and keep the old one: out of service, its network cut, until a person ends it.

    It is replaced like any other, guard by guard, and only then cut off: nobody loses a request. Where the provider
    cannot cut a network, it is kept stopped.
    """
    context = of(ctx)
    desk = context.house().quarantining()
    if not instance:
        if end or reason:
            raise BadInput("whom? No instance was named", "say: driftd quarantine INSTANCE --reason …")
        _print(context, desk.kept(), as_json=as_json)
        return
    if not reason:
        raise BadInput("a quarantine needs a reason", "say why: --reason 'INC-7: unknown binary'; it is in the journal")
    if end:
        said = desk.end(instance, reason)
        tell(context, "quarantine", f"{said}. See: driftd quarantine", as_json=as_json, instance=instance)
        return
    rid = desk.put(instance, reason)
    said = f"Replacement {rid} is asked for, and keeps {instance} in quarantine; the daemon goes on from here."
    tell(context, "quarantine", f"{said} See: driftd status", as_json=as_json, instance=instance, replacement=rid)


def _print(context: Context, every: Sequence[Quarantined], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"schema": "driftd.quarantine/1", "instances": [_value(one) for one in every]}))
        return
    if not every:
        say(context.out, "Nothing is in quarantine.")
        return
    show(context.out, stacked(("Instance", "Group", "Since, UTC", "How it came here"), map(_row, every)))


def _row(one: Quarantined) -> tuple[list[Text], list[Text]]:
    since = f"{one.since:%Y-%m-%d %H:%M}" if one.since else "on its way" if one.replaced_by else ""
    cut = "its network is cut" if one.instance.isolated else f"it is {one.instance.state.value}"
    heir = f"replaced by {one.replaced_by}, {cut}" if one.replaced_by else cut
    why = one.why or f"replacement {one.rid}, of which nothing is on record any more"
    lines = [Text(printable(why)), Text(printable(heir), "dim")]
    if one.ends:
        lines.append(Text("a person asked for its end", "yellow"))
    return [Text(printable(one.instance.id)), Text(printable(one.instance.group)), Text(since)], lines


def _value(one: Quarantined) -> dict[str, object]:
    return {
        "instance": one.instance.id,
        "group": one.instance.group,
        "slot": one.instance.slot,
        "image": one.instance.image,
        "isolated": one.instance.isolated,
        "state": one.instance.state.value,
        "replacement": one.rid,
        "replaced_by": one.replaced_by,
        "why": one.why,
        "since": one.since.isoformat() if one.since else None,
        "to_end": one.ends,
    }
