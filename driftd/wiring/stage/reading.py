"""How the demo's fleet stands now, read from the daemon's store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from driftd.core.memory import InstanceRow, JournalLine, Tx
from driftd.core.outlook import outlook
from driftd.core.replacement import Record
from driftd.core.wording import shown
from driftd.doors.demo.stage import Scene, Server, StepTime
from driftd.edges.stage.clients import Served
from driftd.wiring.house import WiredHouse


def scene_of(
    tx: Tx,
    victim: str,
    house: WiredHouse,
    told: Sequence[tuple[datetime, str]],
    served: Served,
    says: Callable[[int], Sequence[str]],
) -> Scene:
    """One read of the store, as the view shows it."""
    rows = sorted(tx.instances("web"), key=lambda row: (row.slot, row.id))
    record = next((r for r in tx.replacements() if r.old_id == victim), None) if victim else None
    open_records = {i: r for r in tx.open_replacements() for i in (r.old_id, r.new_id) if i}
    findings = [
        {
            "kind": row.finding.kind,
            "subject": shown(row.finding.subject),
            "change": row.finding.change,
            "severity": row.finding.severity,
            "signature": row.finding.signature,
            "expected": dict(row.finding.expected),
            "actual": dict(row.finding.actual),
            "because": row.finding.because,
            "says": says(row.id) if row.finding.kind == "file" else (),
        }
        for row in (tx.open_findings(victim) if victim else ())
    ]
    sessions = [
        f"{s.session.user} from {s.session.source} by {s.session.door}, key {s.session.key or 'unknown'}"
        for s in (tx.sessions(victim) if victim else ())
        if not s.own
    ]
    return Scene(
        servers=[_server(row, open_records.get(row.id), tx, house) for row in rows],
        findings=findings,
        sessions=sessions,
        messages=told,
        replacement=record.state if record else "",
        replacement_note=record.note if record else "",
        steps=_steps(tx.journal_lines(record.rid)) if record else (),
        requests=served.requests,
        failed=served.failed,
    )


def _server(row: InstanceRow, record: Record | None, tx: Tx, house: WiredHouse) -> Server:
    ahead = outlook(row, record, tx.pauses(), house.enforce("web"), house.every("web"), datetime.now(UTC))
    return Server(row.slot, row.id, row.address, row.verdict, ahead.why_not or ahead.next)


def _steps(lines: Sequence[JournalLine]) -> list[StepTime]:
    """Each state that was left, how long it lasted, and why it was left."""
    steps, entered = [], None
    for line in lines:
        if entered is not None and "from" in line.body:
            steps.append(StepTime(str(line.body["from"]), _seconds(line.at - entered), str(line.body.get("why", ""))))
        if "to" in line.body:
            entered = line.at
    return steps


def _seconds(length: timedelta) -> float:
    return round(length.total_seconds(), 2)
