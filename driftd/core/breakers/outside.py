"""What comes from outside: C7, alerts that fire; C10, leftovers; C11, operations of others; C12, pace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from driftd.core.breakers.breaker import Breaker, Known, of_group
from driftd.core.breakers.facts import Facts
from driftd.core.breakers.limits import Thresholds
from driftd.core.breakers.settling import closed, opened, passed, until_calm
from driftd.core.wording import count, lasting, listed

ALERTS = "C7"
LEFTOVERS = "C10"
FOREIGN = "C11"
PACE = "C12"


def _always(_scope: str) -> bool:
    return True


def alerts(known: Known, facts: Facts, now: datetime, limits: Thresholds) -> Iterator[Breaker]:
    """C7: any alert that blocks the group, or nobody to ask; closed when it was quiet for a while."""
    bad = {of_group(group): why for group, why in sorted(facts.alerts.items()) if why}
    closes_by = f"no such alert for {lasting(limits.quiet_alerts)}"
    yield from until_calm(ALERTS, known, bad, _always, limits.quiet_alerts, now, closes_by)


def leftovers(known: Known, facts: Facts, now: datetime, limits: Thresholds) -> Iterator[Breaker]:
    """C10: a replacement that is stuck, a mark or a lock past its time; closed when it is gone."""
    del limits
    bad = {}
    for group, left in sorted(facts.leftovers.items()):
        before = known.get(of_group(group))
        if fresh := [one for one in left if one.at > passed(before)]:
            bad[of_group(group)] = (
                f"{count(len(fresh), 'thing')} of driftd's is left in {group} and none may be: "
                f"{listed([f'{one.name} ({one.why})' for one in fresh])}"
            )

    def gone(scope: str) -> bool:
        group = scope.removeprefix("group:")
        return group in facts.leftovers or group not in facts.groups

    closes_by = "the janitor, once nothing is left; or a person"
    yield from until_calm(LEFTOVERS, known, bad, gone, timedelta(0), now, closes_by)


def foreign(known: Known, facts: Facts, now: datetime, limits: Thresholds) -> Iterator[Breaker]:
    """C11: somebody else changes the group; closed when it was quiet for a while."""
    bad = {of_group(group): why for group, why in sorted(facts.foreign.items()) if why}
    closes_by = f"nothing of the sort for {lasting(limits.quiet_foreign)}"
    yield from until_calm(FOREIGN, known, bad, _always, limits.quiet_foreign, now, closes_by)


def pace(known: Known, facts: Facts, now: datetime, limits: Thresholds) -> Iterator[Breaker]:
    """C12: a limit of pace is reached, which its guard enforces; the breaker only shows that it is."""
    del limits
    bad = {of_group(group): reached for group, reached in sorted(facts.paced.items())}
    for scope, reached in bad.items():
        one = known.get(scope)
        if one is not None and one.holds:
            yield replace(one, why=reached.why, until=reached.until)
        else:
            yield opened(PACE, scope, reached.why, now, "time", until=reached.until)
    yield from (closed(one, now) for scope, one in known.items() if one.holds and scope not in bad)
