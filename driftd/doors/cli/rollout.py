"""``driftd rollout``: move a group to another image, and back."""

from __future__ import annotations

import json
import re
from typing import Annotated

import typer
from rich.text import Text

from driftd.core.errors import BadInput
from driftd.core.rollout import OVER, Rollout, Stage, Strategy
from driftd.core.wording import printable
from driftd.doors.cli.app import Context, app, of, span
from driftd.doors.cli.complete import groups
from driftd.doors.cli.done import Json, tell
from driftd.doors.cli.lines import say, show, stacked
from driftd.doors.desks.rollout import Rolled
from driftd.flows.rollout import Wish

_PERCENT = re.compile(r"([0-9]{1,3})%?")
_STYLES = {Stage.DONE: "green", Stage.UNDONE: "yellow", Stage.BACK: "yellow", Stage.STUCK: "red"}


@app.command()
def rollout(  # a command's options
    ctx: typer.Context,
    group: Annotated[str, typer.Argument(help="The group.", autocompletion=groups)],
    image: Annotated[str, typer.Option(help="The image to go to; without it, say how the group stands.")] = "",
    how: Annotated[
        Strategy, typer.Option(help="canary and rolling: by and by; blue-green: a whole new set, switched in one step.")
    ] = Strategy.CANARY,
    canary: Annotated[str, typer.Option(help="The share of the group that goes first; at least one instance.")] = "5%",
    keep: Annotated[str, typer.Option(help="How long a blue-green one keeps the old set: 30m, 2h, 1d.")] = "2h",
    back: Annotated[bool, typer.Option("--back", help="Go back to the image before.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it stands in the journal and in every message.")] = "",
    as_json: Json = False,
) -> None:
    """Move a group to another image, and back: the canary's share first, watched; the rest by and by, or all at once.

    The daemon does it, and turns back by itself where one replacement fails. Breakers about drift that many share do
    not bind it; the minimum in service, health, quorum, the budget, holds and people do.
    """
    context = of(ctx)
    desk = context.house().rolling()
    if back and image:
        raise BadInput("--back and --image do not go together", f"to go back: driftd rollout {group} --back")
    if not back and not image:
        _print(context, group, desk.shown(group), as_json=as_json)
        return
    if not reason:
        raise BadInput("a rollout needs a reason", "say why: --reason 'openssl 3.0.19'; it stands in the journal")
    if back:
        made = desk.back(group, reason)
        said = f"{group} goes back to {made.before if made.back_by else made.image}; the daemon goes on from here."
    else:
        made = desk.ask(group, Wish(image, how, _share(canary), span(keep, "--keep"), reason))
        said = f"{group} goes from {made.before} to {made.image} ({made.strategy}); the daemon goes on from here."
    said += f" See: driftd rollout {group}"
    tell(context, "rollout", said, as_json=as_json, rollout=made.id, group=group, image=made.image, before=made.before)


def _share(text: str) -> int:
    match = _PERCENT.fullmatch(text)
    if match is None or not 0 < int(match[1]) <= 100:
        raise BadInput(f"--canary {text!r} is not a share", "write it like 5% or 20%")
    return int(match[1])


def _print(context: Context, group: str, rolled: Rolled, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"schema": "driftd.rollout/1", "group": group, **_values(rolled)}))
        return
    runs = ", ".join(f"{number} {printable(image)}" for image, number in sorted(rolled.runs.items()))
    wanted = printable(rolled.desired) or "whatever its instances were made from"
    say(context.out, f"{group} is to run {wanted}; it runs {runs or 'nothing that was seen'}.")
    if not rolled.rollouts:
        say(context.out, f"No rollout yet: driftd rollout {group} --image IMAGE --reason …")
        return
    rows = [([Text(f"{one.created_at:%Y-%m-%d %H:%M}"), _stage(one)], _lines(one)) for one in rolled.rollouts]
    show(context.out, stacked(("Begun, UTC", "Stage", "Rollout"), rows))


def _stage(one: Rollout) -> Text:
    return Text(one.stage.value, _STYLES.get(one.stage, "cyan"))


def _lines(one: Rollout) -> list[Text]:
    what = f"{one.before} → {one.image}, {one.strategy.value}"
    who = f"{one.asked_by}: {one.reason}"
    return [Text(printable(what)), Text(printable(who), "dim"), Text(printable(one.note or "waits for the daemon"))]


def _values(rolled: Rolled) -> dict[str, object]:
    return {
        "desired": rolled.desired,
        "runs": dict(rolled.runs),
        "rollouts": [as_value(one) for one in rolled.rollouts],
    }


def in_short(one: Rollout) -> Text:
    """One that is under way, as a notice."""
    said = f"ROLLOUT of {one.group} to {one.image}, {one.stage.value}: {one.note or 'waits for the daemon'}"
    return Text(printable(said), _STYLES.get(one.stage, "cyan"))


def as_value(one: Rollout) -> dict[str, object]:
    """A rollout for machines."""
    return {
        "id": one.id,
        "group": one.group,
        "image": one.image,
        "before": one.before,
        "how": one.strategy.value,
        "share": one.share,
        "keep": int(one.keep.total_seconds()),
        "stage": one.stage.value,
        "over": one.stage in OVER,
        "note": one.note,
        "fault": one.fault,
        "asked_by": one.asked_by,
        "reason": one.reason,
        "created_at": one.created_at.isoformat(),
        "entered_at": one.entered_at.isoformat(),
    }
