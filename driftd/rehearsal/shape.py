"""Scenarios of a user's own groups: what is asked of them is theirs, what befalls them is the seed's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta

from driftd.core.breakers.limits import DEFAULTS, Thresholds
from driftd.core.rehearsal import Played
from driftd.core.replacement import State
from driftd.rehearsal.run import Run, world
from driftd.rehearsal.scenario import Drift, GroupPlan, Scenario, Tempo, Weather

WEEK = datetime(2030, 1, 7, tzinfo=UTC)  # a Monday
AS_USUAL_S = 120.0  # how long the usual tempo (scenario.LIMITS) allows a step
FASTEST, SLOWEST = 0.02, 5.0
SPANS = (200.0, 300.0, 400.0)


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose rehearsal it is: the groups as their owner has them, and the breakers."""

    groups: tuple[GroupPlan, ...]
    breakers: Thresholds = DEFAULTS


def tempo_of(groups: Sequence[GroupPlan]) -> Tempo:
    """As slow as the shortest of the limits allows, so that each is many beats long."""
    return Tempo(min(max(min(map(_scale, groups)), FASTEST), SLOWEST))


def _scale(plan: GroupPlan) -> float:
    limits = plan.limits
    steps = [limits.boot_timeout, limits.verify_timeout, limits.enroll_timeout, limits.drain_timeout]
    if plan.owning:
        steps += [limits.stop_timeout, limits.snapshot_timeout, limits.detach_timeout, limits.attach_timeout]
        steps += [3 * limits.address_timeout]
    if plan.hooked:
        steps += [limits.quiesce_timeout, limits.serve_timeout]
    steps += [one.within for one in plan.manner.terms if one.name in plan.once]
    scales = [one / timedelta(seconds=AS_USUAL_S) for one in steps]
    return min(*scales, limits.absent / timedelta(seconds=AS_USUAL_S / 2))


def paced(plan: GroupPlan, tempo: Tempo) -> GroupPlan:
    """The plan with the readings as far apart as beats are."""
    beat = timedelta(seconds=tempo.beat_s)
    unseen = max(plan.limits.gone_reads + 1, -(-plan.limits.absent // beat))
    limits = replace(plan.limits, poll=beat, unseen_reads=unseen, healthy_reads=2, longest_pause=timedelta(days=7))
    return replace(plan, limits=limits)


def draw(seed: int, asked: Asked) -> Scenario:
    """What befalls these groups by this seed."""
    chance = random.Random(f"rehearsal {seed}")
    tempo = tempo_of(asked.groups)
    groups = tuple(paced(plan, tempo) for plan in asked.groups)
    drifts, correlated = _drifts(chance, groups, asked.breakers, tempo)
    spare = None
    if len(groups) == 1 and groups[0].manner.delete_first:
        spare = 0
    elif chance.random() < 0.05:
        spare = chance.choice([0, 1])
    return Scenario(
        seed=seed,
        groups=groups,
        drifts=drifts,
        weather=_weather(chance, tempo),
        mishaps=chance.choice([0, 1, 2, 3, 4, 5, 6, 8, 10]),
        span_s=tempo.long(chance.choice(SPANS)),
        two=chance.random() < 0.3,
        sweeping=True,
        correlated=correlated,
        quota_spare=spare,
        tempo=tempo,
        breakers=asked.breakers,
        begins=_begins(chance, groups),
        patient=True,
    )


def _begins(chance: random.Random, groups: Sequence[GroupPlan]) -> datetime:
    """Any minute of a week; now and then the eve of a freeze."""
    at = WEEK + timedelta(minutes=chance.randrange(7 * 24 * 60))
    freezes = [freeze for plan in groups for freeze in plan.rules.calendar.freezes]
    if freezes and chance.random() < 0.15:
        eve = datetime.combine(chance.choice(freezes).first, time(0), UTC) - timedelta(days=1)
        return eve + timedelta(minutes=chance.randrange(24 * 60))
    return at


def _weather(chance: random.Random, tempo: Tempo) -> Weather:
    return Weather(
        boot_s=tempo.long(chance.choice([0, 5, 25])),
        hide_s=tempo.long(chance.choice([0, 0, 0, 10, 30])),
        drain_s=tempo.long(chance.choice([0, 5, 45])),
        stop_s=tempo.long(chance.choice([0, 5, 15])),
        terminate_s=tempo.long(chance.choice([0, 5, 20])),
        load=2,
        rude=chance.random() < 0.3,
        bad_image=0.05 if chance.random() < 0.15 else 0.0,
        sick=0.2 if chance.random() < 0.2 else 0.0,
    )


def _drifts(
    chance: random.Random, groups: Sequence[GroupPlan], breakers: Thresholds, tempo: Tempo
) -> tuple[tuple[Drift, ...], str]:
    every = [slot for group in groups for slot in group.slots]
    big = chance.choice(groups)
    many = max(breakers.alike, -(-big.size * breakers.alike_percent // 100))
    if big.size >= many and chance.random() < 0.2:
        return (Drift(tempo.long(30.0), tuple(big.slots), "file", alike=True),), big.name
    found = []
    for _ in range(chance.choice([1, 1, 2, 3])):
        some = tuple(chance.sample(every, min(len(every), chance.choice([1, 1, 2]))))
        kind = "session" if chance.random() < 0.2 else "file"
        stays = chance.choice([0.0, 40.0, 120.0])
        at = tempo.long(float(chance.randrange(20, 120)))
        found.append(Drift(at, some, kind, chance.random() < 0.3, stays))
    return tuple(found), ""


def play(seed: int, asked: Asked) -> Played:
    """Play one seed with these groups."""
    with world(draw(seed, asked)) as run:
        result = run.play()
        replaced, spent = _led_to(run)
        return Played(
            seed=seed,
            broken=tuple(result.violations),
            tested=frozenset(run.truth.tested),
            mishaps=tuple(result.mishaps),
            replaced=replaced,
            outcomes=result.states,
            spent=spent,
            lasted=run.lasted,
            timeline=(*result.timeline, *result.notes),
            score=run.score(),
        )


def _led_to(run: Run) -> tuple[tuple[float, ...], dict[str, float]]:
    """How long each took from its drift to its end, and what replacements spent their time with."""
    spent: dict[str, float] = {what: seconds for what, seconds in run.spent.items() if what and seconds}
    replaced = []
    with run.office.read() as tx:
        for record in tx.replacements(1000):
            since = run.drifted_at.get(record.old_id)
            if since is None or record.manual:
                continue
            spent["unseen"] = spent.get("unseen", 0.0) + max(0.0, (record.created_at - since).total_seconds())
            if record.state is State.SUCCEEDED:
                replaced.append((record.entered_at - since).total_seconds())
    return tuple(replaced), spent
