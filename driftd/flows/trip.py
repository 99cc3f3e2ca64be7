"""Trip: gathers what the breakers' rules ask about, and writes down what they open and close, in one transaction.

Whoever replaces reads the breakers from the store. Where the rules cannot be asked, the fleet's C5 opens; where the
store cannot be written, nothing else can be changed either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from driftd.core.asides import Foreign
from driftd.core.breakers.breaker import FLEET, Change, of_image
from driftd.core.breakers.evaluate import evaluate
from driftd.core.breakers.facts import Calls, Facts, Leftover, Reached, Sighting, Standing, Version
from driftd.core.breakers.limits import DEFAULTS, Thresholds
from driftd.core.breakers.settling import opened
from driftd.core.breakers.sight import BLIND
from driftd.core.errors import ProviderError
from driftd.core.guards import pace
from driftd.core.guards.case import Case
from driftd.core.memory import InstanceRow, LeaseHeld, Store, StoreUnavailable, Tx
from driftd.core.ports import TargetState
from driftd.core.replacement import Record, State
from driftd.core.seal import SeenManifest
from driftd.core.wording import breakers as wording
from driftd.flows.breaking import apply
from driftd.flows.groups import Group
from driftd.flows.judging import alarm, foreign
from driftd.flows.metered import Meter
from driftd.flows.passes import reports
from driftd.flows.standing import standing, stuck

OUTSIDE_EVERY = timedelta(seconds=30)  # how often load balancers, alerts and others are asked
_REMEMBERED = timedelta(hours=48)  # at least so long, replacements that ended count

Versions = Callable[[], Mapping[tuple[str, str], str]]


def _no_versions() -> Mapping[tuple[str, str], str]:
    return {}


@dataclass(frozen=True, slots=True)
class _Outside:
    """What was said outside the store, and when it was asked."""

    at: datetime
    ready: Mapping[str, frozenset[str] | None] = field(default_factory=dict)  # instances; None: nobody could say
    alerts: Mapping[str, str] = field(default_factory=dict)
    foreign: Mapping[str, str] = field(default_factory=dict)


class Tripper:
    """Holds the rules against what is so, once a tick.

    ``meter`` counts the calls to providers. ``versions`` says what decides what counts as drift, as (what, scope) to a
    version or digest. ``left`` says by group what the janitor found and could not clean up; a group that it has
    not been to is missing. Without it there is no janitor.
    """

    def __init__(
        self,
        store: Store,
        groups: Mapping[str, Group],
        *,
        clock: Callable[[], datetime],
        meter: Meter | None = None,
        limits: Thresholds = DEFAULTS,
        versions: Versions = _no_versions,
        left: Callable[[], Mapping[str, Sequence[Leftover]]] | None = None,
    ) -> None:
        self._store = store
        self._groups = groups
        self._clock = clock
        self._meter = meter or Meter(clock)
        self._limits = limits
        self._versions = versions
        self._left = left
        self._outside: _Outside | None = None
        self._reached: Mapping[str, Reached] = {}

    def tick(self) -> list[str]:
        """One evaluation; what opened and closed, in sentences. Raises ``StoreUnavailable`` and ``LeaseHeld``."""
        done = False
        try:
            said = self._tick()
            done = True
        finally:
            if not done:
                self._blinded()
        return said

    def _tick(self) -> list[str]:
        """The facts are read beside whoever writes; written is what changes, by what is so at that moment."""
        now = self._clock()
        outside = self._ask(now)
        counted = self._meter.take()
        try:
            with self._store.read() as tx:
                facts, before = self._facts(tx, outside, counted, now), tx.breakers()
                known = tx.versions()
            new = [one for one in self._current(known, now) if one not in known]
            if not (counted or new or evaluate(before, facts, now, self._limits)):
                return []
            with self._store.write() as tx:
                tx.count_calls(counted)
                for version in new:
                    tx.put_version(version)
                return apply(tx, evaluate(tx.breakers(), facts, now, self._limits), now)
        except BaseException:
            self._meter.add(counted)
            raise

    def _blinded(self) -> None:
        """The rules could not be asked: the fleet is held until they can."""
        now = self._clock()
        with suppress(StoreUnavailable, LeaseHeld), self._store.write() as tx:
            known = next((one for one in tx.breakers() if one.key == (BLIND, FLEET)), None)
            if known is None or not known.holds:
                after = opened(BLIND, FLEET, wording.not_evaluated(), now, "the rules being asked again")
                apply(tx, [Change("opened", known, after)], now)

    # --- gathering ---

    def _ask(self, now: datetime) -> _Outside:
        """What others say, asked now and then, and only of groups that may be changed."""
        if self._outside is not None and now < self._outside.at + OUTSIDE_EVERY:
            return self._outside
        mine = [group for group in self._groups.values() if group.rules.replaces]
        ready: dict[str, frozenset[str] | None] = {}
        alerts: dict[str, str] = {}
        others: dict[str, str] = {}
        for group in mine:
            self._clock()  # a sign of life: each answer may take its time
            ready[group.name] = _ready(group)
            if group.block_on:
                alerts[group.name] = alarm(group)
            if isinstance(group.provider, Foreign):
                others[group.name] = foreign(group)
        self._outside = _Outside(now, ready, alerts, others)
        return self._outside

    def _facts(self, tx: Tx, outside: _Outside, counted: Sequence[Calls], now: datetime) -> Facts:
        rows = {name: [row for row in tx.instances(name) if row.gone_at is None] for name in self._groups}
        opened_now = tx.open_replacements()
        alive = {row.id for mine in rows.values() for row in mine}
        longest = max((group.every for group in self._groups.values()), default=timedelta(0))
        since = now - max(self._limits.alike_within, longest)
        return Facts(
            groups={
                name: self._standing(group, rows[name], opened_now, outside, now)
                for name, group in self._groups.items()
            },
            sightings=[one if one.instance_id in alive else _ended(one, now) for one in tx.sightings(since)],
            records=[*tx.ended_replacements(now - self._remembered()), *opened_now],
            passes=tx.passes(),
            calls=[*tx.calls(now - self._limits.errors_within), *counted],
            versions=[*self._current(tx.versions(), now), *(_of_manifest(one) for one in tx.manifests_seen())],
            alerts=outside.alerts,
            foreign=outside.foreign,
            leftovers=self._leftovers(tx),
            paced=self._paced(tx, outside, opened_now, now),
            jitter=_jitter(now),
        )

    def _standing(
        self, group: Group, rows: Sequence[InstanceRow], opened_now: Sequence[Record], outside: _Outside, now: datetime
    ) -> Standing:
        within = max(self._limits.reported_within, 2 * group.every)
        expected, reported = reports(rows, opened_now, now, within=within)
        ready = outside.ready.get(group.name)
        return Standing(
            slots=frozenset(row.slot or row.id for row in rows),
            every=group.every,
            ready=frozenset(row.slot or row.id for row in rows if row.id in ready) if ready is not None else None,
            zones=_zones(rows),
            expected=expected,
            reported=reported,
            image=group.image,
        )

    def _current(self, known: Sequence[Version], now: datetime) -> Sequence[Version]:
        """Each with since when it is what it is: new to this store is new."""
        by_name = {one.what: one for one in known}
        found = []
        for (what, scope), value in self._versions().items():
            one = by_name.get(what)
            same = one is not None and (one.value, one.scope) == (value, scope)
            found.append(one if one is not None and same else Version(what, scope, value, now))
        return found

    def _remembered(self) -> timedelta:
        return max(_REMEMBERED, self._limits.loops_within, self._limits.failures_within)

    def _leftovers(self, tx: Tx) -> Mapping[str, Sequence[Leftover]]:
        """Of a group that the janitor has not been to yet, nobody knows that nothing is left."""
        left = self._left() if self._left is not None else dict.fromkeys(self._groups, ())
        found = {name: [*_stuck(tx, name), *left.get(name, ())] for name in self._groups}
        return {name: things for name, things in found.items() if things or name in left}

    def _paced(self, tx: Tx, outside: _Outside, opened_now: Sequence[Record], now: datetime) -> Mapping[str, Reached]:
        """Of each group with one that waits: the pace limit that it waits for, as its guard says it."""
        if outside.at < now:
            return self._reached  # as often as others are asked: it is only shown
        waiting: dict[str, Record] = {}
        for record in opened_now:
            if record.state is State.ADMITTING and record.group in self._groups:
                waiting.setdefault(record.group, record)
        found = {}
        for name, record in waiting.items():
            group = self._groups[name]
            case = Case(record, group.rules, standing(tx, group, {}, now, opened=opened_now))
            no = next((no for guard in (pace.daily, pace.hourly, pace.between) if (no := guard(case, now))), None)
            if no is not None:
                found[name] = Reached(no.why, no.until)
        self._reached = found
        return found


def _of_manifest(seen: SeenManifest) -> Version:
    value = f"{seen.sequence}:{seen.statement[:12]}"
    return Version(f"the manifest of {seen.image}", of_image(seen.image), value, seen.seen_at)


def _zones(rows: Sequence[InstanceRow]) -> Mapping[str, str]:
    """Zones by slot: where a newcomer is in another one, that of who was there first."""
    newest_first = sorted(rows, key=lambda row: row.first_seen, reverse=True)
    return {row.slot or row.id: row.zone for row in newest_first if row.zone}


def _ready(group: Group) -> frozenset[str] | None:
    if group.provider.traffic is None:
        return None
    try:
        targets = group.provider.traffic.targets(group.name)
    except ProviderError:
        return None
    return frozenset(target.instance_id for target in targets if target.state is TargetState.HEALTHY)


def _ended(one: Sighting, now: datetime) -> Sighting:
    """Its instance is gone, and what was on it with it."""
    return replace(one, ended_at=one.ended_at or now)


def _stuck(tx: Tx, group: str) -> list[Leftover]:
    """Replacements that need a person."""
    return [
        Leftover(one.rid, f"stuck: {why}" if (why := one.fault or one.note) else "stuck", one.entered_at)
        for one in stuck(tx, group)
    ]


def _jitter(now: datetime) -> float:
    """Between -1 and 1, by the minute: the same for the same moment, so that a run can be repeated."""
    digest = hashlib.sha256(f"{now.astimezone(UTC):%Y-%m-%dT%H:%M}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 0x7FFFFFFF - 1
