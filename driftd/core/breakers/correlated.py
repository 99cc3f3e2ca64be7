"""C1, correlated drift: what happens to many at once is a wrong manifest, a detector gone wrong, or somebody's rollout.

Replacing all of them would end servers that are as they should be, or undo what somebody did on purpose. One scanner or
playbook that logs in everywhere is the same. Instances are counted by their slots, so that one that was replaced in the
meantime still counts, and counts once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.core.breakers.breaker import FLEET, Breaker, Known, of_signature
from driftd.core.breakers.facts import Facts, Sighting
from driftd.core.breakers.limits import Thresholds
from driftd.core.breakers.settling import opened, passed
from driftd.core.wording import count, lasting, listed

RULE = "C1"
CLOSES_BY = "a person"


@dataclass(frozen=True, slots=True)
class _Alike:
    """One signature: on which slots it is or was of late, by group; and on which of them it came of late."""

    signature: str
    short: str
    slots: Mapping[str, frozenset[str]]
    recent: Mapping[str, frozenset[str]]
    span: timedelta

    @property
    def total(self) -> int:
        return sum(map(len, self.slots.values()))

    @property
    def shown(self) -> str:
        return f"{self.signature}: {self.short}"


def rule(known: Known, facts: Facts, now: datetime, limits: Thresholds) -> Iterator[Breaker]:
    """Openings, by signature and of the fleet. Nothing here closes: only a person does."""
    by_signature: dict[str, list[Sighting]] = defaultdict(list)
    for one in facts.sightings:
        if one.group in facts.groups:
            by_signature[one.signature].append(one)
    holding: dict[str, frozenset[str]] = {}
    news = passed(known.get(FLEET))
    wide = ""
    for signature, seen in sorted(by_signature.items()):
        scope = of_signature(signature)
        before = known.get(scope)
        alike = _alike(signature, seen, facts, now, limits, after=passed(before))
        holds = before is not None and before.holds
        if not holds and (why := _too_many(alike, facts, limits)):
            before = opened(RULE, scope, why, now, CLOSES_BY)
            yield before
        if before is not None and before.holds and before.opened_at > news:
            holding[signature] = frozenset(one.instance_id for one in seen)
            of_late = _alike(signature, seen, facts, now, limits, after=news)
            wide = wide or (_wide(of_late) if len(of_late.slots) >= limits.alike_groups else "")
    fleet = known.get(FLEET)
    if fleet is None or not fleet.holds:
        different = len(set(holding.values()))
        if not wide and different >= limits.alike_signatures:
            wide = (
                f"{different} different drifts are correlated at once ({listed(sorted(holding))}), and "
                f"{limits.alike_signatures} are taken for a detector that is wrong"
            )
        if wide:
            yield opened(RULE, FLEET, wide, now, CLOSES_BY)


def _alike(
    signature: str, seen: Sequence[Sighting], facts: Facts, now: datetime, limits: Thresholds, *, after: datetime
) -> _Alike:
    slots: dict[str, set[str]] = defaultdict(set)
    recent: dict[str, set[str]] = defaultdict(set)
    times = []
    for one in seen:
        within = max(limits.alike_within, facts.groups[one.group].every)
        late = one.first_at > now - within
        if one.first_at <= after or not (late or one.ended_at is None):
            continue
        times.append(one.first_at)
        slots[one.group].add(one.slot or one.instance_id)
        if late:
            recent[one.group].add(one.slot or one.instance_id)
    span = max(times) - min(times) if times else timedelta(0)
    return _Alike(
        signature,
        seen[0].short,
        {group: frozenset(names) for group, names in slots.items()},
        {group: frozenset(names) for group, names in recent.items()},
        span,
    )


def _too_many(alike: _Alike, facts: Facts, limits: Thresholds) -> str:
    """Why so many are too many, with the arithmetic; "" when they are not."""
    within = f"within {lasting(alike.span)}" if alike.span else "at once"
    verdict = "the manifest or the detector is probably wrong, or somebody changed them on purpose"
    if len(alike.slots) >= limits.alike_groups:
        return _wide(alike)
    for group, names in sorted(alike.recent.items()):
        size = len(facts.groups[group].slots)
        need = max(limits.alike, share(size, limits.alike_percent))
        if len(names) >= need:
            return (
                f"{len(names)} of {count(size, 'instance')} in {group} drifted alike ({alike.shown}) {within}; fewer "
                f"than {need} may (the greater of {limits.alike} and {limits.alike_percent} %): {verdict}"
            )
    for group, names in sorted(alike.slots.items()):
        here = facts.groups[group].slots
        if 2 <= len(here) <= limits.alike_small and here <= names:
            return f"all {len(here)} instances in {group} drifted alike ({alike.shown}) {within}: {verdict}"
    need = max(limits.alike, share(facts.size, limits.alike_fleet_percent))
    if alike.total >= need:
        groups = f"in {count(len(alike.slots), 'group')}"
        return (
            f"{alike.total} of {count(facts.size, 'instance')} {groups} drifted alike ({alike.shown}) {within}; "
            f"fewer than {need} may (the greater of {limits.alike} and {limits.alike_fleet_percent} % of the fleet): "
            f"{verdict}"
        )
    return ""


def _wide(alike: _Alike) -> str:
    within = f"within {lasting(alike.span)}" if alike.span else "at once"
    return (
        f"{count(alike.total, 'instance')} in {len(alike.slots)} groups ({listed(sorted(alike.slots))}) drifted alike "
        f"({alike.shown}) {within}: the manifest or the detector is probably wrong"
    )


def share(size: int, percent: int) -> int:
    """``percent`` of ``size``, rounded up."""
    return -(-size * percent // 100)
