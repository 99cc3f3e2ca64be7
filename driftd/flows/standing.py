"""Standing: how a group stands now, once for all of its replacements: what guards and decisions read.

What is about one instance is looked up by its id in what is returned, so that a thousand replacements that wait cost
a few queries a group.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from driftd.core import taint
from driftd.core.facts import InstanceState
from driftd.core.findings import Action
from driftd.core.guards.case import WAITING, Failures, Flight, GroupFacts, Held, Presence, Retired
from driftd.core.guards.pace import BACK_OFF_DOUBLINGS, DAY
from driftd.core.guards.width import FAILED, widths
from driftd.core.memory import InstanceRow, SessionRow, Store, Tx
from driftd.core.ports import Target
from driftd.core.replacement import UNSTARTED, Record, State
from driftd.core.world import Sight
from driftd.flows.groups import Group
from driftd.flows.judging import foreign
from driftd.flows.survey import Survey


@dataclass(frozen=True, slots=True)
class Stand:
    """The facts of a group, and by id what the store knows of those of its instances that are to be replaced."""

    facts: GroupFacts
    remembered: Mapping[str, Sight]


def _warm(_group: str) -> str:
    return ""


class Standings:
    """The standing of each group in one round: made when it is first wanted, and anew for each new survey.

    ``cold`` says of a group what is not yet known since the daemon began, or "".
    """

    def __init__(self, store: Store, cold: Callable[[str], str] = _warm) -> None:
        self._store = store
        self._cold = cold
        self._made: dict[str, tuple[Survey, Stand]] = {}

    def of(self, group: Group, seen: Survey, now: datetime) -> Stand:
        """How ``group`` stands by this survey."""
        known = self._made.get(group.name)
        if known is not None and known[0] is seen:
            return known[1]
        busy, cold = foreign(group), self._cold(group.name)
        with self._store.read() as tx:
            opened = tx.open_replacements()
            waiting = {one.old_id for one in opened if one.group == group.name and one.state in UNSTARTED}
            stand = Stand(
                standing(tx, group, seen.targets, now, opened=opened, cold=cold, foreign=busy),
                remembered(tx, group.name, waiting, now),
            )
        self._made[group.name] = (seen, stand)
        return stand

    def forget(self) -> None:
        """Something moved on: what one replacement takes, no other has. That counts for every group of the fleet."""
        self._made.clear()


_GOING = frozenset({state.value for state in InstanceState if state.halted})


def standing(
    tx: Tx,
    group: Group,
    targets: Mapping[str, Target],
    now: datetime,
    *,
    opened: Sequence[Record] | None = None,
    zones: Mapping[str, str] | None = None,
    cold: str = "",
    foreign: str = "",
) -> GroupFacts:
    """The facts of one group. ``opened`` are all open replacements, where the caller has read them already."""
    every = tx.open_replacements() if opened is None else opened
    flying = [one for one in every if one.state not in WAITING]
    mine = [one for one in every if one.group == group.name]
    flights = [one for one in flying if one.group == group.name]
    rows = tx.instances(group.name)
    longest = max(DAY, group.rules.back_off * 2**BACK_OFF_DOUBLINGS)
    ended = tx.ended_replacements(now - longest)
    own = [one for one in ended if one.group == group.name]
    known = zones or {}
    facts = GroupFacts(
        size=_size(rows, targets, mine),
        ending=_ending(rows, flights),
        flights=tuple(_flight(one, known) for one in flights),
        fleet=len(flying),
        retired=tuple(
            Retired(one.entered_at, one.manual or bool(one.approved_by))
            for one in own
            if (one.committed or one.state is State.SUCCEEDED) and one.entered_at > now - DAY
        ),
        failures=_failures(own),
        signatures=_by_signature(ended),
        stuck=_stuck(tx, group.name),
        holds={one.instance_id: Held(one.owner, one.reason, one.until) for one in tx.holds(now)},
        present=_present(tx.recent_sessions(group.name, now - group.rules.grace.after), now),
        zones=known,
        foreign=foreign,
        cold=cold,
        widths=widths([*ended, *every], mine, known),
        breakers=tuple(one for one in tx.breakers() if one.holds),
        account=group.provider.name,
    )
    return facts.seen(targets)


def remembered(tx: Tx, group: str, instance_ids: Collection[str], now: datetime) -> Mapping[str, Sight]:
    """What the store knows of these instances of a group, by id; of one that it does not know, nothing."""
    suppressions = tx.suppressions(now)
    found = {}
    for row in tx.instances(group):
        if row.id in instance_ids:
            # A row says that somebody was there; whether that asks for a replacement, the findings do.
            sessions = taint.standing(tx.open_findings(row.id), suppressions, group) if row.taint else []
            asks = taint.taint_action(sessions).rank >= Action.REPLACE.rank
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
        zone=zones.get(record.old_id, ""),
    )


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


def _stuck(tx: Tx, group: str) -> str:
    """The one that needs a person; until one that began later succeeded."""
    stuck = tx.stuck_replacements(group)
    if not stuck:
        return ""
    last = max(stuck, key=lambda one: one.entered_at)
    after = (one for one in tx.ended_replacements(last.entered_at, group) if one.entered_at > last.entered_at)
    return "" if any(one.state is State.SUCCEEDED for one in after) else last.rid


def _present(sessions: Iterable[SessionRow], now: datetime) -> Mapping[str, Presence]:
    """Who is on which instance. Times that an instance said are believed only as far as they are not in the future."""
    found: dict[str, Presence] = {}
    for row in sessions:
        known = found.get(row.instance_id, Presence())
        if row.session.live:
            since = min(row.first_seen, known.since or row.first_seen)
            found[row.instance_id] = Presence(known.live + 1, since, known.ended)
        else:
            ended = min(row.session.ended_at or row.first_seen, now)
            found[row.instance_id] = Presence(known.live, known.since, max(ended, known.ended or ended))
    return found
