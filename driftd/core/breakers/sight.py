"""C5, blindness, and C6, an inventory that cannot be: whoever cannot see does not act."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from driftd.core.breakers.breaker import FLEET, Breaker, Known, of_group
from driftd.core.breakers.facts import Facts, Pass
from driftd.core.breakers.limits import Thresholds
from driftd.core.breakers.settling import LONG_AGO, closed, opened
from driftd.core.wording import lasting, listed

BLIND = "C5"
SHRUNK = "C6"
EMPTY = "empty"
SIZE = "size"
_PERSON = "a person"


def _by_group(facts: Facts) -> dict[str, list[Pass]]:
    found: dict[str, list[Pass]] = defaultdict(list)
    for one in sorted(facts.passes, key=lambda one: one.at):
        found[one.group].append(one)
    return found


# --- C5 --------------------------------------------------------------------------------------------------------------


def blindness(known: Known, facts: Facts, now: datetime, limits: Thresholds) -> Iterator[Breaker]:
    """Too few were seen of late, or the provider cannot be asked; the fleet where that is so of every group."""
    passes = _by_group(facts)
    closes_by = f"{limits.full_passes} full passes over the group"
    made: dict[str, Breaker] = {}
    for group, standing in sorted(facts.groups.items()):
        scope, mine = of_group(group), passes[group]
        one = known.get(scope)
        why = _unseen(mine) or _silent(
            group, standing.reported, standing.expected, limits, standing.every > limits.reported_within
        )
        if why:
            made[scope] = replace(one, why=why) if one and one.holds else opened(BLIND, scope, why, now, closes_by)
        elif one is not None and one.holds:
            after = [p for p in mine if p.at > one.opened_at][-limits.full_passes :]
            full = len(after) == limits.full_passes and all(is_full(p, limits) for p in after)
            made[scope] = closed(one, now) if full else one
    for scope, one in known.items():
        if one.holds and scope != FLEET and scope not in made:
            made[scope] = closed(one, now)  # its group is no longer configured
    yield from made.values()
    blind = [scope.removeprefix("group:") for scope, one in made.items() if one.holds]
    fleet = known.get(FLEET)
    if len(facts.groups) > 1 and len(blind) == len(facts.groups):
        if fleet is None or not fleet.holds:
            why = f"all {len(blind)} groups are blind ({listed(blind)}): driftd itself sees nothing"
            yield opened(BLIND, FLEET, why, now, f"{limits.full_passes} full passes over a group")
    elif fleet is not None and fleet.holds:
        yield closed(fleet, now)


def _unseen(passes: Sequence[Pass]) -> str:
    return f"its last inventory could not be read: {passes[-1].unseen}" if passes and passes[-1].unseen else ""


def _silent(group: str, reported: int, expected: int, limits: Thresholds, slow: bool) -> str:
    if 100 * reported >= limits.reported_percent * expected:
        return ""
    within = "since their last two looks were due" if slow else f"within {lasting(limits.reported_within)}"
    return (
        f"{reported} of {expected} in {group} could be looked at {within}, and fewer than {limits.reported_percent} % "
        "are too few to judge by"
    )


def is_full(one: Pass, limits: Thresholds) -> bool:
    """Whether this pass could read the inventory, and enough of it had been looked at."""
    return not one.unseen and 100 * one.reported >= limits.reported_percent * one.expected


# --- C6 --------------------------------------------------------------------------------------------------------------


def shrinking(known: Known, facts: Facts, now: datetime, limits: Thresholds) -> Iterator[Breaker]:
    """An inventory that is empty where there were instances, or changed too much between two passes: all stops.

    ``basis`` lists what for: "empty:web,size:db"; ``since`` is when the last of them came.
    """
    before = known.get(FLEET)
    passes = _by_group(facts)
    open_over = _basis(before) if before is not None and before.holds else {}
    news = before.entered if before is not None and not before.holds else (before.since if before else None) or LONG_AGO
    found = {}
    for group in sorted(facts.groups):
        if what := _odd([one for one in passes[group] if not one.unseen], news, limits):
            found[group] = what
    fresh = {group: what for group, (what, _) in found.items() if open_over.get(group) not in {what, EMPTY}}
    if fresh:
        sorts = {**open_over, **fresh}
        why = "; ".join([sentence for group, (_, sentence) in found.items() if group in fresh][:3])
        if open_over and before is not None:
            yield replace(_over(before, sorts, limits), why=f"{before.why}; {why}"[:1000], since=now)
        else:
            yield _over(replace(opened(SHRUNK, FLEET, why, now, ""), since=now), sorts, limits)
        return
    if before is None or not before.holds:
        return
    left = {
        group: what
        for group, what in open_over.items()
        if what == EMPTY
        or (group in facts.groups and not _steady(passes[group], before.since or before.opened_at, limits))
    }
    yield _over(before, left, limits) if left else closed(before, now)


def _odd(passes: Sequence[Pass], news: datetime, limits: Thresholds) -> tuple[str, str] | None:
    if not passes or passes[-1].at <= news:
        return None
    last, earlier = passes[-1], passes[-2] if len(passes) > 1 else None
    if last.size == 0 and (last.known or (earlier and earlier.size)):
        return (
            EMPTY,
            f"the inventory of {last.group} is empty where {last.known or (earlier and earlier.size)} were known",
        )
    if earlier is None or not earlier.size:
        return None
    moved = abs(last.size - earlier.size)
    if moved > 1 and 100 * moved > limits.size_percent * earlier.size:
        return SIZE, (
            f"{last.group} went from {earlier.size} to {last.size} between two passes, and more than one and "
            f"{limits.size_percent} % stop everything until it is steady"
        )
    return None


def _steady(passes: Sequence[Pass], since: datetime, limits: Thresholds) -> bool:
    after = [one for one in passes if one.at > since][-limits.full_passes :]
    same = len({one.size for one in after}) == 1 and after[0].size > 0
    return len(after) == limits.full_passes and same and not any(one.unseen for one in after)


def _over(one: Breaker, sorts: dict[str, str], limits: Thresholds) -> Breaker:
    person = EMPTY in sorts.values()
    closes_by = _PERSON if person else f"{limits.full_passes} passes that find the same size"
    return replace(one, basis=",".join(f"{what}:{group}" for group, what in sorted(sorts.items())), closes_by=closes_by)


def _basis(one: Breaker) -> dict[str, str]:
    pairs = (part.partition(":") for part in one.basis.split(",") if part)
    return {group: what for what, _, group in pairs}


def only_a_person(one: Breaker) -> bool:
    """Whether an inventory was empty, which no pass makes good."""
    return EMPTY in _basis(one).values()
