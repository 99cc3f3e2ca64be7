"""``driftd breakers`` and ``reset``: which circuit breakers are open, why, and what closes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer
from rich.text import Text

from driftd.core.breakers.breaker import Breaker, State, place
from driftd.core.breakers.table import cannot_close
from driftd.core.wording import lasting, printable
from driftd.doors.cli.app import Context, app, of
from driftd.doors.cli.done import Json, tell
from driftd.doors.cli.lines import none, show, stacked
from driftd.doors.house import House

STYLES = {State.OPEN: "bold red", State.HALF_OPEN: "yellow", State.CLOSED: "dim"}


def holding(house: House) -> Sequence[Breaker]:
    """Those that are open or half-open."""
    with house.store(read_only=True) as store, store.read() as tx:
        return [one for one in tx.breakers() if one.holds]


def in_short(one: Breaker, now: datetime) -> Text:
    """One of them on one line, for ``driftd status``."""
    said = f"BREAKER {one.rule} {one.state} for {place(one.scope)} since {lasting(now - one.opened_at)}: {one.why}"
    return Text(printable(said), "bold red")


@app.command()
def breakers(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Those that closed of late as well.")] = False,
    as_json: Json = False,
) -> None:
    """Say which circuit breakers are open, where, why, and what closes them."""
    context = of(ctx)
    house = context.house()
    now = house.now()
    with house.store(read_only=True) as store, store.read() as tx:
        found = [one for one in tx.breakers() if every or one.holds]
    if as_json:
        values = {"schema": "driftd.breakers/1", "at": now.isoformat(), "breakers": [as_value(one) for one in found]}
        typer.echo(json.dumps(values, indent=2))
        return
    if not found:
        none(context.out, "No breaker is open.")
        return
    _show(context, found, now)


@app.command()
def reset(
    ctx: typer.Context,
    rule: Annotated[str, typer.Argument(help="The rule: C1 to C12.")],
    scope: Annotated[str, typer.Argument(help="Where: fleet, group:web, signature:0a1b…, as `driftd breakers` says.")],
    reason: Annotated[str, typer.Option(help="Why it is right to go on; it is kept in the journal.")],
    as_json: Json = False,
) -> None:
    """Close a circuit breaker that a person may close; what was seen up to now opens it no more."""
    from driftd.flows import breaking  # noqa: PLC0415  # costs --help a quarter of a second

    context = of(ctx)
    house = context.house()
    with house.store() as store, store.write() as tx:
        said = breaking.reset(tx, rule, scope, house.person(), reason, house.now())
    tell(context, "reset", f"{said}.", as_json=as_json, rule=rule.upper(), scope=scope)


def _show(context: Context, found: Sequence[Breaker], now: datetime) -> None:
    rows = [(_name(one), (Text(printable(one.why)), Text(printable(_next(one, now)), "dim"))) for one in found]
    wide = stacked(("rule", "state", "where", "why, and what closes it"), rows)
    short = stacked(("rule", "why"), ((name[:1], (Text(" ").join(name[1:]), *why)) for name, why in rows))
    show(context.out, wide, short)


def _name(one: Breaker) -> Sequence[Text]:
    return Text(one.rule), Text(str(one.state), STYLES[one.state]), Text(printable(one.scope))


def _next(one: Breaker, now: datetime) -> str:
    if not one.holds:
        return f"closed {lasting(now - one.entered)} ago by {one.by or 'driftd'}"
    until = f", in {lasting(one.until - now)}" if one.until is not None and one.until > now else ""
    how = "" if cannot_close(one) else f"; driftd reset {one.rule} {one.scope} --reason …"
    return f"open for {lasting(now - one.opened_at)}; closed by {one.closes_by}{until}{how}"


def as_value(one: Breaker) -> dict[str, object]:
    """One breaker for machines."""
    return {
        "rule": one.rule,
        "scope": one.scope,
        "state": one.state,
        "why": one.why,
        "opened_at": one.opened_at.isoformat(),
        "until": one.until.isoformat() if one.until else None,
        "closes_by": one.closes_by,
        "by": one.by,
        "probe": one.probe,
        "a_person_may_close_it": one.holds and not cannot_close(one),
    }
