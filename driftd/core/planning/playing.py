"""Playing a plan through: who is let in when, by the controller's own order and guards, over the time that it takes.

Event by event: a newcomer serves, an old one leaves, a replacement is over, a hold runs out. After each, who waits is
asked in the order of core/guards/order.py whether the guards let it in as the group then stands. Nobody reads a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from driftd.core import quorum
from driftd.core.guards import Case, Refusal, admission, budget, going_on
from driftd.core.guards.order import Urgent, queue
from driftd.core.guards.width import Widths, widths
from driftd.core.planning.flights import Flying, Moment, Scene, Waiting, coming
from driftd.core.planning.rehearsal import Rehearsal
from driftd.core.replacement import Record, State
from driftd.core.steps.before import planning
from driftd.core.world import Advance, Plan
from driftd.core.zones import zone_of

ROUNDS = 50_000
HORIZON = timedelta(days=370)
_STEP = timedelta(microseconds=1)  # two that begin to wait in one round still do so one after the other

Rehearse = Callable[[Record, Plan], Rehearsal]


@dataclass(frozen=True, slots=True)
class LetIn:
    """When one was let in, in which wave of its group, what was planned for it, and when it is over."""

    record: Record
    wave: int
    at: datetime
    plan: Plan
    rehearsed: Rehearsal


@dataclass(slots=True)
class Play:
    """What came of it: who was let in, in order; when each was over; who still waits at the end."""

    let_in: list[LetIn] = field(default_factory=list)
    over: dict[str, datetime] = field(default_factory=dict)
    waits: dict[str, Waiting] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)


class Player:
    """Plays once. ``rehearse`` says how a planned replacement goes; ``elsewhere`` are under way in other groups."""

    def __init__(
        self,
        scenes: Mapping[str, Scene],
        waiting: Iterable[Waiting],
        urgent: Urgent,
        history: Sequence[Record],
        rehearse: Rehearse,
        now: datetime,
        elsewhere: int = 0,
    ) -> None:
        self._scenes = scenes
        self._waiting = {one.record.rid: one for one in waiting}
        self._urgent = urgent
        self._history = {one.rid: one for one in history} | {rid: one.record for rid, one in self._waiting.items()}
        self._rehearse = rehearse
        self._now = self._start = now
        self._fleet = elsewhere + sum(len(scene.flying) for scene in scenes.values())
        self._widths: tuple[int, Widths] = (-1, Widths())
        self._changes = 0
        self.play = Play()

    def run(self) -> Play:
        """Until nobody who waits will ever be let in."""
        for _ in range(ROUNDS):
            self._fly()
            self._admit()
            at = self._next()
            if at is None or at > self._start + HORIZON:
                break
            self._now = at
        self.play.waits = self._waiting
        return self.play

    def _next(self) -> datetime | None:
        """The next moment at which anything may change."""
        if not any(one.planned for one in self._waiting.values()) and not self._flies_for_plan():
            return None
        moments: list[datetime] = []
        for scene in self._scenes.values():
            moments += [one.due for one in scene.flying.values() if one.coming]
        for one in self._waiting.values():
            moments += [at for at in (one.until, one.not_before) if at is not None]
        return min((at for at in moments if at > self._now), default=None)

    def _flies_for_plan(self) -> bool:
        return any(one.planned for scene in self._scenes.values() for one in scene.flying.values())

    # --- who is under way ---

    def _fly(self) -> None:
        for scene in self._scenes.values():
            moved = True
            while moved:  # what one of them gives back another may have waited for, at this very moment
                moved = any(self._advance(scene, one) for one in [*scene.flying.values()])

    def _advance(self, scene: Scene, one: Flying) -> bool:
        """Whether the next moment of it has come."""
        if not one.coming or one.due > self._now:
            return False
        moment = one.coming[0][0]
        if moment is Moment.LEAVES and not self._may_leave(scene, one):
            return False
        one.coming.pop(0)
        if moment is Moment.SERVES:
            scene.serves(one)
        elif moment is Moment.LEAVES:
            scene.leaves(one)
        else:
            self._over(scene, one)
        scene.changed(self._fleet, self._now, over=one if moment is Moment.ENDS else None)
        self._changes += 1
        if one.coming:
            one.due = self._now + one.coming[0][1]
        return True

    def _may_leave(self, scene: Scene, one: Flying) -> bool:
        if one.tried == scene.version:
            return False
        one.tried = scene.version
        refusal = going_on(Case(one.record, scene.read.rules, scene.facts), "drain", self._now)
        one.blocked = refusal.why if refusal is not None else ""
        if refusal is not None and one.planned:
            self.play.blocked.setdefault(one.record.rid, refusal.why)
        if refusal is not None and refusal.until is not None:
            one.due, one.tried = refusal.until, -1
        return refusal is None

    def _over(self, scene: Scene, one: Flying) -> None:
        scene.settles(one)
        self._fleet -= 1
        done = replace(one.record, state=State.SUCCEEDED, entered_at=self._now, committed=True)
        self._history[one.record.rid] = done
        self.play.over[one.record.rid] = self._now

    # --- who waits ---

    def _admit(self) -> None:
        full: set[tuple[str, str, bool]] = set()
        ordered = queue((one.record for one in self._waiting.values()), self._urgent, self._now)
        for place, record in enumerate(ordered):
            waiting = self._waiting[record.rid]
            if record.state is State.CONFIRMING:
                at = self._now + place * _STEP
                waiting.record = replace(record, state=State.ADMITTING, entered_at=at)
            if waiting.place not in full or waiting.first is None or waiting.special:
                self._try(waiting, self._scenes[record.group], full)

    def _try(self, waiting: Waiting, scene: Scene, full: set[tuple[str, str, bool]]) -> None:
        fleet = self._fleet
        if scene.facts.fleet != fleet:
            scene.facts = replace(scene.facts, fleet=fleet)
        tried = (scene.version, fleet >= scene.read.rules.at_once.fleet)
        until, first = waiting.until, waiting.first is None
        due = until is not None and self._now >= until
        if (waiting.tried == tried and not due) or (waiting.not_before is not None and self._now < waiting.not_before):
            return
        waiting.tried, waiting.until, waiting.not_before = tried, None, None
        if not first and (why := self._full(waiting, scene, full)):
            waiting.why = why
            return
        refusals = self._refusals(waiting, scene)
        if first:
            waiting.first = tuple(refusals)
        if refusals:
            waiting.why = "; ".join(one.why for one in refusals)
            waiting.until = max((one.until for one in refusals if one.until is not None), default=None)
            return
        self._plan(waiting, scene)

    def _full(self, waiting: Waiting, scene: Scene, full: set[tuple[str, str, bool]]) -> str:
        """What keeps everybody of a group, or of a zone, waiting alike is asked once a round."""
        if waiting.special:
            return ""
        case = Case(waiting.record, scene.read.rules, scene.facts)
        for guard in (budget.fleet, budget.budget, budget.zone):
            if (refusal := guard(case, self._now)) is not None:
                full.add(waiting.place)
                return refusal.why
        return ""

    def _refusals(self, waiting: Waiting, scene: Scene) -> Sequence[Refusal]:
        record, facts = waiting.record, scene.facts
        if scene.read.stopped:
            return [Refusal("stopped", scene.read.stopped)]
        if scene.read.quorum and (alone := quorum.not_alone([one.slot or one.old_id for one in facts.flights])):
            facts = replace(facts, quorum={record.old_id: alone})
        if not record.manual:
            facts = replace(facts, widths=self._wide())
        return admission(Case(record, scene.read.rules, facts), self._now)

    def _wide(self) -> Widths:
        """What slow start allows now; made anew when something has changed."""
        if self._widths[0] != self._changes:
            flying = {one.record.rid: one.record for scene in self._scenes.values() for one in scene.flying.values()}
            every = [*(self._history | flying).values()]
            opened = [*flying.values(), *(one.record for one in self._waiting.values())]
            zones = next((scene.facts.zones for scene in self._scenes.values()), {})
            self._widths = (self._changes, widths(every, opened, zones))
        return self._widths[1]

    def _plan(self, waiting: Waiting, scene: Scene) -> None:
        """Let in; back again where it cannot be planned."""
        record = replace(waiting.record, state=State.PLANNING, entered_at=self._now, canary=False)
        if not record.manual:
            record = replace(record, canary=self._wide().canary(record))
        answer = planning(record, scene.world(waiting), self._now, scene.read.limits)
        if not isinstance(answer, Advance) or answer.plan is None:
            waiting.record = replace(waiting.record, state=State.ADMITTING, entered_at=self._now)
            waiting.why = answer.why
            # Asked again when anything has changed, and not sooner than the controller would.
            going = any(other.flying for other in self._scenes.values())
            waiting.not_before = answer.until if going and isinstance(answer, Advance) else None
            return
        plan = answer.plan
        record = replace(record, state=State.LAUNCHING, variant=plan.variant)
        rehearsed = self._rehearse(record, plan)
        wave = scene.ended + 1
        steps = coming(rehearsed)
        zone = zone_of(record, scene.facts.zones)
        flying = Flying(record, waiting.planned, wave, self._now, steps, self._now + steps[0][1], zone)
        scene.flying[record.rid] = flying
        self._fleet += 1
        del self._waiting[record.rid]
        scene.changed(self._fleet, self._now)
        self._changes += 1
        if waiting.planned:
            self.play.let_in.append(LetIn(record, wave, self._now, plan, rehearsed))
        while self._advance(scene, flying):  # what leaves at once does so before the next one is asked
            pass
