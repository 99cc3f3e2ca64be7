"""Standing: how a group stands now, once for all of its replacements: what guards and decisions read.

What is about one instance is looked up by its id in what is returned, so that a thousand replacements that wait cost
a few queries a group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.core import taint
from driftd.core.breakers.breaker import Breaker
from driftd.core.facts import InstanceState
from driftd.core.guards.case import Failures, Flight, GroupFacts, Held, Presence, Retired
from driftd.core.guards.pace import BACK_OFF_DOUBLINGS, DAY
from driftd.core.guards.width import Widths, widths
from driftd.core.memory import InstanceRow, SessionRow, Store, Tx
from driftd.core.ports import Target
from driftd.core.replacement import FAILED, TERMINAL, UNSTARTED, WAITING, Record, State
from driftd.core.rollout import Rollout
from driftd.core.stuck import still_stuck
from driftd.core.world import Sight, Verb
from driftd.core.zones import by_name, zone_of
from driftd.flows.groups import Group
from driftd.flows.judging import foreign
from driftd.flows.survey import Survey
from driftd.flows.warming import Warming


@dataclass(frozen=True, slots=True)
class Stand:
    """The facts of a group, and by id what the store knows of those of its instances that are to be replaced."""

    facts: GroupFacts
    remembered: Mapping[str, Sight]


@dataclass(frozen=True, slots=True)
class _Shared:
    """What is one for all groups."""

    opened: Sequence[Record]
    ended: Sequence[Record]
    holds: Mapping[str, Held]
    breakers: tuple[Breaker, ...]
    widths: Widths
    zones: Mapping[str, str]
    rollouts: Mapping[str, Rollout]


class Standings:
    """The standing of each group in one round: made when it is first wanted, and anew for each new survey.

    ``since`` is when the daemon began; None for who need not have seen everything before something is changed.
    """

    def __init__(self, store: Store, groups: Mapping[str, Group], since: datetime | None = None) -> None:
        self._store = store
        self._warming = Warming(since)
        self._longest = max((memory(group) for group in groups.values()), default=DAY)
        self._shared: _Shared | None = None
        self._opened: dict[str, Record] | None = None
        self._ended: Sequence[Record] | None = None
        self._zones: Mapping[str, str] | None = None
        self._made: dict[str, tuple[Survey, Stand]] = {}

    def of(self, group: Group, seen: Survey, now: datetime) -> Stand:
        """How ``group`` stands by this survey."""
        known = self._made.get(group.name)
        if known is not None and known[0] is seen:
            return known[1]
        busy = foreign(group)
        with self._store.read() as tx:
            if known is not None or self._shared is None:
                # Surveyed a second time in one round: somebody is about to act, and reads everything again.
                self._shared = self._read(tx, now)
            rows = tx.instances(group.name)
            cold = self._warming.lacks(tx, group.name, rows, self._shared.opened)
            stand = _stand(tx, group, seen, self._shared, rows, now, cold=cold, foreign=busy)
        self._made[group.name] = (seen, stand)
        return stand

    def begin(self, opened: Iterable[Record]) -> None:
        """A round begins, and all open replacements have just been read."""
        self._forget()
        self._opened, self._ended, self._zones = {record.rid: record for record in opened}, None, None

    def moved(self, record: Record) -> None:
        """One replacement moved on: what it takes, no other has. That counts for every group of the fleet.

        Nobody but who holds the controller's lease moves any, so that the others need not be read again.
        """
        known = None if self._opened is None else self._opened.get(record.rid)
        if self._opened is not None:
            self._opened[record.rid] = record
        if known is not None and _seen_by_others(known) == _seen_by_others(record):
            return
        if record.state in TERMINAL:
            self._ended = None
            if self._opened is not None:
                self._opened.pop(record.rid, None)
        self._forget()

    def _forget(self) -> None:
        self._made.clear()
        self._shared = None

    def _read(self, tx: Tx, now: datetime) -> _Shared:
        if self._ended is None:
            self._ended = tx.ended_replacements(now - self._longest)
        if self._zones is None:
            self._zones = by_name(tx.zones(now - self._longest))
        opened = tx.open_replacements() if self._opened is None else [*self._opened.values()]
        return _shared(tx, now, opened, self._ended, self._zones)


def _seen_by_others(record: Record) -> tuple[State, str, bool]:
    """What of a replacement counts for any other."""
    return record.state, record.new_id, _takes(record)


def memory(group: Group) -> timedelta:
    """How long ended replacements of a group count."""
    longest: timedelta = group.rules.back_off * 2**BACK_OFF_DOUBLINGS
    return max(DAY, longest)


def _shared(
    tx: Tx, now: datetime, every: Sequence[Record], ended: Sequence[Record], zones: Mapping[str, str]
) -> _Shared:
    return _Shared(
        every,
        ended,
        {one.instance_id: Held(one.owner, one.reason, one.until) for one in tx.holds(now)},
        tuple(one for one in tx.breakers() if one.holds),
        widths([*ended, *every], every, zones),
        zones,
        {one.id: one for one in tx.open_rollouts()},
    )


def _stand(
    tx: Tx,
    group: Group,
    seen: Survey,
    shared: _Shared,
    rows: Sequence[InstanceRow],
    now: datetime,
    *,
    cold: str,
    foreign: str,
) -> Stand:
    waiting = {one.old_id for one in shared.opened if one.group == group.name and one.state in UNSTARTED}
    facts = _facts(tx, group, seen.targets, shared, rows, now, cold=cold, foreign=foreign, marked=seen.marked)
    return Stand(facts, remembered(tx, group.name, [row for row in rows if row.id in waiting], now))


_GOING = frozenset({state.value for state in InstanceState if state.halted})


def standing(
    tx: Tx, group: Group, targets: Mapping[str, Target], now: datetime, *, opened: Sequence[Record] | None = None
) -> GroupFacts:
    """The facts of one group alone. ``opened`` are all open replacements, where the caller has read them already."""
    every = tx.open_replacements() if opened is None else opened
    since = now - memory(group)
    shared = _shared(tx, now, every, tx.ended_replacements(since), by_name(tx.zones(since)))
    return _facts(tx, group, targets, shared, tx.instances(group.name), now)


def _facts(
    tx: Tx,
    group: Group,
    targets: Mapping[str, Target],
    shared: _Shared,
    rows: Sequence[InstanceRow],
    now: datetime,
    *,
    cold: str = "",
    foreign: str = "",
    marked: Collection[str] = (),
) -> GroupFacts:
    # What waits and has a newcomer was begun before the store was put back from a copy.
    flying = [
        one
        for one in shared.opened
        if (one.state not in WAITING or one.rid in marked) and one.state is not State.KEEPING
    ]
    mine = [one for one in shared.opened if one.group == group.name]
    flights = [one for one in flying if one.group == group.name]
    own = [one for one in shared.ended if one.group == group.name]
    facts = GroupFacts(
        size=_size(rows, targets, mine),
        ending=_ending(rows, flights),
        flights=tuple(_flight(one, shared.zones) for one in flights),
        fleet=len(flying),
        retired=tuple(
            Retired(one.entered_at, one.manual or bool(one.approved_by))
            for one in own
            if (one.committed or one.state is State.SUCCEEDED) and one.entered_at > now - DAY
        ),
        failures=_failures(own),
        signatures=_by_signature(shared.ended),
        stuck=next((one.rid for one in reversed(stuck(tx, group.name))), ""),
        holds=shared.holds,
        present=present(tx.recent_sessions(group.name, now - group.rules.grace.after), rows, now),
        zones=shared.zones,
        foreign=foreign,
        cold=cold,
        rollouts=shared.rollouts,
        widths=shared.widths,
        breakers=shared.breakers,
        account=group.provider.name,
    )
    return facts.seen(targets)


def remembered(tx: Tx, group: str, rows: Iterable[InstanceRow], now: datetime) -> Mapping[str, Sight]:
    """What the store knows of these instances of a group, by id."""
    suppressions = tx.suppressions(now)
    found = {}
    for row in rows:
        # A row says that somebody was there; whether that asks for a replacement, the findings do.
        sessions = taint.standing(tx.open_findings(row.id), suppressions, group) if row.taint else []
        asks = taint.taint_action(sessions).replaces
        found[row.id] = Sight(row.verdict, row.action, row.reason, row.taint if asks else "")
    return found


def _size(rows: Sequence[InstanceRow], targets: Mapping[str, Target], opened: Sequence[Record]) -> int:
    """How many members there are meant to be: a slot that is being filled again counts once, whoever is in it."""
    newcomers = {one.new_id for one in opened if one.new_id}
    slots = {row.slot or row.id for row in rows if row.id not in newcomers} | {one.slot or one.old_id for one in opened}
    serving = (targets.keys() - newcomers) | {one.old_id for one in opened if one.state not in WAITING}
    return max(len(slots) if rows else 0, len(serving))


def _ending(rows: Sequence[InstanceRow], flights: Sequence[Record]) -> frozenset[str]:
    """Members that stop or end, and not because of a replacement."""
    ours = {name for one in flights for name in (one.old_id, one.new_id)}
    return frozenset(row.id for row in rows if row.state in _GOING and row.id not in ours)


def _flight(record: Record, zones: Mapping[str, str]) -> Flight:
    return Flight(
        record.rid,
        record.slot,
        record.old_id,
        record.new_id,
        record.state,
        attended=record.manual or bool(record.approved_by),
        zone=zone_of(record, zones),
        out=_takes(record),
        set=record.rollout if record.together else "",
    )


def _takes(record: Record) -> bool:
    """Whether its old one was taken out of service, or is about to be."""
    return record.drain_sent or record.quiesce_sent or record.stop_sent or Verb.PRE_DRAIN.value in record.hooks


def _failures(ended: Iterable[Record]) -> Failures:
    """Those since the last one that succeeded."""
    count, at = 0, None
    for record in sorted(ended, key=lambda one: one.entered_at, reverse=True):
        if record.state is State.SUCCEEDED:
            break
        if record.state in FAILED:
            count, at = count + 1, at or record.entered_at
    return Failures(count, at)


def _by_signature(ended: Sequence[Record]) -> Mapping[str, Failures]:
    alike: dict[str, list[Record]] = {}
    for record in ended:
        if record.signature:
            alike.setdefault(record.signature, []).append(record)
    found = {signature: _failures(records) for signature, records in alike.items()}
    return {signature: failures for signature, failures in found.items() if failures.count}


def stuck(tx: Tx, group: str) -> Sequence[Record]:
    """Those that need a person, oldest first; until one that was asked for after that succeeded."""
    found = tx.stuck_replacements(group)
    if not found:
        return found
    return still_stuck(found, tx.ended_replacements(min(one.entered_at for one in found), group))


def present(sessions: Iterable[SessionRow], rows: Iterable[InstanceRow], now: datetime) -> Mapping[str, Presence]:
    """Who is on which instance. Times that an instance said are believed only as far as they are not in the future.

    ``rows`` say since when somebody was there whom a taint is owed to.
    """
    tainted = {row.id: row.taint_since for row in rows if row.taint}
    found: dict[str, Presence] = {}
    for row in sessions:
        if not taint.anybody(row.session):
            continue
        known = found.get(row.instance_id, Presence())
        since = min(tainted.get(row.instance_id) or row.first_seen, row.first_seen, known.since or row.first_seen)
        if row.session.live:
            found[row.instance_id] = Presence(known.live + 1, since, known.ended)
        else:
            ended = min(row.session.ended_at or row.first_seen, now)
            found[row.instance_id] = Presence(known.live, since, max(ended, known.ended or ended))
    return found
