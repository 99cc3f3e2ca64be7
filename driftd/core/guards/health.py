"""Minimum healthy: how many of a group must be in service, whatever else is so."""

from __future__ import annotations

from datetime import datetime

from driftd.core.guards.case import Case, Refusal
from driftd.core.guards.said import part

SURGE_PERCENT = 100
OTHER_PERCENT = 90


def least(case: Case) -> tuple[int, str]:
    """How many must be in service, and how that comes about."""
    percent = case.rules.min_percent
    if percent is None:
        percent = SURGE_PERCENT if case.surge else OTHER_PERCENT
    return _greater(case, percent)


def _greater(case: Case, percent: int) -> tuple[int, str]:
    """The count or the share, whichever is more.

    A share below 100 % spares at least one: it never rounds to "nobody may ever go".
    """
    count, size = case.rules.min_healthy, case.facts.size
    share = size - part(100 - percent, size)
    if share > count:
        return share, f"{share} ({percent} % of {size})"
    return count, str(count)


def short(case: Case) -> str:
    """Why the group cannot do without the old one now, with the arithmetic; "" when it can."""
    without = case.facts.in_service - (1 if case.old_serves else 0)
    need, said = least(case)
    if without >= need:
        return ""
    return f"{case.rules.name} would have {without} in service without {case.record.old_id}, and its minimum is {said}"


def without_newcomer(case: Case, newcomer: str) -> str:
    """Why an undo may not take a newcomer that serves out of service now, with the arithmetic; "" when it may.

    Where the newcomer came first and no share was chosen, the count alone binds: of the 100 % that go without saying
    then, one that has to go would never be spared while its old one is ill.
    """
    left = case.facts.in_service - 1
    unsaid = case.surge and case.rules.min_percent is None
    need, said = _greater(case, 0) if unsaid else least(case)
    if left >= need:
        return ""
    return f"{case.rules.name} would have {left} in service without {newcomer}, and its minimum is {said}"


def without_it(case: Case, _now: datetime) -> Refusal | None:
    """Read live, right before the group becomes the poorer."""
    why = short(case)
    return Refusal("min healthy", f"{why}; it waits until more of them are healthy") if why else None


def afterwards(case: Case, _now: datetime) -> Refusal | None:
    """At admission: enough in service at the worst moment of what is about to begin, and the group not ill before it.

    Where the newcomer serves first, it is counted; where it cannot, the old one is gone first and nobody is.
    """
    rules, facts, name = case.rules, case.facts, case.rules.name
    after = facts.in_service - (1 if case.old_serves else 0) + (1 if case.surge else 0)
    need, said = least(case)
    if after < need:
        moment = "afterwards" if case.surge else "meanwhile"
        return Refusal(
            "min healthy",
            f"{name} would have {after} in service {moment}, and its minimum is {said}; it waits until more of them "
            "are healthy",
        )
    if not case.by_hand and facts.in_service < rules.min_healthy:
        return Refusal(
            "min healthy",
            f"{name} has {facts.in_service} in service, below its minimum of {rules.min_healthy}; "
            "driftd changes nothing in a group that is ill",
        )
    return None


def quorum(case: Case, _now: datetime) -> Refusal | None:
    """A cluster of data servers keeps its quorum without the old one, and its leader goes last (core/quorum.py)."""
    why = case.facts.quorum.get(case.record.old_id, "")
    return Refusal("quorum", f"{case.rules.name}: {why}; it waits until that is so no more") if why else None
