"""The gate before service: whom others launched may serve once it was seen to be as baked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.core.findings import Verdict
from driftd.core.memory import InstanceRow
from driftd.core.replacement import Record, State
from driftd.core.wording import gate as wording

_GOOD = frozenset({Verdict.CLEAN, Verdict.EXPLAINED})
_BAD = frozenset({Verdict.DRIFTED, Verdict.TAMPERED})


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether it may serve, and why."""

    admits: bool
    why: str


def decide(instance_id: str, row: InstanceRow | None, record: Record | None, every: timedelta, now: datetime) -> Answer:
    """``row`` is what the store has of who waits, ``record`` the open replacement that it has to do with, if any.

    A look counts for as long as two looks may be apart: what waited through a stop and a start is looked at anew. One
    that drifted is never let through; that it is replaced is the controller's matter, by its own guards.
    """
    if row is not None and (why := _against(row)):
        return Answer(admits=False, why=why)
    if record is not None:
        return _newcomer(instance_id, record)
    if row is None or row.looked_at is None:
        return Answer(admits=False, why=wording.not_looked_at())
    if row.verdict not in _GOOD:
        return Answer(admits=False, why=wording.not_as_baked(str(row.verdict), row.reason))
    if now - row.looked_at > 2 * every:
        return Answer(admits=False, why=wording.long_ago(row.looked_at))
    return Answer(admits=True, why=wording.as_baked(str(row.verdict)))


def _against(row: InstanceRow) -> str:
    """What speaks against one whatever else is so; "" for nothing."""
    if row.gone_at is not None:
        return wording.gone()
    bad = row.verdict in _BAD or row.action.replaces
    return wording.not_as_baked(str(row.verdict), row.reason) if bad else ""


def _newcomer(instance_id: str, record: Record) -> Answer:
    """Of one that a replacement has to do with."""
    if instance_id != record.new_id:
        return Answer(admits=False, why=wording.replaced(record.rid))
    if record.state is State.UNDOING:
        return Answer(admits=False, why=wording.undone(record.rid))
    return Answer(
        record.verified, wording.verified(record.rid) if record.verified else wording.not_verified(record.rid)
    )
