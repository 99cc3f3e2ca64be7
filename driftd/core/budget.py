"""Budget: may a group spare one more replacement now? The answer is yes, or no with its arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.core.findings import Action

BACK_OFF_DOUBLINGS = 3


@dataclass(frozen=True, slots=True)
class GroupRules:
    """What a group allows. ``enforce`` caps what any rule may do."""

    name: str
    min_healthy: int = 1
    enforce: Action = Action.ALERT
    back_off: timedelta = timedelta(minutes=30)

    @property
    def replaces(self) -> bool:
        """Whether policy may start replacements here."""
        return self.enforce.rank >= Action.REPLACE.rank


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """How a group stands now, as seen by one replacement that wants to be admitted.

    ``in_service`` counts targets that the load balancer calls healthy. ``others`` counts other replacements that are
    past admission. ``failures`` counts replacements that did not succeed since the last one that did; ``failed_at`` is
    when the last of them ended; ``stuck`` is the id of one among them that needs a person.
    """

    in_service: int
    old_in_service: bool
    others: int = 0
    failures: int = 0
    failed_at: datetime | None = None
    stuck: str = ""


@dataclass(frozen=True, slots=True)
class Yes:
    """It may go on; ``why`` is the arithmetic."""

    why: str


@dataclass(frozen=True, slots=True)
class No:
    """Not now; ``until`` is when asking again makes sense, None for "whenever"."""

    why: str
    until: datetime | None = None


def back_off_ends(rules: GroupRules, facts: GroupFacts) -> datetime | None:
    """Until when a group that failed is left alone: the back-off, doubled with each further failure, three times."""
    if facts.failed_at is None or not facts.failures:
        return None
    factor: int = 2 ** min(facts.failures - 1, BACK_OFF_DOUBLINGS)
    return facts.failed_at + rules.back_off * factor


def may_admit(rules: GroupRules, facts: GroupFacts, now: datetime, *, manual: bool) -> Yes | No:
    """One replacement at a time; enough in service before and after; nothing that failed just before.

    A person who asks by hand is not held by back-off, nor by a group below its minimum when the change would mend that.
    """
    if facts.others:
        return No(f"{rules.name} has {facts.others} other replacement under way, and at most 1 is allowed")
    after = facts.in_service - (1 if facts.old_in_service else 0) + 1
    if after < rules.min_healthy:
        return No(f"{rules.name} would have {after} in service afterwards, and its minimum is {rules.min_healthy}")
    if manual:
        return Yes(f"{rules.name} has {facts.in_service} in service, minimum {rules.min_healthy}; asked for by hand")
    if facts.in_service < rules.min_healthy:
        return No(
            f"{rules.name} has {facts.in_service} in service, below its minimum of {rules.min_healthy}; "
            "driftd changes nothing in a group that is ill"
        )
    if facts.stuck:
        return No(
            f"{rules.name} has a replacement that is stuck ({facts.stuck}); mend it, then replace one instance of the "
            "group by hand: its success lets the others go on"
        )
    ends = back_off_ends(rules, facts)
    if ends is not None and now < ends:
        return No(
            f"{facts.failures} replacement{'s' if facts.failures > 1 else ''} in {rules.name} failed in a row; "
            f"the next one waits until {ends:%H:%M:%S} UTC",
            ends,
        )
    return Yes(f"{rules.name} has {facts.in_service} in service, minimum {rules.min_healthy}, no other replacement")
