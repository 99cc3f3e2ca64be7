"""``driftd accept``, ``accepted`` and ``unaccept``: "that was me", for a while, by name, and counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from driftd.core.acceptance import LONGEST, last_visit, state
from driftd.core.causes.fleet import Spread, spread
from driftd.core.errors import BadInput
from driftd.core.memory import FindingRow, Suppression, Tx
from driftd.core.wording import causes as wording
from driftd.core.wording import count, lasting, printable
from driftd.doors.cli.app import app, of, span
from driftd.doors.cli.complete import findings
from driftd.doors.cli.done import Json, tell
from driftd.doors.cli.lines import narrow, stacked

_LONGEST_REASON = 500
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
    now, owner, until = house.now(), house.person(), span(lasting_for)
    if until > LONGEST:
        raise BadInput(
            f"--for {lasting_for} is longer than {lasting(LONGEST)}, the longest that an acceptance lasts",
            "what is to stay belongs into a policy, or into the image",
        )
    if not reason.strip():
        raise BadInput("an acceptance needs a reason", "say why with --reason")
    if len(reason) > _LONGEST_REASON:
        raise BadInput(f"the reason has {len(reason)} characters, {_LONGEST_REASON} at most", "name a ticket instead")
    with house.store() as store, store.write() as tx:
        chosen = _find(tx, finding.strip(), group)
        one = Suppression(
            0,
            chosen.signature,
            chosen.group,
            owner,
            reason,
            now,
            now + until,
            0,
            chosen.cause,
            chosen.members,
            chosen.until,
        )
        number = tx.add_suppression(one)
        body = {
            "did": "accept",
            "no": number,
            "signature": chosen.signature,
            "findings": len(chosen.members) or 1,
            "what": chosen.sentence,
            "owner": owner,
            "reason": reason,
            "until": (now + until).isoformat(),
        }
        tx.journal("human", chosen.group or "everywhere", body, now)
    where = chosen.group or "every group"
    what = f"{chosen.signature} ({chosen.sentence})"
    said = f"Accepted {what} in {where} until {now + until:%Y-%m-%d %H:%M} UTC (no {number}), owned by {owner}."
    until_then = now + until
    tell(context, "accept", said, as_json=as_json, no=number, signature=chosen.signature, until=until_then)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What is to be accepted. ``cause`` and ``members`` are empty for a finding alone."""

    signature: str
    group: str
    sentence: str
    cause: str = ""
    members: tuple[str, ...] = ()
    until: str = ""


def _find(tx: Tx, name: str, group: str) -> _Chosen:
    """What ``name`` says. Raises BadInput."""
    groups = {row.id: row.group for row in tx.instances()}
    if group and group not in groups.values():
        known = ", ".join(sorted(set(groups.values()))) or "none"
        raise BadInput(f"no instance of a group {group!r} is known", f"groups with instances: {known}")
    rows = tx.open_findings()
    mine = [row for row in rows if name in (str(row.id), row.finding.signature)]
    causes = [] if mine else [one for one in spread(rows) if one.cause.signature == name]
    if not mine and not causes:
        raise BadInput(f"no open finding or cause has the number or signature {name!r}", "see: driftd findings")
    scope = group or groups.get((mine or causes[0].rows)[0].instance_id, "")
    return _cause(causes[0], groups, scope) if causes else _finding(mine, name, groups, scope)


def _finding(rows: Sequence[FindingRow], name: str, groups: dict[str, str], scope: str) -> _Chosen:
    first = rows[0].finding
    within = [row for row in rows if name == str(row.id) or groups.get(row.instance_id) == scope] or rows[:1]
    until = max(last_visit(row.finding) for row in within) if first.kind == "session" else ""
    sentence = wording.alone(first.kind, first.subject, first.change)
    return _Chosen(first.signature, scope, sentence, until=until)


def _cause(one: Spread, groups: dict[str, str], scope: str) -> _Chosen:
    rows = [row for row in one.rows if groups.get(row.instance_id) == scope] or one.rows
    members = tuple(sorted({row.finding.signature for row in rows}))
    return _Chosen(one.cause.signature, scope, one.cause.sentence, one.cause.sentence, members)


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
        context.out.print("Nothing is accepted.", highlight=False)
        return
    context.out.print(_short(rows, now) if narrow(context.out) else _table(rows, now))
    context.out.print(Text(f"{count(len(open_now), 'open finding')} accepted now", "dim"))


def _table(rows: Sequence[Suppression], now: datetime) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("no", "state", "group", "what", "owner", "until", "hits", "use", "reason"):
        table.add_column(heading, no_wrap=heading not in {"what", "reason", "use"}, overflow="fold")
    for one in rows:
        what = one.signature + (f" {one.cause}" if one.cause else "")
        cells = (str(one.id), state(one, now), one.group or "every", what, one.owner)
        more = (f"{one.expires_at:%Y-%m-%d %H:%M}", str(one.hits), _use(one, now), one.reason)
        table.add_row(*(Text(printable(cell)) for cell in (*cells, *more)))
    return table


def _short(rows: Sequence[Suppression], now: datetime) -> Table:
    def lines(one: Suppression) -> Sequence[Text]:
        what = f"{one.signature} in {one.group or 'every group'}, by {one.owner} until {one.expires_at:%Y-%m-%d %H:%M}"
        use = f"{count(one.hits, 'hit')}, {_use(one, now)}"
        return Text(printable(what)), Text(printable(one.cause)), Text(printable(one.reason), "cyan"), Text(use, "dim")

    short = (((Text(str(one.id)), Text(state(one, now))), lines(one)) for one in rows)
    return stacked(("no", "state", "what"), short)


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
