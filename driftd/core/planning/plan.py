"""The plan: of all that is to be replaced, the order, the waves, the steps, the waits, and what is left in service.

Pure: what was read and the time in, a plan with its reasons out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from statistics import median

from driftd.core.guards import Case, Refusal
from driftd.core.guards.health import least
from driftd.core.guards.order import queue
from driftd.core.planning.flights import Scene, Waiting, flight_of
from driftd.core.planning.playing import LetIn, Play, Player
from driftd.core.planning.reading import Candidate, Chosen, GroupReading, Reading
from driftd.core.planning.rehearsal import Made, Rehearsal, Shape, at_most, rehearse
from driftd.core.planning.verdicts import Verdicts, verdicts
from driftd.core.replacement import WAITING, Record, State
from driftd.core.variants import DELETE_FIRST, HANDOVER, SURGE, SWITCH, usual
from driftd.core.world import Plan as Frozen
from driftd.core.zones import zone_of


@dataclass(frozen=True, slots=True)
class Length:
    """How long one replacement takes: between two lengths, and in how many past ones that was so (0: by its limits)."""

    least: timedelta
    most: timedelta
    usual: timedelta
    past: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """One replacement. ``wave`` is 0 where it will not be let in by what is known; ``waits`` then says why.

    ``begins`` and ``ends`` count from when the plan was made; None where it is not let in. ``later`` is what held it up
    on its way, "" where nothing did.
    """

    candidate: Candidate
    record: Record
    zone: str
    verdicts: Verdicts
    variant: str
    calls: Sequence[Made]
    length: Length
    volumes: Mapping[str, str]
    addresses: Mapping[str, str]
    connections: int
    wave: int = 0
    begins: timedelta | None = None
    ends: timedelta | None = None
    waits: str = ""
    later: str = ""


@dataclass(frozen=True, slots=True)
class Wave:
    """What is let in together in one group, and what is in service at the worst moment and once it is over."""

    number: int
    items: Sequence[Item]
    lowest: int
    after: int
    zones: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """One group: its waves, and how it stands before. ``zones`` is how many members each has."""

    read: GroupReading
    waves: Sequence[Wave]
    minimum: int
    items: Sequence[Item]
    zones: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """``items`` are in the order in which they are let in; those that wait for something unknown come last."""

    reading: Reading
    items: Sequence[Item]
    groups: Sequence[GroupPlan]
    notes: Sequence[str]
    takes: tuple[timedelta, timedelta]
    by_hand: bool = True


def plan(reading: Reading, chosen: Chosen, *, by_hand: bool = True) -> Plan:
    """What would be done about ``chosen`` if a person asked for all of it now (``by_hand``), or else nobody did."""
    entries = _entries(reading, chosen.candidates, by_hand=by_hand)
    lengths = _Lengths(reading)
    scenes = {name: Scene(read, read.facts) for name, read in reading.groups.items() if not read.cannot}
    for scene in scenes.values():
        _begun(scene, lengths, reading.at)
    for entry in entries:
        record, facts = entry.record, reading.groups[entry.record.group].facts
        entry.place = (record.group, zone_of(record, facts.zones), record.manual)
        entry.special = record.old_id in facts.unready | facts.ending
    play = _played(reading, scenes, entries, lengths)
    items = _items(reading, entries, play, lengths)
    groups = tuple(_group(scenes[name], items) for name in scenes if any(i.record.group == name for i in items))
    return Plan(reading, items, groups, tuple(chosen.notes), _takes(items, groups), by_hand)


def _entries(reading: Reading, candidates: Sequence[Candidate], *, by_hand: bool) -> list[Waiting]:
    """Who waits, the plan's and others; new ones are numbered in the order of the controller's own queue."""
    new = [one for one in candidates if one.waiting is None]
    ranked = {_rank_id(place): one for place, one in enumerate(sorted(new, key=lambda one: one.old.id))}
    records = [_record(reading, one, rid, manual=by_hand) for rid, one in ranked.items()]
    since = {
        rid: one.row.verdict_since if one.row and one.asked_by != "hand" else reading.at for rid, one in ranked.items()
    }
    order = queue(
        (replace(one, state=State.ADMITTING, entered_at=since[one.rid], created_at=since[one.rid]) for one in records),
        reading.urgent,
        reading.at,
    )
    by_rid = {one.rid: one for one in records}
    found = [
        Waiting(replace(by_rid[ranked_record.rid], rid=f"~{place:08d}"), ranked[ranked_record.rid])
        for place, ranked_record in enumerate(order)
    ]
    waiting = {one.waiting.rid: one for one in candidates if one.waiting is not None}
    for group in reading.groups.values():
        for record in group.opened:
            if record.state in WAITING and not group.cannot:
                mine = waiting.get(record.rid)
                asked = replace(record, manual=True, next_at=None) if mine and by_hand else record
                found.append(Waiting(asked, mine, planned=mine is not None))
    return found


def _rank_id(place: int) -> str:
    return f"{place:08d}"


def _record(reading: Reading, one: Candidate, rid: str, *, manual: bool) -> Record:
    group = reading.groups[one.old.group]
    return Record(
        rid,
        one.old.group,
        one.old.slot,
        group.image or one.old.image,
        one.old.id,
        one.why,
        State.CONFIRMING,
        reading.at,
        reading.at,
        manual=manual,
    )


class _Lengths:
    """How replacements go, and how long they take: each shape rehearsed once."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._rehearsed: dict[Shape, Rehearsal] = {}
        self._length = cache(self._lasts)

    def rehearse(self, record: Record, frozen: Frozen) -> Rehearsal:
        """By how long it usually takes."""
        found = self.shape(record, frozen)
        usual = self.length(record).usual
        stretch = usual / found.takes if found.takes else 1.0
        if stretch <= 1:
            return found
        return replace(found, leaves=found.leaves * stretch, serves=found.serves * stretch, takes=usual)

    def shape(self, record: Record, frozen: Frozen) -> Rehearsal:
        group = self._reading.groups[record.group]
        owned = tuple(owner == record.old_id for owner in frozen.addresses.values())
        known = [group.addresses[name].linger for name in frozen.addresses if name in group.addresses]
        shape = _shape(group, frozen.variant, len(frozen.volumes), owned, record)
        shape = replace(shape, linger=max(known, default=timedelta(0)))
        if shape not in self._rehearsed:
            self._rehearsed[shape] = rehearse(shape)
        return self._rehearsed[shape]

    def length(self, record: Record) -> Length:
        """How long a replacement like this takes."""
        return self._length(record.group, record.variant or SURGE.name, record.canary, record.keep_s)

    def _lasts(self, name: str, variant: str, canary: bool, keep_s: int) -> Length:  # cached by position
        group = self._reading.groups[name]
        owned = () if variant in {SURGE.name, SWITCH.name} else (True,)
        volumes = 0 if variant == HANDOVER.name else len(owned)
        shape = Shape(variant, group.limits, group.manner, volumes, owned, canary=canary, keep_s=keep_s)
        low = rehearse(shape).takes
        took = sorted(one.took for one in group.past if one.variant == variant)
        if not took:
            return Length(low, max(low, at_most(shape)), low)
        return Length(
            took[0], took[-1], max(low, timedelta(seconds=median(one.total_seconds() for one in took))), len(took)
        )


def _shape(group: GroupReading, variant: str, volumes: int, addresses: tuple[bool, ...], record: Record) -> Shape:
    target = record.old_id in group.targets
    return Shape(
        variant,
        group.limits,
        group.manner,
        volumes,
        addresses,
        target,
        record.canary,
        record.keep_s,
        record.quarantine,
    )


def _begun(scene: Scene, lengths: _Lengths, now: datetime) -> None:
    """Those that are under way already take their share, until they are over."""
    flights = {one.rid for one in scene.facts.flights}
    for record in scene.read.opened:
        if record.rid in flights:
            frozen = Frozen(record.variant or SURGE.name, record.volumes, record.addresses)
            scene.flying[record.rid] = flight_of(record, scene.read, lengths.rehearse(record, frozen), now)


def _played(reading: Reading, scenes: Mapping[str, Scene], entries: Sequence[Waiting], lengths: _Lengths) -> Play:
    mine = sum(len(scene.flying) for scene in scenes.values())
    elsewhere = max((scene.facts.fleet for scene in scenes.values()), default=0) - mine
    player = Player(
        scenes, entries, reading.urgent, reading.history, lengths.rehearse, reading.at, elsewhere=max(0, elsewhere)
    )
    return player.run()


def _items(reading: Reading, entries: Sequence[Waiting], play: Play, lengths: _Lengths) -> tuple[Item, ...]:
    by_rid = {one.record.rid: one for one in entries if one.planned}
    began = [_item(reading, by_rid[one.record.rid], play, lengths, one) for one in play.let_in]
    left = [rid for rid in by_rid if rid in play.waits]
    ordered = queue((play.waits[rid].record for rid in left), reading.urgent, reading.at)
    return (*began, *(_item(reading, by_rid[one.rid], play, lengths, None) for one in ordered))


def _item(reading: Reading, entry: Waiting, play: Play, lengths: _Lengths, let_in: LetIn | None) -> Item:
    assert entry.candidate is not None  # noqa: S101  # the plan's own all have one
    record = let_in.record if let_in else entry.record
    read, old = reading.groups[record.group], entry.candidate.old
    frozen = let_in.plan if let_in else _would_be(read, record)
    target = read.targets.get(old.id)
    over = play.over.get(record.rid)
    planned = replace(record, variant=frozen.variant)
    return Item(
        candidate=entry.candidate,
        record=planned,
        zone=zone_of(record, read.facts.zones) or old.zone,
        verdicts=verdicts(entry.record, _first(entry), read.rules, read.facts, reading.at),
        variant=frozen.variant,
        calls=_named(lengths.shape(planned, frozen).calls, frozen),
        length=lengths.length(planned),
        volumes={name: read.volumes[name].attached_to for name in frozen.volumes},
        addresses={name: read.addresses[name].attached_to for name in frozen.addresses},
        connections=target.connections if target else 0,
        wave=let_in.wave if let_in else 0,
        begins=let_in.at - reading.at if let_in else None,
        ends=over - reading.at if over else None,
        waits="" if let_in else entry.why,
        later=play.blocked.get(record.rid, ""),
    )


def _first(entry: Waiting) -> Sequence[Refusal]:
    return tuple(one for one in entry.first or () if isinstance(one, Refusal))


def _would_be(read: GroupReading, record: Record) -> Frozen:
    """What would be planned for one that cannot be let in."""
    volumes = {name: one.filesystem for name, one in sorted(read.volumes.items()) if record.slot == one.slot != ""}
    addresses = {name: one.attached_to for name, one in sorted(read.addresses.items()) if record.slot == one.slot != ""}
    found = usual(volumes, [read.addresses[name] for name in addresses])
    return Frozen((DELETE_FIRST if read.manner.delete_first else found).name, volumes, addresses)


def _named(calls: Sequence[Made], frozen: Frozen) -> tuple[Made, ...]:
    """The calls of a rehearsal with the names of what they are about."""
    things = {f"volume {number}": name for number, name in enumerate(frozen.volumes)}
    things |= {f"address {number}": name for number, name in enumerate(frozen.addresses)}
    return tuple(replace(one, thing=things[one.thing]) if one.thing else one for one in calls)


def _group(scene: Scene, items: Sequence[Item]) -> GroupPlan:
    read = scene.read
    mine = tuple(one for one in items if one.record.group == read.name)
    waves = [
        Wave(
            number,
            tuple(one for one in mine if one.wave == number),
            scene.least.get(number, read.facts.in_service),
            *scene.after.get(number, (scene.facts.in_service, scene.by_zone())),
        )
        for number in sorted({one.wave for one in mine} - {0})
    ]
    need = max((least(Case(one.record, read.rules, read.facts))[0] for one in mine), default=0)
    zones: dict[str, int] = {}
    for one in read.instances.values():
        if (zone := read.facts.zones.get(one.id) or one.zone) and not one.state.ending and one.group == read.name:
            zones[zone] = zones.get(zone, 0) + 1
    return GroupPlan(read, waves, need, mine, zones)


def _takes(items: Sequence[Item], groups: Sequence[GroupPlan]) -> tuple[timedelta, timedelta]:
    """From now until all that is let in is over: as short as each can be, and as long, wave after wave."""
    shortest = max((one.ends for one in items if one.ends is not None), default=timedelta(0))
    longest = timedelta(0)
    for group in groups:
        waits = max((one.begins for one in group.items if one.begins is not None), default=timedelta(0))
        waves = sum((max(one.length.most for one in wave.items) for wave in group.waves), timedelta(0))
        longest = max(longest, waves if not waits else max(waves, waits + max(one.length.most for one in group.items)))
    return shortest, max(shortest, longest)
