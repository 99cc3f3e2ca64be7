"""A case for guards: a replacement in a group of ten where nothing speaks against it, to be changed at one point."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from driftd.core.findings import Action
from driftd.core.guards.calendar import ALWAYS
from driftd.core.guards.case import Case, Flight, GroupFacts, GroupRules
from driftd.core.replacement import Record, State

NOW = datetime(2030, 1, 2, 12, tzinfo=UTC)  # a Wednesday
NAMES = tuple(f"i-{number}" for number in range(10))
OLD = NAMES[0]

RECORD = Record("R", "web", "web/0", "golden", OLD, "drift", State.ADMITTING, NOW, NOW)
RULES = GroupRules("web", enforce=Action.REPLACE, calendar=ALWAYS)
FACTS = GroupFacts(size=10, healthy=frozenset(NAMES))


def case(record: Record = RECORD, rules: GroupRules = RULES, **facts) -> Case:
    """All of them are healthy unless it is said who is."""
    everybody = {"healthy": frozenset(f"i-{number}" for number in range(facts.get("size", 10)))}
    return Case(record, rules, replace(FACTS, **everybody | facts))


def flight(number: int, state: State = State.BOOTING, **more) -> Flight:
    return Flight(f"R{number}", f"web/{number}", f"i-{number}", f"n-{number}", state, **more)
