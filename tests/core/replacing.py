"""What tests of the decision share: a time, limits, an instance, rules and facts."""

from __future__ import annotations

from datetime import UTC, datetime

from driftd.core.facts import Instance, InstanceState
from driftd.core.findings import Action
from driftd.core.guards.calendar import ALWAYS
from driftd.core.guards.case import UNPACED, GroupFacts, GroupRules
from driftd.core.replacement import TERMINAL, State
from driftd.core.world import Limits

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LIMITS = Limits()
HOOKS = frozenset({"quiesce", "serve"})
OPEN = [state for state in State if state not in TERMINAL]


def instance(name: str, state: InstanceState) -> Instance:
    return Instance(name, "web", "golden", state, "web/1")


def rules(least: int, enforce: Action = Action.REPLACE) -> GroupRules:
    """At any hour and at any pace; what guards there are beyond is tested with them."""
    return GroupRules("web", least, enforce, min_percent=0, pace=UNPACED, calendar=ALWAYS)


RULES = rules(2)


def facts(healthy: int, *, old: bool = False) -> GroupFacts:
    peers = frozenset(f"peer-{number}" for number in range(healthy - old))
    return GroupFacts(size=3, healthy=peers | {"old"} if old else peers)
