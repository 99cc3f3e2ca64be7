"""``driftd hold``, ``release``, ``approve`` and ``deny``: a person's word about one instance or one replacement."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from driftd.core.wording import printable
from driftd.doors.cli.app import app, of, span
from driftd.flows import holding

Instance = Annotated[str, typer.Argument(help="The instance, by id, slot or address.")]
Replacement = Annotated[str, typer.Argument(metavar="ID", help="The replacement's id, or its slot or old instance.")]


@app.command()
def hold(
    ctx: typer.Context,
    instance: Instance,
    reason: Annotated[str, typer.Option(help="Why; it stands wherever something waits because of it.")],
    lasting_for: Annotated[str, typer.Option("--for", help="For how long: 90m, 2h, 3d; at most 72h.")] = "2h",
) -> None:
    """Keep one instance from being replaced, for a while, by name. Only a second person can renew it, and once."""
    house = of(ctx).house()
    length = span(lasting_for)
    with house.store() as store:
        _say(ctx, holding.hold(store, instance, house.person(), reason, length, house.now()))


@app.command()
def release(ctx: typer.Context, instance: Instance) -> None:
    """End the hold of an instance, whoever's it is."""
    house = of(ctx).house()
    with house.store() as store:
        _say(ctx, holding.release(store, instance, house.person(), house.now()))


@app.command()
def approve(ctx: typer.Context, rid: Replacement) -> None:
    """Agree to a replacement that waits for it (enforce: approve). It then no longer counts as unattended, either."""
    house = of(ctx).house()
    with house.store() as store:
        _say(ctx, holding.approve(store, rid, house.person(), house.now()))


@app.command()
def deny(
    ctx: typer.Context,
    rid: Replacement,
    reason: Annotated[str, typer.Option(help="Why; it stands in the journal.")] = "",
) -> None:
    """Refuse a replacement: it is cancelled, and what it did is undone."""
    house = of(ctx).house()
    with house.store() as store:
        _say(ctx, holding.deny(store, rid, house.person(), reason, house.now()))


def _say(ctx: typer.Context, sentence: str) -> None:
    of(ctx).out.print(Text(printable(f"{sentence}.")), soft_wrap=True)
