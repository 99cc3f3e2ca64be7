"""``driftd accept``, ``accepted`` and ``unaccept``: "that was me", for a while, by name, and counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from driftd.core.acceptance import LONGEST, state
from driftd.core.errors import BadInput
from driftd.core.memory import Suppression
from driftd.core.wording import count, lasting, printable
from driftd.doors.cli.app import app, of, span
from driftd.doors.cli.complete import findings
from driftd.doors.cli.done import Json, tell
from driftd.doors.cli.lines import columns, none, show, stacked, total
from driftd.flows import accepting

_NEW = timedelta(days=1)  # too young to be told that it serves nobody


@app.command()
def accept(
    ctx: typer.Context,
    finding: Annotated[
        str,
        typer.Argument(help="A finding's number or signature, or the signature of a cause.", autocompletion=findings),
    ],
    reason: Annotated[str, typer.Option(help="Why; it stands in every report that leaves the finding out.")],
    lasting_for: Annotated[str, typer.Option("--for", help="For how long: 90m, 2h, 7d; at most 90d.")] = "7d",
    group: Annotated[
        str, typer.Option("--group", "-g", help="Only in this group (default: the finding's own).", show_default=False)
    ] = "",
    as_json: Json = False,
) -> None:
    """Accept a finding, or all that a cause brought about, for a while: "that was me". Dated, owned, and counted."""
    context = of(ctx)
    house = context.house()
    length = span(lasting_for)
    if length > LONGEST:
        raise BadInput(f"--for {lasting_for} is {accepting.too_long()}", accepting.LONG_HINT)
    with house.store() as store:
        done = accepting.accept(store, finding, group, house.person(), reason, length, house.now())
    tell(context, "accept", done.said, as_json=as_json, no=done.no, signature=done.signature, until=done.until)


@app.command()
def accepted(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List what was accepted: by whom, until when, what it covered, and what it is no use for."""
    context = of(ctx)
    house = context.house()
    now = house.now()
    with house.store(read_only=True) as store, store.read() as tx:
        rows = tx.every_suppression()
        open_now = [row.finding for row in tx.open_findings() if row.finding.suppressed_by]
    if as_json:
        for one in rows:
            typer.echo(json.dumps(_values(one, now)))
        return
    if not rows:
        none(context.out, "Nothing is accepted.")
        return
    show(context.out, _table(rows, now), _short(rows, now))
    total(context.out, f"{count(len(open_now), 'open finding')} accepted now")


def _table(rows: Sequence[Suppression], now: datetime) -> Table:
    heads = ("no", "state", "group", "what", "owner", "until (UTC)", "hits", "use", "reason")
    table = columns(heads, long=("what", "reason", "use"), right=("no", "hits"))
    for one in rows:
        what = one.signature + (f" {one.cause}" if one.cause else "")
        cells = (str(one.id), state(one, now), one.group or "every", what, one.owner)
        more = (f"{one.expires_at:%Y-%m-%d %H:%M}", str(one.hits), _use(one, now), one.reason)
        table.add_row(*(Text(printable(cell)) for cell in (*cells, *more)))
    return table


def _short(rows: Sequence[Suppression], now: datetime) -> Table:
    def lines(one: Suppression) -> Sequence[Text]:
        what = (
            f"{one.signature} in {one.group or 'every group'}, by {one.owner} until {one.expires_at:%Y-%m-%d %H:%M} UTC"
        )
        use = f"{count(one.hits, 'hit')}, {_use(one, now)}"
        return Text(printable(what)), Text(printable(one.cause)), Text(printable(one.reason), "cyan"), Text(use, "dim")

    short = (((Text(str(one.id)), Text(state(one, now))), lines(one)) for one in rows)
    return stacked(("no", "state", "what"), short, right=("no",))


def _use(one: Suppression, now: datetime) -> str:
    if one.withdrawn_at is not None:
        return f"withdrawn by {printable(one.withdrawn_by)} {lasting(now - one.withdrawn_at)} ago"
    if one.used_at is None:
        age = now - one.created_at
        return (
            "not used yet" if age < _NEW else f"never used in {lasting(age)}: withdraw it with driftd unaccept {one.id}"
        )
    return f"last used {lasting(now - one.used_at)} ago"


def _values(one: Suppression, now: datetime) -> dict[str, object]:
    times = {"created_at": one.created_at, "expires_at": one.expires_at}
    more = {"used_at": one.used_at, "withdrawn_at": one.withdrawn_at}
    return {
        "no": one.id,
        "state": state(one, now),
        "signature": one.signature,
        "cause": one.cause,
        "findings": len(one.members) or 1,
        "group": one.group,
        "owner": one.owner,
        "reason": one.reason,
        "hits": one.hits,
        **{name: at.isoformat() if at else None for name, at in (times | more).items()},
    }


@app.command()
def unaccept(
    ctx: typer.Context,
    number: Annotated[int, typer.Argument(help="As driftd accepted shows it.")],
    as_json: Json = False,
) -> None:
    """Withdraw an acceptance: what it covered counts again from the next look on."""
    context = of(ctx)
    house = context.house()
    now, person = house.now(), house.person()
    with house.store() as store, store.write() as tx:
        one = next((row for row in tx.every_suppression() if row.id == number), None)
        if one is None:
            raise BadInput(f"no acceptance has the number {number}", "see: driftd accepted")
        if state(one, now) in ("withdrawn", "expired"):
            raise BadInput(f"acceptance {number} is {state(one, now)} already", "see: driftd accepted")
        tx.withdraw_suppression(number, person, now)
        body = {"did": "unaccept", "no": number, "signature": one.signature, "owner": one.owner, "by": person}
        tx.journal("human", one.group or "everywhere", body, now)
    said = (
        f"Withdrew acceptance {number} of {one.signature}, which {one.owner} had made: it counts from the next look on."
    )
    tell(context, "unaccept", said, as_json=as_json, no=number, signature=one.signature)
