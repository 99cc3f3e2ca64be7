"""What the guards read and what they answer: one replacement, what its group allows, and how the group stands now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from driftd.core.breakers.breaker import Breaker
from driftd.core.findings import Action
from driftd.core.guards.calendar import WORK_HOURS, Calendar
from driftd.core.guards.width import Widths
from driftd.core.ports import Target, TargetState
from driftd.core.replacement import Record, State
from driftd.core.rollout import Rollout

SURGE, SWITCH, HANDOVER = "surge", "switch", "handover"


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a group's instances may follow one another. None is no limit.

    ``per_day`` is a percentage of the group and counts what no person asked for or approved. ``checkpoints`` are
    percentages of the group, after which ``checkpoint`` is waited instead of ``between``.
    """

    between: timedelta = timedelta(minutes=5)
    per_hour: int | None = 6
    per_day: int | None = 20
    checkpoints: tuple[int, ...] = (20, 50, 100)
    checkpoint: timedelta = timedelta(minutes=10)


UNPACED = Pace(timedelta(0), None, None, ())


@dataclass(frozen=True, slots=True)
class AtOnce:
    """How many may be under way at once: ``percent`` of a group, at least one, ``most`` at most; ``fleet`` in all."""

    percent: int = 10
    most: int = 5
    fleet: int = 10


@dataclass(frozen=True, slots=True)
class Grace:
    """How long people are waited for: ``after`` their last session ended, since they may come back, and that for no
    longer than ``cap`` after they first came. Who is there is not cut off, however long that takes.
    """

    after: timedelta = timedelta(minutes=30)
    cap: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class GroupRules:
    """What a group allows. ``enforce`` caps what any rule may do; with ``approve`` a person has to agree to each.

    ``min_healthy`` is a count; ``min_percent`` a share of the group, None for 100 % where the newcomer comes first and
    90 % where it cannot. The greater of the two holds.
    """

    name: str
    min_healthy: int = 0
    enforce: Action = Action.ALERT
    back_off: timedelta = timedelta(minutes=30)
    approve: bool = False
    min_percent: int | None = None
    at_once: AtOnce = AtOnce()
    pace: Pace = Pace()
    calendar: Calendar = WORK_HOURS
    grace: Grace = Grace()
    allow_singleton: bool = False

    @property
    def replaces(self) -> bool:
        """Whether policy may start replacements here."""
        return self.enforce.replaces


@dataclass(frozen=True, slots=True)
class Flight:
    """A replacement under way: past admission, and not over. ``out`` says that its old one was taken out of service, or
    is about to be: the group is the poorer by it until the replacement is over. ``set`` is the rollout whose whole set
    goes together, "" for none.
    """

    rid: str
    slot: str
    old_id: str
    new_id: str
    state: State
    attended: bool = False
    zone: str = ""
    out: bool = False
    set: str = ""


@dataclass(frozen=True, slots=True)
class Retired:
    """When an instance of the group was ended, and whether a person had asked for or approved it."""

    at: datetime
    attended: bool = False


@dataclass(frozen=True, slots=True)
class Failures:
    """Replacements that did not succeed since the last one that did: how many, and when the last of them ended."""

    count: int = 0
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Presence:
    """People on an instance, by the last look: how many are there, since when there is anybody, when the last left."""

    live: int = 0
    since: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody's hold on an instance."""

    owner: str
    reason: str
    until: datetime


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """How a group stands now; one for all its replacements, so that what is about one of them is looked up by its id.

    ``size`` is how many members it has, newcomers not counted; ``healthy`` are the targets that the load balancer
    calls so, newcomers included; ``unready`` are members that are targets and not healthy; ``ending`` are members that
    go, and not by driftd. ``fleet`` counts the replacements under way everywhere. ``stuck`` is the id of one that needs
    a person.
    ``signatures`` are the failures by what the drift looked like. ``holds`` and ``present`` are by instance, ``zones``
    by instance and slot (core/zones.py).
    ``foreign`` says which operation of others is going on, ``cold`` what is not yet known since the daemon began.
    ``rollouts`` are those under way, by their ids.
    ``quorum`` says by instance why a cluster cannot do without it, ``widths`` what slow start allows, ``breakers`` are
    all that hold, ``account`` is the provider's.
    """

    size: int = 0
    healthy: frozenset[str] = frozenset()
    unready: frozenset[str] = frozenset()
    ending: frozenset[str] = frozenset()
    flights: tuple[Flight, ...] = ()
    fleet: int = 0
    retired: tuple[Retired, ...] = ()
    failures: Failures = Failures()
    signatures: Mapping[str, Failures] = field(default_factory=dict)
    stuck: str = ""
    holds: Mapping[str, Held] = field(default_factory=dict)
    present: Mapping[str, Presence] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)
    foreign: str = ""
    cold: str = ""
    rollouts: Mapping[str, Rollout] = field(default_factory=dict)
    quorum: Mapping[str, str] = field(default_factory=dict)
    widths: Widths | None = None
    breakers: tuple[Breaker, ...] = ()
    account: str = ""

    @property
    def in_service(self) -> int:
        """How many the load balancer calls healthy."""
        return len(self.healthy)

    def seen(self, targets: Mapping[str, Target]) -> GroupFacts:
        """The same with what the load balancer says now: what is read again, live, right before a call."""
        healthy = frozenset(name for name, target in targets.items() if target.state is TargetState.HEALTHY)
        ours = {name for flight in self.flights for name in (flight.old_id, flight.new_id)}
        return replace(self, healthy=healthy, unready=frozenset(targets.keys() - healthy - ours))

    def looked(self, instance_id: str, live: int, now: datetime) -> GroupFacts:
        """The same with what a look just saw of people on one instance."""
        known = self.present.get(instance_id, Presence())
        since = known.since or now
        gone = Presence(0, known.since, now if known.live else known.ended)
        fresh = Presence(live, since, known.ended) if live else gone
        return replace(self, present={**self.present, instance_id: fresh})


@dataclass(frozen=True, slots=True)
class Case:
    """One replacement in front of the guards."""

    record: Record
    rules: GroupRules
    facts: GroupFacts

    @property
    def others(self) -> tuple[Flight, ...]:
        """The group's other replacements under way. Those of one set are one change to the group."""
        return tuple(one for one in self.facts.flights if one.rid != self.record.rid and not self._along(one))

    @property
    def along(self) -> int:
        """How many are under way with it as one set, itself not counted."""
        return sum(1 for one in self.facts.flights if one.rid != self.record.rid and self._along(one))

    def _along(self, flight: Flight) -> bool:
        return bool(self.record.together and flight.set == self.record.rollout)

    @property
    def old_serves(self) -> bool:
        """The load balancer calls the old one healthy."""
        return self.record.old_id in self.facts.healthy

    @property
    def surge(self) -> bool:
        """The newcomer serves before the old one goes; so it is until a plan says otherwise."""
        return self.record.variant in {"", SURGE, SWITCH, HANDOVER}

    @property
    def goes_first(self) -> bool:
        """It is the first of its kind, so the group watches it before others follow."""
        widths = self.facts.widths
        return widths is not None and widths.canary(self.record)

    @property
    def by_hand(self) -> bool:
        """A person asked for it."""
        return self.record.manual

    @property
    def attended(self) -> bool:
        """A person asked for it, or approved it."""
        return self.record.manual or bool(self.record.approved_by)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Not now: one sentence with its arithmetic and what it waits for; ``until`` is when asking again makes sense."""

    guard: str
    why: str
    until: datetime | None = None
