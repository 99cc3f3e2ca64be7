"""``driftd hold``, ``release``, ``approve`` and ``deny``: a person's word about one instance or one replacement."""

from __future__ import annotations

from typing import Annotated

import typer

from driftd.doors.cli.app import app, of, span
from driftd.doors.cli.complete import one_instance, replacements
from driftd.doors.cli.done import Json, tell

Instance = Annotated[str, typer.Argument(help="The instance, by id, slot or address.", autocompletion=one_instance)]
Replacement = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="The replacement's id, or its slot or old instance.", autocompletion=replacements
    ),
]


@app.command()
def hold(
    ctx: typer.Context,
    instance: Instance,
    reason: Annotated[str, typer.Option(help="Why; it stands wherever something waits because of it.")],
    lasting_for: Annotated[str, typer.Option("--for", help="For how long: 90m, 2h, 3d; at most 72h.")] = "2h",
    as_json: Json = False,
) -> None:
    """Keep one instance from being replaced, for a while, by name. Only a second person can renew it, and once."""
    from driftd.flows import holding  # noqa: PLC0415  # costs --help a quarter of a second

    house = of(ctx).house()
    length = span(lasting_for)
    with house.store() as store:
        said = holding.hold(store, instance, house.person(), reason, length, house.now())
    tell(of(ctx), "hold", f"{said}.", as_json=as_json, instance=instance)


@app.command()
def release(ctx: typer.Context, instance: Instance, as_json: Json = False) -> None:
    """End the hold of an instance, whoever's it is."""
    from driftd.flows import holding  # noqa: PLC0415  # costs --help a quarter of a second

    house = of(ctx).house()
    with house.store() as store:
        said = holding.release(store, instance, house.person(), house.now())
    tell(of(ctx), "release", f"{said}.", as_json=as_json, instance=instance)


@app.command()
def approve(ctx: typer.Context, rid: Replacement, as_json: Json = False) -> None:
    """Agree to a replacement that waits for it (enforce: approve). It then no longer counts as unattended, either."""
    from driftd.flows import holding  # noqa: PLC0415  # costs --help a quarter of a second

    house = of(ctx).house()
    with house.store() as store:
        said = holding.approve(store, rid, house.person(), house.now())
    tell(of(ctx), "approve", f"{said}.", as_json=as_json, replacement=rid)


@app.command()
def deny(
    ctx: typer.Context,
    rid: Replacement,
    reason: Annotated[str, typer.Option(help="Why; it stands in the journal.")] = "",
    as_json: Json = False,
) -> None:
    """Refuse a replacement: it is cancelled, and what it did is undone."""
    from driftd.flows import holding  # noqa: PLC0415  # costs --help a quarter of a second

    house = of(ctx).house()
    with house.store() as store:
        said = holding.deny(store, rid, house.person(), reason, house.now())
    tell(of(ctx), "deny", f"{said}.", as_json=as_json, replacement=rid)
