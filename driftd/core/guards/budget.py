"""Budget: how many instances of a group, and of the fleet, may be under way at once. It says no with its arithmetic."""

from __future__ import annotations

from datetime import datetime

from driftd.core.guards.case import Case, Refusal
from driftd.core.guards.said import are
from driftd.core.wording import listed
from driftd.core.zones import zone_of


def budget(case: Case, _now: datetime) -> Refusal | None:
    """``max(1, floor(percent of the group))``, at most ``most``, less who is under way, not ready or ending by others.

    The old one itself is no burden on the budget, however ill it is: replacing it is what the budget is for. A person
    who asks by hand is not kept from mending a group that is ill.
    """
    rules, facts = case.rules.at_once, case.facts
    size = facts.size
    share = size * rules.percent // 100
    spare = min(max(1, share), rules.most)
    under_way = len(case.others)
    unready = set() if case.by_hand else facts.unready - {case.record.old_id}
    ending = facts.ending - {case.record.old_id}
    left = spare - under_way - len(unready) - len(ending)
    if left >= 1:
        return None
    why = (
        f"{case.rules.name} may spare {spare} at once ({rules.percent} % of {size} is {share}; at least 1, at most "
        f"{rules.most}): {are(under_way)} under way already, {are(len(unready))} not ready, {are(len(ending))} ending "
        "by other hands"
    )
    return Refusal("budget", f"{why}; it waits until one of them is back")


def fleet(case: Case, _now: datetime) -> Refusal | None:
    """No more than so many under way in all groups together."""
    most = case.rules.at_once.fleet
    under_way = case.facts.fleet - case.along - (1 if any(f.rid == case.record.rid for f in case.facts.flights) else 0)
    if under_way < most:
        return None
    return Refusal(
        "fleet",
        f"the fleet has {under_way} replacements under way, and at most {most} may be; it waits until one is over",
    )


def alone(case: Case, _now: datetime) -> Refusal | None:
    """A group of one is only replaced where that was allowed, and one of two never but with the newcomer first."""
    size, name = case.facts.size, case.rules.name
    if size == 1 and not case.rules.allow_singleton and not (case.by_hand and case.surge):
        # By hand it goes only where the newcomer serves first; no use telling others to ask so.
        ask = ", or ask for it by hand" if case.surge else f" (this one is a {case.record.variant})"
        return Refusal(
            "singleton",
            f"{name} has 1 member, and replacing the only one has to be allowed: replacing.allow_singleton: true{ask}",
        )
    if size == 2 and not case.surge:
        return Refusal(
            "singleton",
            f"{name} has 2 members, and of two none may go before its newcomer serves (this one is a "
            f"{case.record.variant})",
        )
    return None


def zone(case: Case, _now: datetime) -> Refusal | None:
    """One zone at a time, so that a change that is bad leaves the other zones as they were.

    Where zones are told and one is not, it counts as another. Who asks by hand waits, too.
    """
    mine = zone_of(case.record, case.facts.zones)
    elsewhere = {flight.zone for flight in case.others} - {mine}
    if not elsewhere:
        return None
    going = listed([zone or "an unknown zone" for zone in sorted(elsewhere)])
    return Refusal(
        "zone",
        f"{case.rules.name} is changed one zone at a time: {going} {'is' if len(elsewhere) == 1 else 'are'} under way, "
        f"and this one is in {mine or 'an unknown zone'}; it waits until that is over",
    )
