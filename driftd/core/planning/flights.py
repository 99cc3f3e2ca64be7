"""Flights: replacements as a plan plays them through, and what each of them takes from its group meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from driftd.core.facts import Instance
from driftd.core.guards.case import Flight, GroupFacts, Retired
from driftd.core.planning.reading import Candidate, GroupReading
from driftd.core.planning.rehearsal import Rehearsal
from driftd.core.replacement import Record, State
from driftd.core.world import World
from driftd.core.zones import zone_of


class Moment(StrEnum):
    """What happens on the way that others have to know: the old one goes, the newcomer comes, it is over."""

    LEAVES = "leaves"
    SERVES = "serves"
    ENDS = "ends"


@dataclass(slots=True)
class Waiting:
    """One that waits to be let in. ``planned`` is False of one that waits besides the plan.

    ``first`` is what it was refused at the begin, ``why`` at last; ``until`` is when a clock alone may change that, and
    ``not_before`` when it is asked again after it could not be planned. ``tried`` is how its group stood then.
    Of all in one ``place`` (group, zone, by hand) the budget says the same, unless one is ``special``: ill, or ending.
    """

    record: Record
    candidate: Candidate | None
    planned: bool = True
    first: tuple[object, ...] | None = None
    why: str = ""
    until: datetime | None = None
    not_before: datetime | None = None
    place: tuple[str, str, bool] = ("", "", False)
    special: bool = False
    tried: tuple[int, bool] | None = None


@dataclass(slots=True)
class Flying:
    """One that was let in: what is still to come of it, each so long after the one before."""

    record: Record
    planned: bool
    wave: int
    began: datetime
    coming: list[tuple[Moment, timedelta]]
    due: datetime
    zone: str
    served: bool = False
    out: bool = False
    blocked: str = ""
    tried: int = -1

    @property
    def newcomer(self) -> str:
        """Its newcomer's name in the model."""
        return self.record.new_id or f"new/{self.record.rid}"


def coming(rehearsed: Rehearsal) -> list[tuple[Moment, timedelta]]:
    """The moments of a rehearsal in their order, each with the time since the one before."""
    at = [
        (rehearsed.leaves, 0, Moment.LEAVES),
        (rehearsed.serves, 1, Moment.SERVES),
        (rehearsed.takes, 2, Moment.ENDS),
    ]
    found, before = [], timedelta(0)
    for after, _, moment in sorted(at):
        found.append((moment, after - before))
        before = after
    return found


@dataclass(slots=True)
class Scene:
    """One group while a plan is played through. ``version`` counts what changed in it."""

    read: GroupReading
    facts: GroupFacts
    flying: dict[str, Flying] = field(default_factory=dict)
    version: int = 0
    ended: int = 0  # the highest wave of which one is over
    least: dict[int, int] = field(default_factory=dict)
    after: dict[int, tuple[int, Mapping[str, int]]] = field(default_factory=dict)
    zones: dict[str, int] | None = None
    slots: dict[str, list[Instance]] | None = None

    def world(self, waiting: Waiting) -> World:
        """What a plan of one replacement is made from (core/steps/before.py)."""
        record, read = waiting.record, self.read
        rivals = tuple(one for one in self._in(record.slot) if one.id != record.old_id and not one.state.ending)
        return World(
            rules=read.rules,
            facts=self.facts,
            old=read.instances.get(record.old_id),
            targets=read.targets,
            rivals=rivals,
            volumes={name: one for name, one in read.volumes.items() if record.slot and one.slot == record.slot},
            addresses={name: one for name, one in read.addresses.items() if record.slot and one.slot == record.slot},
            impossible="" if read.manner.delete_first else read.impossible,
            manner=read.manner,
        )

    def _in(self, slot: str) -> Sequence[Instance]:
        if self.slots is None:
            self.slots = {}
            for one in self.read.instances.values():
                self.slots.setdefault(one.slot, []).append(one)
        return self.slots.get(slot, ()) if slot else ()

    def changed(self, fleet: int, now: datetime, *, over: Flying | None = None) -> None:
        """Something happened: the facts anew, and how few are in service in the waves that are under way."""
        flights = tuple(
            Flight(
                one.record.rid,
                one.record.slot,
                one.record.old_id,
                one.newcomer,
                State.RETIRING if one.out and one.served else State.BOOTING,
                attended=one.record.manual or bool(one.record.approved_by),
                zone=one.zone,
                out=one.out,
            )
            for one in self.flying.values()
        )
        retired = self.facts.retired
        if over is not None:
            retired = (*retired, Retired(now, over.record.manual or bool(over.record.approved_by)))
        self.facts = replace(self.facts, flights=flights, fleet=fleet, retired=retired)
        self.version += 1
        for wave in {one.wave for one in self.flying.values()} | ({over.wave} if over else set()):
            self.least[wave] = min(self.least.get(wave, self.facts.in_service), self.facts.in_service)
        if over is not None:
            self.after[over.wave] = (self.facts.in_service, self.by_zone())

    def by_zone(self) -> Mapping[str, int]:
        """How many are in service in each zone that anybody told of."""
        if self.zones is None:
            told = self.facts.zones
            homes = [told[one] for one in self.read.instances if told.get(one)]
            self.zones = dict.fromkeys(homes, 0)
            for name in self.facts.healthy:
                self._counts(told.get(name, ""), 1)
        return dict(self.zones)

    def _counts(self, zone: str, more: int) -> None:
        if zone and self.zones is not None:
            self.zones[zone] = self.zones.get(zone, 0) + more

    def serves(self, flying: Flying) -> None:
        """Its newcomer is in service."""
        self.by_zone()
        flying.served = True
        self._counts(flying.zone, 1)
        self.facts = replace(self.facts, healthy=self.facts.healthy | {flying.newcomer})

    def leaves(self, flying: Flying) -> None:
        """Its old one is out of service."""
        self.by_zone()
        flying.out = True
        gone = {flying.record.old_id}
        self._counts(flying.zone, -len(self.facts.healthy & gone))
        self.facts = replace(self.facts, healthy=self.facts.healthy - gone, unready=self.facts.unready - gone)

    def settles(self, flying: Flying) -> None:
        """It is over."""
        del self.flying[flying.record.rid]
        self.ended = max(self.ended, flying.wave)


def flight_of(record: Record, read: GroupReading, rehearsed: Rehearsal, now: datetime) -> Flying:
    """One that is under way already: taken to need as long as if it began now, less what it has behind it."""
    served = record.new_id in read.facts.healthy
    out = record.drain_sent or record.stop_sent or record.quiesce_sent
    steps = coming(rehearsed)
    left = [(moment, gap) for moment, gap in steps if not _behind(moment, out=out, served=served)]
    zone = zone_of(record, read.facts.zones)
    first = left[0][1] if left else timedelta(0)
    return Flying(
        record, zone=zone, planned=False, wave=0, began=now, coming=left, due=now + first, served=served, out=out
    )


def _behind(moment: Moment, *, out: bool, served: bool) -> bool:
    return (moment is Moment.LEAVES and out) or (moment is Moment.SERVES and served)
