"""``driftd replace`` and ``cancel``: by hand what policy would do by itself."""

from __future__ import annotations

from typing import Annotated

import typer

from driftd.doors.cli.app import app, of
from driftd.doors.cli.complete import one_instance, replacements
from driftd.doors.cli.done import Json, tell


@app.command()
def replace(
    ctx: typer.Context,
    instance: Annotated[str, typer.Argument(help="The instance, by id or slot.", autocompletion=one_instance)],
    reason: Annotated[str, typer.Option(help="Why; it stands in the journal and in every message.")],
    as_json: Json = False,
) -> None:
    """Ask the daemon to replace an instance: at any hour, without a second look, pace or approval.

    Whatever the reason, it waits for holds, people on the instance, the minimum in service, the budget, a quorum,
    other people's operations, and the breakers C6, C7, C9 and C11.
    """
    context = of(ctx)
    rid = context.house().request_replacement(instance, reason)
    said = f"Replacement {rid} is asked for; the daemon goes on from here. See: driftd status"
    tell(context, "replace", said, as_json=as_json, replacement=rid, instance=instance)


@app.command()
def cancel(
    ctx: typer.Context,
    rid: Annotated[str, typer.Argument(help="The replacement's id, or its slot.", autocompletion=replacements)],
    as_json: Json = False,
) -> None:
    """Stop a replacement and undo what it did, unless the old instance is being ended already."""
    context = of(ctx)
    tell(context, "cancel", context.house().request_cancel(rid), as_json=as_json, replacement=rid)
