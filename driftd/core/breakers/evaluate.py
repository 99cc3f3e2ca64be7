"""All rules over the facts of one moment. Pure: what is there, what is so, and the time come in, changes go out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from driftd.core.breakers.breaker import Breaker, Change, State, of_rule
from driftd.core.breakers.facts import Facts
from driftd.core.breakers.limits import DEFAULTS, Thresholds
from driftd.core.breakers.table import RULES

_WORDS = {State.OPEN: "opened", State.HALF_OPEN: "half-opened", State.CLOSED: "closed"}


def evaluate(before: Sequence[Breaker], facts: Facts, now: datetime, limits: Thresholds = DEFAULTS) -> Sequence[Change]:
    """What changes; nothing where all is as it was. Each breaker changes once at most."""
    changes: list[Change] = []
    for rule in RULES:
        known = of_rule(before, rule.name)
        for after in rule.decide(known, facts, now, limits):
            changes += _change(known.get(after.scope), after)
    return changes


def _change(before: Breaker | None, after: Breaker) -> Iterator[Change]:
    if before is None:
        if after.holds:
            yield Change(_WORDS[after.state], None, after)
        return
    after = replace(after, seen_at=before.seen_at)
    if before.state is not after.state:
        yield Change(_WORDS[after.state], before, after)
    elif before != after:
        yield Change("noted", before, after)


def closed_by_person(one: Breaker, by: str, now: datetime) -> Breaker:
    """The same, closed by a person: what there was up to now opens it no more."""
    return replace(one, state=State.CLOSED, by=by, until=None, changed_at=now, since=None, probe="", seen_at=now)
