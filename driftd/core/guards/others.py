"""What others do, and what driftd does not know yet."""

from __future__ import annotations

from datetime import datetime

from driftd.core.guards.case import Case, Refusal


def foreign(case: Case, _now: datetime) -> Refusal | None:
    """Not while somebody else changes the group: a deploy, an instance refresh, a rebalancing."""
    said = case.facts.foreign
    return Refusal("foreign", f"{said}; it waits until that is over") if said else None


def cold(case: Case, _now: datetime) -> Refusal | None:
    """After a start nothing is changed before driftd has seen the whole group again."""
    return Refusal("cold start", case.facts.cold) if case.facts.cold else None
