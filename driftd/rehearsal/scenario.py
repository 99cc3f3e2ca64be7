"""What a seed decides before a run begins: which groups there are, what is asked of them, and how the cloud behaves."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta

from driftd.core.breakers.limits import DEFAULTS, Thresholds
from driftd.core.findings import Action
from driftd.core.guards.calendar import ALWAYS, Calendar, Window
from driftd.core.guards.case import UNPACED, AtOnce, Grace, GroupRules, Pace
from driftd.core.guards.written import EVERY_DAY
from driftd.core.hooks import HookName, OnFailure
from driftd.core.world import Limits, Manner

BEGINS = datetime(2030, 1, 1, tzinfo=UTC)
BEAT_S = 10.0
LEASE_S = 30.0
LIMITS = Limits(
    dwell=timedelta(seconds=10),
    confirm_timeout=timedelta(seconds=120),
    plan_again=timedelta(seconds=30),
    launch_timeout=timedelta(seconds=120),
    boot_timeout=timedelta(seconds=120),
    verify_timeout=timedelta(seconds=120),
    enroll_timeout=timedelta(seconds=120),
    soak=timedelta(seconds=20),
    canary_soak=timedelta(seconds=30),
    drain_timeout=timedelta(seconds=120),
    stop_timeout=timedelta(seconds=120),
    quiesce_timeout=timedelta(seconds=120),
    snapshot_timeout=timedelta(seconds=120),
    detach_timeout=timedelta(seconds=120),
    attach_timeout=timedelta(seconds=120),
    address_timeout=timedelta(seconds=120),
    serve_timeout=timedelta(seconds=120),
    park=timedelta(seconds=20),
    retire_timeout=timedelta(seconds=180),
    settle_timeout=timedelta(seconds=180),
    undo_timeout=timedelta(seconds=600),
    absent=timedelta(seconds=60),
    poll=timedelta(seconds=BEAT_S),
    longest_pause=timedelta(seconds=20),
    healthy_reads=2,
    unseen_reads=8,
)
BREAKERS = replace(
    DEFAULTS,
    probe_after=timedelta(minutes=2),
    failures_within=timedelta(minutes=10),
    well_for=timedelta(minutes=1),
    reported_within=timedelta(minutes=3),
    quiet_alerts=timedelta(seconds=30),
    observe_first=timedelta(0),
    back_off=timedelta(minutes=1),
    back_off_most=timedelta(minutes=4),
    quiet_foreign=timedelta(seconds=30),
    # A zone here often has one slot: where that one is ill, C4 waits for a person, and nobody here is that person.
    ill_zone_percent=100,
)


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """One group: its rules, how it is replaced, and what its slots own; ``watched``: its canaries soak longer.

    ``hooked``: hooks bring its service to rest and start it. ``once`` are the hooks that are called once besides; what
    is declared of them stands in ``manner``.

    Its slots take turns in ``zones``, where the cloud tells any.
    """

    name: str
    size: int
    rules: GroupRules
    manner: Manner
    limits: Limits
    watched: bool
    owning: bool
    hooked: bool
    every: timedelta
    keep_snapshots: timedelta | None
    zones: tuple[str, ...] = ()
    once: frozenset[HookName] = frozenset()

    @property
    def hooks(self) -> frozenset[HookName]:
        """All that it has."""
        return self.once | ({HookName.QUIESCE, HookName.SERVE} if self.hooked else frozenset())

    def goes_on_without(self, name: HookName) -> bool:
        """Whether it was declared that a replacement goes on where this hook fails."""
        return any(one.name == name and one.on_failure is OnFailure.CONTINUE for one in self.manner.terms)

    @property
    def placed(self) -> dict[str, str]:
        """The zone of each slot; nothing where the cloud tells none."""
        return {slot: self.zones[number % len(self.zones)] for number, slot in enumerate(self.slots) if self.zones}

    @property
    def slots(self) -> list[str]:
        """Its slots' names."""
        return [f"{self.name}/{number}" for number in range(self.size)]


@dataclass(frozen=True, slots=True)
class Drift:
    """At ``at_s`` these slots drift, or somebody comes to them; ``alike`` all in the same way."""

    at_s: float
    slots: tuple[str, ...]
    kind: str  # "file", "session"
    alike: bool
    stays_s: float = 0.0  # how long a session lasts


@dataclass(frozen=True, slots=True)
class Weather:
    """How the cloud behaves all the time, in seconds and chances."""

    boot_s: float
    hide_s: float
    drain_s: float
    stop_s: float
    terminate_s: float
    load: int
    rude: bool
    bad_image: float
    sick: float


@dataclass(frozen=True, slots=True)
class Tempo:
    """How fast everything goes: ``scale`` stretches the beat, the lease, and however long anything lasts."""

    scale: float = 1.0

    @property
    def beat_s(self) -> float:
        """Seconds from one beat to the next."""
        return BEAT_S * self.scale

    def long(self, seconds: float) -> float:
        """So long as ``seconds`` are at the usual tempo."""
        return seconds if self.scale == 1 else round(seconds * self.scale, 2)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that is decided before the first beat. ``mishaps`` is how many things go wrong, over ``span_s``."""

    seed: int
    groups: tuple[GroupPlan, ...]
    drifts: tuple[Drift, ...]
    weather: Weather
    mishaps: int
    span_s: float
    two: bool
    sweeping: bool = False  # everything is looked at again and again, and nothing is done before it was
    correlated: str = ""  # the group of which so many drift at once that nothing may be done
    quota_spare: int | None = None
    tempo: Tempo = Tempo()
    breakers: Thresholds = BREAKERS
    begins: datetime = BEGINS
    patient: bool = False  # a user's own rules: windows stay, and where nothing happens time is left out

    @property
    def instances(self) -> int:
        """How many there are in all."""
        return sum(group.size for group in self.groups)


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    chance = random.Random(f"scenario {seed}")
    sizes = _sizes(chance)
    sweeping = chance.random() < 0.15 and sum(sizes) < 5
    every = timedelta(seconds=60 if sweeping else 1200)
    groups = tuple(_group(chance, f"g{number}", size, every) for number, size in enumerate(sizes))
    weather = Weather(
        boot_s=chance.choice([0, 5, 25]),
        hide_s=chance.choice([0, 0, 0, 10, 30]),
        drain_s=chance.choice([0, 5, 45]),
        stop_s=chance.choice([0, 5, 15]),
        terminate_s=chance.choice([0, 5, 20]),
        load=2,
        rude=chance.random() < 0.3,
        bad_image=0.05 if chance.random() < 0.15 else 0.0,
        sick=0.2 if chance.random() < 0.2 else 0.0,
    )
    total = sum(group.size for group in groups)
    drifts, correlated = _drifts(chance, groups)
    spare = None
    if any(group.manner.delete_first for group in groups) and len(groups) == 1:
        spare = 0
    elif chance.random() < 0.05:
        spare = chance.choice([0, 1])
    return Scenario(
        seed=seed,
        groups=_hooked(seed, _placed(seed, groups)),
        drifts=drifts,
        weather=weather,
        mishaps=chance.choice([0, 1, 2, 3, 4, 5, 6, 8, 10]),
        span_s=chance.choice([200.0, 300.0, 400.0]) if total < 60 else 200.0,
        two=chance.random() < 0.3,
        correlated=correlated,
        sweeping=sweeping,
        quota_spare=spare,
    )


def _sizes(chance: random.Random) -> list[int]:
    dice = chance.random()
    if dice < 0.72:
        return [chance.choice([2, 3, 3, 3, 4, 5])]
    if dice < 0.95:
        return [chance.randrange(1, 4) for _ in range(chance.choice([2, 2, 3]))]
    if dice < 0.997:
        return [chance.randrange(2, 11) for _ in range(chance.choice([1, 1, 2]))]
    return [chance.randrange(1, 26) for _ in range(chance.choice([8, 20, 40]))]


def _group(chance: random.Random, name: str, size: int, every: timedelta) -> GroupPlan:
    sort = chance.choices(["surge", "move", "delete-first"], [5, 4, 2])[0]
    owning = sort == "move" or (sort == "delete-first" and chance.random() < 0.5)
    pace = UNPACED
    if chance.random() < 0.3:
        pace = Pace(
            timedelta(seconds=chance.choice([20, 60])), 6, chance.choice([50, 100]), (50,), timedelta(seconds=60)
        )
    calendar = ALWAYS
    if chance.random() < 0.1:
        calendar = Calendar((Window(EVERY_DAY, time(0), time(chance.choice([1, 12]))),), chosen=True)
    need = max(0, size - chance.choice([1, 1, 1, 2])) if size > 1 else 0
    rules = GroupRules(
        name,
        min_healthy=need,
        enforce=Action.REPLACE,
        back_off=timedelta(seconds=60),
        approve=chance.random() < 0.08,
        min_percent=0 if sort != "surge" or chance.random() < 0.64 else None,
        at_once=AtOnce(chance.choice([10, 10, 50, 100]), 5, 10),
        pace=pace,
        calendar=calendar,
        grace=Grace(timedelta(seconds=20), timedelta(hours=1)),
        allow_singleton=sort == "surge",
    )
    watched = chance.random() < 0.2
    delete_first = sort == "delete-first"
    return GroupPlan(
        name=name,
        size=size,
        rules=rules,
        manner=Manner(delete_first, delete_first, snapshots=chance.random() < 0.7),
        limits=_limits(chance, watched),
        watched=watched,
        owning=owning,
        hooked=owning and chance.random() < 0.7,
        every=every,
        keep_snapshots=timedelta(days=30),
    )


def _limits(chance: random.Random, watched: bool) -> Limits:
    limits = LIMITS if chance.random() < 0.8 else replace(LIMITS, park=timedelta(0), soak=timedelta(0))
    return limits if watched else replace(limits, canary_soak=limits.soak)


def _placed(seed: int, groups: tuple[GroupPlan, ...]) -> tuple[GroupPlan, ...]:
    """The groups with their zones, by dice of their own: whatever else the seed decides is as it would be without."""
    chance = random.Random(f"zones {seed}")
    return tuple(replace(plan, zones=chance.choice([(), (), ("a", "b"), ("a", "b", "c")])) for plan in groups)


def _hooked(seed: int, groups: tuple[GroupPlan, ...]) -> tuple[GroupPlan, ...]:
    """Some of those whose slots own nothing have hooks, too: for a membership, say. By dice of their own."""
    chance = random.Random(f"hooks {seed}")
    return tuple(replace(plan, hooked=plan.hooked or (chance.random() < 0.4 and not plan.owning)) for plan in groups)


def _drifts(chance: random.Random, groups: tuple[GroupPlan, ...]) -> tuple[tuple[Drift, ...], str]:
    every = [slot for group in groups for slot in group.slots]
    found = []
    big = chance.choice(groups)
    if big.size >= 5 and chance.random() < 0.5:
        return (Drift(30.0, tuple(big.slots), "file", alike=True),), big.name
    for _ in range(chance.choice([1, 1, 2, 3])):
        some = tuple(chance.sample(every, min(len(every), chance.choice([1, 1, 2]))))
        kind = "session" if chance.random() < 0.2 else "file"
        stays = chance.choice([0.0, 40.0, 120.0])
        found.append(Drift(float(chance.randrange(20, 120)), some, kind, chance.random() < 0.3, stays))
    return tuple(found), ""
