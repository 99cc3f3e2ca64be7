"""Passes: each reading of a group's inventory, and how much of the group could be looked at, kept for the breakers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from driftd.core.breakers.facts import Pass
from driftd.core.facts import Instance, InstanceState
from driftd.core.findings import Verdict
from driftd.core.memory import InstanceRow, Tx
from driftd.core.replacement import Record
from driftd.flows.groups import Group


def seen_pass(
    group: Group,
    found: Iterable[Instance],
    rows: Sequence[InstanceRow],
    opened: Sequence[Record],
    now: datetime,
    *,
    within: timedelta,
) -> Pass:
    """A pass that could read the inventory. ``rows`` are those from before it."""
    size = len({instance.slot or instance.id for instance in found})
    expected, reported = reports(rows, opened, now, within=max(within, 2 * group.every))
    return Pass(group.name, now, size, len({row.slot or row.id for row in rows}), expected, reported)


def blind_pass(tx: Tx, group: Group, why: str, now: datetime) -> None:
    """A pass that could not; of several in a row the last is kept."""
    tx.add_pass(Pass(group.name, now, 0, unseen=why))


def reports(
    rows: Iterable[InstanceRow], opened: Iterable[Record], now: datetime, *, within: timedelta
) -> tuple[int, int]:
    """How many instances are to be seen, and how many were, ``within`` so long.

    Left out are those that are being replaced, that do not run, and that were not there for so long yet.
    """
    busy = {name for record in opened for name in (record.old_id, record.new_id)}
    expected = reported = 0
    for row in rows:
        if row.id in busy or row.state != InstanceState.RUNNING or row.gone_at is not None:
            continue
        seen = row.verdict_since if row.verdict is Verdict.UNKNOWN else row.looked_at
        if seen is not None and seen >= now - within:
            reported += 1
        expected += 1
    return expected, reported
