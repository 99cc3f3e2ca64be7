"""One run: a scenario is played, beat by beat, until everything is calm again; then it is held against the truth."""

from __future__ import annotations

import logging
import random
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from driftd.core.canary import Canary
from driftd.core.facts import Instance, Session
from driftd.core.findings import Action, Finding, Judgement, Verdict
from driftd.core.looks import Look
from driftd.core.ports import HookName, LaunchRequest
from driftd.core.rehearsal import Broken, Score
from driftd.core.replacement import UNSTARTED, Record
from driftd.core.sessions import differences
from driftd.core.world import TAG_SLOT, Answer, Wait
from driftd.edges.store import open_store
from driftd.flows import opening
from driftd.flows.groups import Group
from driftd.rehearsal import calm as calming
from driftd.rehearsal import mishaps, patience
from driftd.rehearsal.cloud import Cloud
from driftd.rehearsal.controller import Controller, Listener, Place, fresh
from driftd.rehearsal.ground import ground
from driftd.rehearsal.owner import Owner
from driftd.rehearsal.scenario import Scenario, draw
from driftd.rehearsal.score import Scorer
from driftd.rehearsal.sights import CLEAN, edited, finding
from driftd.rehearsal.truth import Truth
from driftd.testing import Event, FakeClock


@dataclass(slots=True)
class Result:
    """How a run ended. ``violations`` is empty where all was well."""

    seed: int
    violations: list[Broken]
    timeline: list[str]
    states: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    launches: int = 0
    mishaps: list[str] = field(default_factory=list)
    beats: int = 0

    def report(self, most: int = 140) -> str:
        """The seed, what was violated, and what led there."""
        line = self.timeline if len(self.timeline) <= most else ["…", *self.timeline[-most:]]
        return "\n".join(
            [f"DRIFTD_SEED={self.seed}", *(f"VIOLATED: {one}" for one in self.violations[:10]), "", *line, *self.notes]
        )


class Run:
    """The world of one seed."""

    def __init__(self, scenario: Scenario, home: Path) -> None:
        self.scenario = scenario
        self.home = home
        self.clock = FakeClock(scenario.begins)
        self.began = self.clock()
        self.chance = random.Random(f"run {scenario.seed}")
        self.timeline: list[str] = []
        self.place = Place()
        self.file = fresh(home)
        self.cloud = self._cloud()
        self.truth = Truth(self.cloud, scenario)
        self.drift: dict[str, list[Finding]] = {}
        self.people: dict[str, list[Session]] = {}
        self.unseen: set[str] = set()
        self.born_drifted: set[str] = set()
        self.groups = {plan.name: self._group(plan.name) for plan in scenario.groups}
        self.office = open_store(f"sqlite:///{self.file}")
        self.truth.stuck_groups = self.stuck
        self.controllers = [Controller(self, "A")] + ([Controller(self, "B")] if scenario.two else [])
        self.applied: list[str] = []
        self.beats = 0
        self.calm = False
        self._depth = 0
        self.last_said: dict[str, str] = {}
        self.drifted_at: dict[str, datetime] = {}
        self.spent: dict[str, float] = {}
        self._doing: dict[str, tuple[datetime, str]] = {}
        self.still = 0  # beats in a row without any event
        self.before: tuple[object, ...] = ()

        self.scorer = Scorer(self) if scenario.patient else None
        self.restored = False
        self.denied: set[str] = set()  # instances; a denial counts for a day
        self.slow_until = self.clock()
        self.later: list[tuple[datetime, int, Callable[[], object]]] = []

    # --- what there is ---

    def _cloud(self) -> Cloud:
        scenario = self.scenario
        owning = [slot for plan in scenario.groups if plan.owning for slot in plan.slots]
        cloud = Cloud(
            self.clock,
            volumes={f"vol-{slot}": slot for slot in owning},
            addresses={f"198.51.{number // 250}.{number % 250}": slot for number, slot in enumerate(owning)},
        )
        cloud.health_s = scenario.tempo.long(1)
        cloud.zones = {slot: zone for plan in scenario.groups for slot, zone in plan.placed.items()}
        for plan in scenario.groups:
            for slot in plan.slots:
                request = LaunchRequest(plan.name, slot, "golden", f"first-{slot}", {TAG_SLOT: slot})
                made = cloud.parts.compute.launch(request)
                cloud.parts.traffic.register(plan.name, made)
                for volume in [v for v in cloud.volume_table.values() if v.slot == slot]:
                    cloud.parts.volumes.attach(volume.id, made.id)
                for address in [a for a in cloud.address_table.values() if a.slot == slot]:
                    cloud.parts.addresses.associate(address.address, made.id)
            if plan.owning:
                cloud.stateful.add(plan.name)
        cloud.services_write = any(plan.hooked for plan in scenario.groups)
        if cloud.services_write:
            cloud.hooked |= {HookName.QUIESCE, HookName.SERVE}
        cloud.hooked |= {name for plan in scenario.groups for name in plan.once}
        self.clock.advance(scenario.tempo.long(10))
        self.first = set(cloud.servers)
        weather = scenario.weather
        cloud.boot_s, cloud.hide_s, cloud.drain_s = weather.boot_s, weather.hide_s, weather.drain_s
        cloud.stop_s, cloud.terminate_s, cloud.load = weather.stop_s, weather.terminate_s, weather.load
        cloud.rude_detach = weather.rude
        if scenario.quota_spare is not None:
            cloud.quota, cloud.quota_counts_stopped = len(cloud.servers) + scenario.quota_spare, False
        cloud.events.clear()
        cloud.calls.clear()
        return cloud

    def _group(self, name: str) -> Group:
        plan = self.truth.plans[name]
        canary = Canary(timedelta(0)) if plan.watched else None
        return Group(
            name,
            self.cloud,
            plan.rules,
            plan.limits,
            health=self.cloud.health,
            every=plan.every,
            canary=canary,
            hooks=Owner(self.cloud.hooks, plan.hooks, self.truth.told) if plan.hooks else None,
            keep_snapshots=plan.keep_snapshots,
            manner=plan.manner,
        )

    def look(self, instance: Instance) -> Look:
        """What anybody who looks at an instance sees."""
        key, now = instance.id, self.clock()
        server = self.cloud.servers.get(key)
        if server is None or key in self.unseen or not self.cloud.runs(server) or now < server.ready_at:
            return Look(instance, now, 0.1, Judgement(Verdict.UNKNOWN, "no answer in 10 s"))
        found = list(self.drift.get(key, ()))
        if key in self.born_drifted:
            found.append(edited("/etc/baked-wrong"))
        others = tuple(self.people.get(key, ()))
        found += [finding(one) for one in differences(others)]
        if not found:
            self.truth.clean.add(key)
            return Look(instance, now, 0.1, CLEAN, b"\1" * 32)
        judgement = Judgement(
            Verdict.DRIFTED, f"{len(found)} findings, worst: high", tuple(found), action=Action.REPLACE
        )
        return Look(instance, now, 0.1, judgement, b"\2" * 32, others=others)

    # --- time ---

    def after(self, seconds: float) -> datetime:
        """So many seconds from now."""
        return self.clock() + timedelta(seconds=seconds)

    @property
    def second(self) -> float:
        """Seconds since it began."""
        return (self.clock() - self.began).total_seconds()

    def after_a_while(self, seconds: float, what: Callable[[], object]) -> None:
        """Let something happen later, unless everything is calm by then."""
        self.later.append((self.after(self.scenario.tempo.long(seconds)), len(self.later), what))

    def slowly(self, seconds: float) -> None:
        """For so long little happens, so that each beat may take longer, and the run is so much longer."""
        self.slow_until = max(self.slow_until, self.after(seconds))
        self.began += timedelta(seconds=seconds)

    def note(self, sentence: str) -> None:
        """For the time line."""
        at = f"{self.clock():%a %H:%M:%S}" if self.scenario.patient else f"{self.second:7.0f}"
        self.timeline.append(f"{at} {sentence}")

    def drifted(self, key: str, sentence: str) -> None:
        """An instance is no more as it was baked, from now on."""
        self.drifted_at.setdefault(key, self.clock())
        self.note(f"! {sentence}")
        if self.scorer is not None:
            self.scorer.mishap(sentence)

    def decided(self, record: Record, answer: Answer) -> None:
        """A controller decided: until then the replacement did, or waited for, what the decision before it said."""
        since, what = self._doing.get(record.rid, (self.clock(), ""))
        self.spent[what] = self.spent.get(what, 0.0) + (self.clock() - since).total_seconds()
        waits = answer.guards[0] if isinstance(answer, Wait) and answer.guards else record.state.value
        self._doing[record.rid] = self.clock(), waits

    def troubled(self) -> bool:
        """Whether the provider does anything late, or not at all."""
        return self.clock() < self.slow_until or self.cloud.busy() or bool(self.cloud.flapping)

    def said(self, who: str, job: str, sentence: str) -> None:
        """What a controller said."""
        if self.last_said.get(who + job) != sentence:
            self.last_said[who + job] = sentence
            self.note(f"{who} {job}: {sentence}")

    def unforeseen(self, sentence: str, error: BaseException | None) -> None:
        """Something that nobody foresaw happened in a flow."""
        self.truth.violations.append(Broken("foreseen", f"unforeseen: {sentence}"))
        if error is not None:
            self.timeline += traceback.format_exception(error)[-3:]

    def event(self, event: Event) -> None:
        """What happened in the cloud."""
        late = " (late)" if self.cloud.coming_true else ""
        if not event.call.endswith("mounted"):
            self.note(
                f"    cloud: {event.by}{late} {event.call} {event.subject} {event.detail[:40]} "
                f"[{event.existing} exist, {event.in_service} serve]"
            )
        if event.call == "compute.launch" and event.by == "driftd" and not self.calm:
            weather = self.scenario.weather
            if self.chance.random() < weather.bad_image:
                self.born_drifted.add(event.subject)
            if self.chance.random() < weather.sick:
                self.cloud.servers[event.subject].healthy = False
        self.truth.saw(event)

    def beat(self, step: float) -> None:
        """One beat of everybody."""
        self.beats += 1
        if self.clock() < self.slow_until:
            step = max(step, self.scenario.tempo.long(60.0))
        due = sorted((one for one in self.later if one[0] <= self.clock()), key=lambda one: one[:2])
        self.later = [one for one in self.later if one not in due]
        for _, _, what in due:
            what()
        for controller in self.controllers:
            controller.beat()
        self.clock.advance(step)
        usual = 2 * self.scenario.tempo.beat_s
        if self.scenario.patient and step > usual:
            self.began += timedelta(seconds=step - usual)  # nothing was lived through
        self.cloud.settle()
        if self.scorer is not None:
            self.scorer.sample()

    def others_go_on(self, but: Controller, seconds: float) -> None:
        """One process stands still, as when its machine is suspended, and the world goes on."""
        if self._depth:
            return
        self._depth += 1
        actor, self.cloud.actor = self.cloud.actor, ""
        until = self.after(seconds)
        while self.clock() < until:
            for controller in self.controllers:
                if controller is not but:
                    controller.beat()
            self.clock.advance(self.scenario.tempo.beat_s)
            self.cloud.settle()
        self.cloud.actor = actor
        self._depth -= 1

    def seen_at_once(self, keys: list[str]) -> None:
        """A controller looks at what has just changed."""
        for key in keys:
            for controller in [one for one in self.controllers if one.up][:1]:
                controller.sees(key)

    # --- what the office knows ---

    def open_records(self) -> list[Record]:
        """Replacements under way."""
        with self.office.read() as tx:
            return list(tx.open_replacements())

    def _busy(self) -> bool:
        return any(record.state not in UNSTARTED for record in self.open_records())

    def stuck(self) -> set[str]:
        with self.office.read() as tx:
            return {one.group for plan in self.scenario.groups for one in tx.stuck_replacements(plan.name)}

    def _step(self) -> float:
        if self.scenario.patient:
            return patience.step(self, self.open_records())
        return self.scenario.tempo.beat_s * (1 if self._busy() else 2)

    # --- the play ---

    def play(self) -> Result:
        """All of it."""
        self.cloud.witness = self.event
        listener = Listener(self)
        logging.getLogger("driftd").addHandler(listener)
        try:
            schedule = mishaps.schedule(self)
            while self.second < self.scenario.span_s + self.scenario.tempo.long(10) and not self.truth.violations:
                while schedule and schedule[0][0] <= self.second:
                    _, what = schedule.pop(0)
                    what()
                self.beat(self._step())
            calming.correlated(self)
            calming.calm(self)
            if not self.truth.violations:
                calming.at_rest(self)
        finally:
            logging.getLogger("driftd").removeHandler(listener)
        return self._result()

    def _result(self) -> Result:
        states: dict[str, int] = {}
        notes = []
        with self.office.read() as tx:
            for record in [*tx.ended_replacements(datetime(1970, 1, 1, tzinfo=UTC)), *tx.open_replacements()]:
                states[record.state.value] = states.get(record.state.value, 0) + 1
                notes.append(f"{record.rid} {record.slot} {record.variant} {record.state}: {record.note}")
        result = Result(self.scenario.seed, self.truth.violations, self.timeline, states, notes)
        result.launches, result.mishaps, result.beats = sum(self.truth.launches.values()), self.applied, self.beats
        return result

    @property
    def lasted(self) -> float:
        """Simulated seconds, those that were left out included."""
        return self.scorer.second if self.scorer is not None else self.second

    def score(self) -> Score:
        """The picture of it, where one is kept."""
        return self.scorer.score() if self.scorer is not None else Score()

    def close(self) -> None:
        """Give everything back."""
        for controller in self.controllers:
            controller.die(politely=False)
        self.office.close()


class _Ulids:
    """Ids in a row, so that a seed gives the same ones again."""

    def __init__(self) -> None:
        self.number = 0

    def from_datetime(self, _now: datetime) -> str:
        self.number += 1
        return f"{self.number:026d}"


@contextmanager
def _ids_in_a_row() -> Iterator[None]:
    """A replacement's id holds chance, and a seed decides everything."""
    names = vars(opening)
    real, names["ULID"] = names["ULID"], _Ulids()
    try:
        yield
    finally:
        names["ULID"] = real


@contextmanager
def world(scenario: Scenario) -> Iterator[Run]:
    """A run's world, which is gone afterwards."""
    with ground() as home:
        run = None
        try:
            with _ids_in_a_row():
                run = Run(scenario, home)
                yield run
        finally:
            if run is not None:
                run.close()


def play(seed: int) -> Result:
    """Play one seed."""
    with world(draw(seed)) as run:
        return run.play()
