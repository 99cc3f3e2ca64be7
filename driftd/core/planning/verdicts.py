"""Verdicts: what every guard says of one replacement, and what those say that a person's asking passes by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from driftd.core.guards import (
    ADMISSION,
    Case,
    Guard,
    Refusal,
    admission,
    breakers,
    budget,
    health,
    others,
    pace,
    people,
    windows,
)
from driftd.core.guards.case import GroupFacts, GroupRules
from driftd.core.replacement import Record

NAMES: dict[Guard, str] = {
    others.cold: "cold start",
    people.hold: "hold",
    people.approval: "approval",
    windows.window: "window",
    others.foreign: "foreign",
    breakers.breakers_against: "breaker",
    people.session: "session",
    pace.stuck: "stuck",
    pace.back_off: "back-off",
    budget.alone: "singleton",
    budget.zone: "zone",
    budget.budget: "budget",
    budget.fleet: "fleet",
    pace.slow_start: "slow start",
    pace.between: "pace",
    pace.hourly: "pace",
    pace.daily: "pace",
    health.afterwards: "min healthy",
    health.quorum: "quorum",
}
ALL = tuple(dict.fromkeys(NAMES[guard] for guard in ADMISSION))


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Every guard's: which let it pass, which make it wait, and which would but for the person who asks."""

    passes: Sequence[str]
    waits: Sequence[Refusal]
    skips: Sequence[Refusal]


def verdicts(record: Record, waits: Sequence[Refusal], rules: GroupRules, facts: GroupFacts, now: datetime) -> Verdicts:
    """``waits`` is what the guards said to ``record`` in its turn; what is skipped is as of ``facts``."""
    skips: Sequence[Refusal] = ()
    if record.manual:
        alone = replace(record, manual=False, approved_by="")
        mine = {one.why for one in admission(Case(record, rules, facts), now)}
        others_said = admission(Case(alone, rules, facts), now)
        skips = [_nameless(one, record.rid) for one in others_said if one.why not in mine]
    waiting = {one.guard for one in waits}
    skipped = {one.guard for one in skips}
    named = ["window" if name == "freeze" else name for name in waiting | skipped]
    return Verdicts(tuple(name for name in ALL if name not in named), waits, tuple(skips))


def _nameless(refusal: Refusal, rid: str) -> Refusal:
    """A replacement that is not asked for yet has no id that anybody could approve."""
    return replace(refusal, why=refusal.why.replace(rid, "ID"))
