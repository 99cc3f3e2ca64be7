"""``driftd findings``: what is open, one row a cause, however many findings and instances it has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from driftd.core.causes.fleet import Spread, spread
from driftd.core.findings import Severity
from driftd.core.memory import FindingRow
from driftd.core.wording import count, lasting, listed, printable, shown, three_ways
from driftd.doors.cli.app import app, of
from driftd.doors.cli.complete import one_instance
from driftd.doors.cli.lines import columns, none, show, stacked, total
from driftd.doors.cli.styles import SEVERITY_STYLES
from driftd.doors.house import House
from driftd.flows.naming import the_instance


@app.command()
def findings(
    ctx: typer.Context,
    instance: Annotated[
        str | None, typer.Argument(help="Only this instance's: its id, slot or address.", autocompletion=one_instance)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show every finding, not only what they came of.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a finding, one a line.")] = False,
) -> None:
    """List what is open, worst first: findings of one cause are one, and so is one cause on many instances.

    `driftd accept` takes the number or the signature of a finding, or the signature of a cause.
    """
    context = of(ctx)
    house = context.house()
    with house.store(read_only=True) as store, store.read() as tx:
        causes = spread(tx.open_findings(instance and the_instance(tx, instance).id))
    if as_json:
        for one in causes:
            for row in one.rows:
                typer.echo(json.dumps(_values(row, one)))
        return
    if not causes:
        none(context.out, "No finding is open.")
        return
    cells = list(_rows(causes, house, everything=everything))
    show(context.out, _table(cells), _short(cells))
    rows = [row for one in causes for row in one.rows]
    accepted = sum(1 for row in rows if row.finding.suppressed_by)
    said = f"{count(len(rows), 'finding')} of {count(len(causes), 'cause')}"
    total(context.out, said + (f"; {accepted} of them accepted: driftd accepted" if accepted else ""))


def _rows(causes: Iterable[Spread], house: House, *, everything: bool) -> Iterator[Sequence[str]]:
    for one in causes:
        single = not one.cause.kind
        if not single or (len(one.instances) > 1 and not everything):
            yield _cause_cells(one, house)
        if everything or (single and len(one.instances) == 1):
            for row in one.rows:
                yield _row_cells(row, house, below=not single)


def _table(rows: Iterable[Sequence[str]]) -> Table:
    heads = ("no", "severity", "instance", "what", "since", "signature", "because")
    table = columns(heads, long=("what", "because"), right=("no",))
    for cells in rows:
        number, severity, *others = cells
        table.add_row(Text(number), _severity(severity), *(Text(printable(cell)) for cell in others))
    return table


def _severity(name: str) -> Text:
    return Text(name, SEVERITY_STYLES[Severity(name)])


def _short(rows: Iterable[Sequence[str]]) -> Table:
    def lines(where: str, what: str, since: str, signature: str, because: str) -> Sequence[Text]:
        below = Text(printable(f"{signature}  {where}  since {since}"), "cyan")
        return Text(printable(what)), below, Text(printable(because), "dim")

    short = (((Text(no), _severity(how)), lines(*rest)) for no, how, *rest in rows)
    return stacked(("no", "severity", "what"), short, right=("no",))


def _cause_cells(one: Spread, house: House) -> Sequence[str]:
    cause = one.cause
    where = one.instances[0] if len(one.instances) == 1 else f"on {len(one.instances)} instances"
    reasons = listed(list(dict.fromkeys(row.finding.suppressed_by or row.finding.because for row in one.rows)), most=2)
    what = cause.sentence if len(one.instances) == 1 else f"{cause.sentence} ({listed(list(one.instances))})"
    return ("", cause.severity, where, what, lasting(house.now() - one.since), cause.signature, reasons)


def _row_cells(row: FindingRow, house: House, *, below: bool) -> Sequence[str]:
    found = row.finding
    three = "" if found.kind == "session" else three_ways(found.expected, found.actual)
    what = f"{found.kind} {shown(found.subject)} {found.change}" + (f": {three}" if three else "")
    since = lasting(house.now() - row.first_seen)
    because = found.suppressed_by or found.because
    return (
        str(row.id),
        found.severity,
        row.instance_id,
        f"  {what}" if below else what,
        since,
        found.signature,
        because,
    )


def _values(row: FindingRow, one: Spread) -> dict[str, object]:
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
        "cause": {
            "kind": one.cause.kind,
            "signature": one.cause.signature,
            "sentence": one.cause.sentence,
            "instances": len(one.instances),
        },
    }
