"""``driftd status``: of each instance its verdict, its age, why it is not being replaced, and what happens next."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from driftd.core.holds import Hold
from driftd.core.memory import InstanceRow, Pause
from driftd.core.outlook import Outlook, outlook
from driftd.core.replacement import TERMINAL, Record
from driftd.core.rollout import Rollout
from driftd.core.wording import count, lasting, printable
from driftd.core.wording import holds as wording
from driftd.doors.cli import rollout, stuck
from driftd.doors.cli.app import app, of
from driftd.doors.cli.breakers import as_value, holding, in_short
from driftd.doors.cli.complete import groups
from driftd.doors.cli.lines import none, notices, show, stacked, total
from driftd.doors.cli.stopped import banner, therefore
from driftd.doors.cli.styles import VERDICT_STYLES
from driftd.doors.house import House
from driftd.flows.naming import the_group

Line = tuple[InstanceRow, Outlook]


def read(house: House, group: str | None) -> tuple[list[Line], Sequence[Record], Sequence[Pause]]:
    """Everything that status shows, in one read of the store."""
    now = house.now()
    with house.store(read_only=True) as store, store.read() as tx:
        if group is not None:
            the_group(tx, group, house.known_groups())
        rows = sorted(tx.instances(group), key=lambda row: (row.group, row.slot, row.id))
        records = tx.open_replacements(group)
        recent = [record for record in tx.replacements(10, group) if record.state in TERMINAL]
        pauses = [*tx.pauses(), *by_file(house.pause_file())]
        follows = house.explaining().follows(tx, rows, now)
    by_instance = {i: record for record in records for i in (record.old_id, record.new_id) if i}
    lines = []
    for row in rows:
        enforce, every = house.enforce(row.group), house.every(row.group)
        ahead = outlook(row, by_instance.get(row.id), pauses, enforce, every, now)
        lines.append((row, replace(ahead, follows=follows.get(row.id))))
    return lines, recent, pauses


def by_file(file: Path) -> Sequence[Pause]:
    """The pause file, as a pause like any other: empty where there is none."""
    try:
        since = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except FileNotFoundError:
        return []
    return [Pause("", f"the file {file}", "it is there", since, hard=True)]


@app.command()
def status(
    ctx: typer.Context,
    group: Annotated[str | None, typer.Argument(help="Only this group.", autocompletion=groups)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say it in JSON.")] = False,
) -> None:
    """Say of each instance its verdict, its age, why it is not being replaced, and what happens next."""
    context = of(ctx)
    house = context.house()
    lines, recent, pauses = read(house, group)
    stopped = house.keeping().stopped()
    lines = therefore(lines, stopped)
    if as_json:
        typer.echo(
            json.dumps(
                as_values(lines, recent, pauses, house.now())
                | {
                    "stopped": [asdict(one) for one in stopped],
                    "breakers": [as_value(one) for one in holding(house)],
                    "stuck": [stuck.as_value(one) for one in stuck.waiting(house, group)],
                    "holds": [hold_value(one) for one in held(house, group)],
                    "rollouts": [rollout.as_value(one) for one in rolling(house, group)],
                },
                indent=2,
            )
        )
        return
    waiting = stuck.waiting(house, group)
    notices(context.out, [*banner(stopped), *_notices(house, group, pauses, waiting)])
    if not lines:
        none(context.out, "No instance is known yet. The daemon finds them: driftd run")
    else:
        show(context.out, *tables(lines, house.now()))
    if accepted := _accepted(house, group):
        total(context.out, accepted)
    for record in [one for one in recent if one not in waiting][:3]:
        total(context.out, printable(f"{record.slot}: replacement {record.rid} {record.state}, {record.note}"))


def _notices(house: House, group: str | None, pauses: Sequence[Pause], waiting: Sequence[Record]) -> Iterator[Text]:
    """What stands in the way of all that follows, the worst first."""
    now = house.now()
    for pause in pauses:
        where = f"group {pause.group}" if pause.group else "everywhere"
        also = ", undoing too," if pause.hard else ""
        said = f"PAUSED {where}{also} by {pause.owner} for {lasting(now - pause.since)}: {pause.reason}"
        yield Text(printable(said), "bold yellow")
    for record in waiting:
        yield stuck.in_short(record, now)
    for one in holding(house):
        yield in_short(one, now)
    yield from map(rollout.in_short, rolling(house, group))
    for hold in held(house, group):
        said = wording.held(hold.instance_id, hold.owner, hold.until, hold.reason)
        yield Text(printable(f"HELD {said}"), "yellow")


def held(house: House, group: str | None) -> Sequence[Hold]:
    """The holds in force."""
    with house.store(read_only=True) as store, store.read() as tx:
        return [one for one in tx.holds(house.now()) if group is None or one.group == group]


def rolling(house: House, group: str | None) -> Sequence[Rollout]:
    """The rollouts under way."""
    with house.store(read_only=True) as store, store.read() as tx:
        return tx.open_rollouts(group)


def hold_value(hold: Hold) -> dict[str, object]:
    """A hold for machines."""
    return {
        "instance": hold.instance_id,
        "group": hold.group,
        "owner": hold.owner,
        "reason": hold.reason,
        "since": hold.created_at.isoformat(),
        "until": hold.until.isoformat(),
        "renewed_by": hold.renewed_by,
    }


def _accepted(house: House, group: str | None) -> str:
    """What is left out of all this, because somebody accepted it."""
    now = house.now()
    with house.store(read_only=True) as store, store.read() as tx:
        mine = {row.id for row in tx.instances(group)}
        covered = sum(1 for row in tx.open_findings() if row.finding.suppressed_by and row.instance_id in mine)
        holding = [one for one in tx.suppressions(now) if group is None or one.group in ("", group)]
    unused = sum(1 for one in holding if not one.hits)
    if not holding and not covered:
        return ""
    said = f"{count(covered, 'open finding')} accepted, by {count(len(holding), 'acceptance')}"
    return f"{said}{f', {unused} of them of no use yet' if unused else ''}: driftd accepted"


def tables(lines: Sequence[Line], now: datetime) -> tuple[Table, Table]:
    """The table of instances: with room, and with little of it."""
    heads = ("slot", "instance", "verdict", "for", "looked", "why, and what happens next")
    wide = stacked(heads, ((_cells(row, now), _reasons(row, ahead)) for row, ahead in lines))
    short = stacked(("slot", "instance"), ((_slot(row), _below(row, ahead, now)) for row, ahead in lines))
    return wide, short


def _slot(row: InstanceRow) -> Sequence[Text]:
    return (Text(printable(row.slot)),)


def _cells(row: InstanceRow, now: datetime) -> Sequence[Text]:
    since = Text(lasting(now - row.verdict_since))
    return *_slot(row), Text(printable(row.id)), _verdict(row), since, Text(_looked(row, now))


def _below(row: InstanceRow, ahead: Outlook, now: datetime) -> Sequence[Text]:
    looked = f"looked at {_looked(row, now)}" if row.looked_at else "never looked at"
    since = f" for {lasting(now - row.verdict_since)}, {looked}"
    return Text.assemble(f"{printable(row.id)}  ", _verdict(row), since), *_reasons(row, ahead)


def _verdict(row: InstanceRow) -> Text:
    return Text(str(row.verdict) + (" · tainted" if row.taint else ""), VERDICT_STYLES[row.verdict])


def _looked(row: InstanceRow, now: datetime) -> str:
    return f"{lasting(now - row.looked_at)} ago" if row.looked_at else "never"


def _reasons(row: InstanceRow, ahead: Outlook) -> Sequence[Text]:
    """Why it has its verdict, why nothing happens, what happens next: a line each."""
    said = (
        (row.reason, ""),
        (row.taint, "red"),
        (ahead.follows.says if ahead.follows else "", "red"),
        (f"to keep it longer: {ahead.follows.hold}" if ahead.follows and ahead.follows.hold else "", "dim"),
        (ahead.why_not and f"not replaced: {ahead.why_not}", "yellow"),
        (ahead.next, "dim"),
    )
    return [Text(printable(text), style) for text, style in said if text]


def as_values(
    lines: Sequence[Line], recent: Sequence[Record], pauses: Sequence[Pause], now: datetime
) -> dict[str, object]:
    """The same for machines."""
    return {
        "schema": "driftd.status/1",
        "at": now.isoformat(),
        "paused": [
            {"group": p.group, "owner": p.owner, "reason": p.reason, "since": p.since.isoformat(), "hard": p.hard}
            for p in pauses
        ],
        "instances": [
            {
                "id": row.id,
                "group": row.group,
                "slot": row.slot,
                "image": row.image,
                "address": row.address,
                **({"zone": row.zone} if row.zone else {}),
                "verdict": row.verdict,
                "reason": row.reason,
                "since": row.verdict_since.isoformat(),
                "looked_at": row.looked_at.isoformat() if row.looked_at else None,
                "taint": row.taint,
                **ahead.taint_follows(),
                "not_replaced_because": ahead.why_not,
                "next": ahead.next,
            }
            for row, ahead in lines
        ],
        "recent_replacements": [
            {
                "id": r.rid,
                "group": r.group,
                "slot": r.slot,
                "state": r.state,
                "old": r.old_id,
                "new": r.new_id,
                "note": r.note,
            }
            for r in recent
        ],
    }
