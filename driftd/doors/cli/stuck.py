"""What ``driftd status`` says of replacements that are stuck: what happened, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from driftd.core.replacement import Record
from driftd.core.wording import lasting, printable
from driftd.doors.house import House


def waiting(house: House, group: str | None) -> Sequence[Record]:
    """Those that wait for a person, of ``group`` or of all."""
    from driftd.flows.standing import stuck  # noqa: PLC0415  # costs --help a quarter of a second

    with house.store(read_only=True) as store, store.read() as tx:
        groups = sorted({record.group for record in tx.stuck_replacements(group)})
        return [record for name in groups for record in stuck(tx, name)]


def in_short(record: Record, now: datetime) -> Text:
    """One of them; its note ends in what is to be done."""
    said = f"STUCK {record.slot} for {lasting(now - record.entered_at)}, replacement {record.rid}: {record.note}"
    return Text(printable(f"{said} (docs/stuck.md; driftd journal show {record.rid})"), "bold red")


def as_value(record: Record) -> dict[str, object]:
    """The same for machines."""
    return {
        "id": record.rid,
        "group": record.group,
        "slot": record.slot,
        "old": record.old_id,
        "new": record.new_id,
        "since": record.entered_at.isoformat(),
        "why": record.note,
    }
