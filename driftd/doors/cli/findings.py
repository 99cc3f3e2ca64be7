"""``driftd findings`` and ``accept``: what is open, and "that was me"."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from driftd.core.errors import BadInput
from driftd.core.memory import FindingRow, Suppression, Tx
from driftd.core.wording import lasting, printable, shown, three_ways
from driftd.doors.cli.app import app, of, span


@app.command()
def findings(
    ctx: typer.Context,
    instance: Annotated[str | None, typer.Argument(help="Only this instance's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the open findings, worst first, with the number and signature that `driftd accept` takes."""
    context = of(ctx)
    house = context.house()
    with house.store(read_only=True) as store, store.read() as tx:
        rows = sorted(tx.open_findings(instance), key=lambda row: (-row.finding.severity.rank, row.first_seen, row.id))
    if as_json:
        for row in rows:
            typer.echo(json.dumps(_values(row)))
        return
    if not rows:
        context.out.print("No finding is open.", highlight=False)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("no", "severity", "instance", "what", "since", "signature", "because"):
        table.add_column(heading, no_wrap=heading not in {"what", "because"}, overflow="fold")
    for row in rows:
        found = row.finding
        three = three_ways(found.expected, found.actual)
        what = f"{found.kind} {shown(found.subject)} {found.change}" + (f": {three}" if three else "")
        cells = (
            str(row.id),
            found.severity,
            row.instance_id,
            what,
            lasting(house.now() - row.first_seen),
            found.signature,
        )
        table.add_row(*(Text(printable(cell)) for cell in (*cells, found.suppressed_by or found.because)))
    context.out.print(table)


def _values(row: FindingRow) -> dict[str, object]:
    found = row.finding
    return {
        "no": row.id,
        "instance": row.instance_id,
        "kind": found.kind,
        "subject": shown(found.subject),
        "change": found.change,
        "severity": found.severity,
        "signature": found.signature,
        "because": found.because,
        "expected": dict(found.expected),
        "actual": dict(found.actual),
        "first_seen": row.first_seen.isoformat(),
        "last_seen": row.last_seen.isoformat(),
        "accepted": found.suppressed_by,
    }


@app.command()
def accept(
    ctx: typer.Context,
    finding: Annotated[str, typer.Argument(help="A finding's number or signature.")],
    lasting_for: Annotated[str, typer.Option("--for", help="For how long: 90m, 2h, 7d.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in every report that leaves the finding out.")],
    group: Annotated[
        str, typer.Option("--group", "-g", help="Only in this group (default: the finding's own).", show_default=False)
    ] = "",
) -> None:
    """Accept one finding's signature for a while: "that was me". Dated, owned, and still counted."""
    context = of(ctx)
    house = context.house()
    now, owner, until = house.now(), house.person(), span(lasting_for)
    if not reason.strip():
        raise BadInput("an acceptance needs a reason", "say why with --reason")
    with house.store() as store, store.write() as tx:
        signature, found_in = _find(tx, finding)
        scope = group or found_in
        number = tx.add_suppression(Suppression(0, signature, scope, owner, reason, now, now + until))
        body = {
            "did": "accept",
            "signature": signature,
            "owner": owner,
            "reason": reason,
            "until": (now + until).isoformat(),
        }
        tx.journal("human", scope or "everywhere", body, now)
    where, ends = scope or "every group", now + until
    said = f"Accepted {signature} in {where} until {ends:%Y-%m-%d %H:%M} UTC (no {number}), owned by {owner}."
    context.out.print(said, highlight=False, markup=False)


def _find(tx: Tx, name: str) -> tuple[str, str]:
    """(signature, group) of the finding with this number or signature. Raises BadInput."""
    rows = tx.open_findings()
    chosen = [row for row in rows if name in {str(row.id), row.finding.signature}]
    if not chosen:
        raise BadInput(f"no open finding has the number or signature {name!r}", "see: driftd findings")
    row = tx.instance(chosen[0].instance_id)
    return chosen[0].finding.signature, row.group if row else ""
