"""C8, novelty: a new driftd, new rules or a new manifest first show what they would do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from driftd.core.breakers.breaker import Breaker, Known
from driftd.core.breakers.facts import Facts, Version
from driftd.core.breakers.limits import Thresholds
from driftd.core.breakers.settling import closed, opened, passed
from driftd.core.wording import lasting, listed

RULE = "C8"


def rule(known: Known, facts: Facts, now: datetime, limits: Thresholds) -> Iterator[Breaker]:
    """Open until ``observe_first`` after the newest change of what counts in the scope; a person may approve before."""
    by_scope: dict[str, list[Version]] = defaultdict(list)
    for version in facts.versions:
        if now < version.since + limits.observe_first and version.since > passed(known.get(version.scope)):
            by_scope[version.scope].append(version)
    for scope, new in sorted(by_scope.items()):
        until = max(one.since for one in new) + limits.observe_first
        what = listed([f"{one.what} ({one.value[:20]})" for one in sorted(new, key=lambda one: one.what)])
        span = lasting(limits.observe_first)
        why = f"new here: {what}; driftd only observes for {span}, until {until:%Y-%m-%d %H:%M} UTC"
        one = known.get(scope)
        if one is not None and one.holds:
            yield replace(one, why=why, until=until)
        else:
            closes_by = f"time ({lasting(limits.observe_first)} of observing), or a person who approves"
            yield opened(RULE, scope, why, now, closes_by, until=until)
    yield from (closed(one, now) for scope, one in known.items() if one.holds and scope not in by_scope)
