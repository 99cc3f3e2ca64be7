"""A fleet for the breakers' rules: facts are made by hand, and time passes as told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from driftd.core.breakers.breaker import Breaker, Change, State
from driftd.core.breakers.evaluate import closed_by_person, evaluate
from driftd.core.breakers.facts import Facts, Sighting, Standing
from driftd.core.breakers.limits import DEFAULTS, Thresholds
from driftd.core.replacement import Record
from driftd.core.replacement import State as Step

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
MIN = timedelta(minutes=1)
X = "0123456789ab"  # a signature
Y, Z = "ba9876543210", "cccccccccccc"
QUIET = replace(DEFAULTS, observe_first=timedelta(0))


def slots(size, group="web"):
    return frozenset(f"{group}/{n}" for n in range(size))


def standing(size, group="web", **others):
    return Standing(**{"slots": slots(size, group)} | others)


def sighting(number, signature=X, group="web", at=NOW, **others):
    values = {"instance_id": f"{group}-{number}", "group": group, "slot": f"{group}/{number}"}
    return Sighting(**values | {"signature": signature, "short": "/etc/x modified", "first_at": at} | others)


def alike(many, signature=X, group="web", at=NOW):
    return [sighting(number, signature, group, at) for number in range(many)]


def record(rid="r1", state=Step.SUCCEEDED, at=NOW, **others):
    values = {"rid": rid, "group": "web", "slot": "web/1", "image": "golden", "old_id": f"old-{rid}", "why": "drift"}
    return Record(**values | {"state": state, "created_at": at, "entered_at": at} | others)


@dataclass
class Watched:
    """Evaluates again and again, keeping what was there before."""

    limits: Thresholds = QUIET
    now: datetime = NOW
    rows: dict[tuple[str, str], Breaker] = field(default_factory=dict)

    def see(self, facts: Facts, minutes: float = 0) -> list[Change]:
        self.now += minutes * MIN
        changes = [*evaluate(list(self.rows.values()), facts, self.now, self.limits)]
        for change in changes:
            assert self.rows.get(change.after.key) == change.before
            self.rows[change.after.key] = change.after
        assert not evaluate(list(self.rows.values()), facts, self.now, self.limits), "twice at once changes nothing"
        return changes

    def reset(self, rule: str, scope: str) -> None:
        self.rows[rule, scope] = closed_by_person(self.rows[rule, scope], "ops", self.now)

    def open(self, rule: str = "") -> set[str]:
        return {one.scope for one in self.rows.values() if one.state is State.OPEN and rule in {"", one.rule}}

    def holding(self) -> set[tuple[str, str]]:
        return {key for key, one in self.rows.items() if one.holds}
