"""Replace: carry each open replacement one decision further, again and again.

The loop is dumb on purpose. Observe the world, decide (pure), write the intent down, ask once more whether somebody
paused, make the call, write the outcome. A crash anywhere leaves either an intent without outcome or nothing; the next
run observes and decides as ever, and every call is a no-op where the world already agrees.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from driftd.core import wording
from driftd.core.decide import decide, learn, leaves, needs
from driftd.core.errors import BadInput, ProviderError
from driftd.core.facts import Instance
from driftd.core.journal import canonical
from driftd.core.memory import LeaseHeld, StaleRecord, Store, StoreUnavailable
from driftd.core.moves import announced, answered, moved, unheeded, waiting, withdrawn
from driftd.core.replacement import TERMINAL, UNSTARTED, WAITING, Record, State
from driftd.core.stops import Stops
from driftd.core.world import Advance, Answer, Call, Do, Finish, Halt, Need, Wait, World
from driftd.flows.calls import failing, guards, make
from driftd.flows.capture import Capture, no_capture
from driftd.flows.deferred import Deferred
from driftd.flows.groups import Group
from driftd.flows.observe import LookAt, observe
from driftd.flows.opening import cancel, closed, image_for, new_record, plan, write_move
from driftd.flows.ordering import Ordering
from driftd.flows.standing import Standings
from driftd.flows.stops import no_fence, no_pause, stops
from driftd.flows.survey import Survey, Surveys

STEPS_A_TICK = 40
# One that waits and goes on waiting, or is called off, leaves to all others what they had.
_TAKES_NOTHING = WAITING | {State.CANCELLED}

_log = logging.getLogger(__name__)


def _not_yet() -> bool:
    return False


class Replacer:
    """Drives replacements. One at a time uses one store: the daemon holds the lease, ``fence`` proves it before calls.

    ``look`` sees an instance (with a visit open, so that driftd's own login is known as such). ``pause`` returns the
    sentence of a stop from outside the store (the pause file), or "": it stops undoing, too. ``fence`` raises
    ``LeaseHeld`` when the lease is lost. ``capture`` keeps evidence. ``clock`` gives the aware time. Once
    ``stopping`` says so, no further step is begun. ``since`` is when the daemon began: nothing is let in before it has
    seen all of a group.
    """

    def __init__(
        self,
        store: Store,
        groups: Mapping[str, Group],
        look: LookAt,
        *,
        clock: Callable[[], datetime],
        pause: Callable[[str], str] = no_pause,
        fence: Callable[[], None] = no_fence,
        stopping: Callable[[], bool] = _not_yet,
        since: datetime | None = None,
        capture: Capture = no_capture,
    ) -> None:
        self._store = store
        self._standings = Standings(store, groups, since)
        self._ordering = Ordering(groups)
        self._groups = groups
        self._look = look
        self._stopping = stopping
        self._clock = clock
        self._pause = pause
        self._fence = fence
        self._capture = capture
        self._deferred = Deferred(store)
        self._held: dict[str, Stops] = {}

    # --- what people ask ---

    def request(self, instance: Instance, why: str, *, manual: bool = True, quarantine: bool = False) -> str:
        """Open a replacement and return its id. Raises ``BadInput`` with the reason when it may not be.

        With ``quarantine`` the old one is cut off and kept in the end (core/quarantine.py).
        """
        group = self._groups.get(instance.group)
        if group is None:
            raise BadInput(wording.unknown_group(instance.group), "see the groups in the configuration")
        if cannot := group.cannot_replace():
            raise BadInput(f"{instance.id} cannot be replaced: {cannot}", "configure a provider that can")
        with self._store.write() as tx:
            image = image_for(tx, group, instance)
            now = self._clock()
            record = new_record(instance, group, why, now, manual=manual, image=image, quarantine=quarantine)
            if not plan(tx, record, self._clock()):
                raise BadInput(wording.replaced_already(instance.id, instance.slot), "see: driftd status")
        return record.rid

    def cancel(self, rid: str, who: str) -> str:
        """Ask for ``rid`` (an id, or a slot or old instance with an open replacement) to be undone; one sentence."""
        return cancel(self._store, rid, who, self._clock())

    # --- what the timer asks ---

    def tick(self) -> list[str]:
        """Carry every due replacement as far as it goes without waiting; what happened, in sentences.

        Raises ``StoreUnavailable`` and ``LeaseHeld``: then nothing more may be changed.
        """
        with self._store.read() as tx:
            records = self._ordering.sorted(tx, tx.open_replacements(), self._clock())
        began, said, surveys = self._clock(), [], Surveys()
        self._standings.begin(records)
        self._held.clear()
        self._deferred.begin(frozenset(one.rid for one in records))
        for record in records:
            if self._stopping() or (record.state in UNSTARTED and self._overdue(records, began)):
                break
            if self._due(record):
                said += self._carry(record, surveys)
        self._deferred.write()
        return said

    def _overdue(self, records: Sequence[Record], began: datetime) -> bool:
        """A host that answers late, or never, must not keep those under way waiting for their next beat."""
        polls = [g.limits.poll for r in records if r.state not in UNSTARTED and (g := self._groups.get(r.group))]
        return bool(polls) and self._clock() >= began + min(polls)

    def _due(self, record: Record) -> bool:
        """A timer that beats as often as we poll must not miss every second beat by a hair."""
        group = self._groups.get(record.group)
        slack = group.limits.poll / 2 if group else timedelta(0)
        at = self._deferred.due(record)
        return at is None or at <= self._clock() + slack

    def _carry(self, record: Record, surveys: Surveys) -> list[str]:
        said: list[str] = []
        group = self._groups.get(record.group)
        for _ in range(STEPS_A_TICK):
            if self._stopping():
                break
            try:
                if group is None:
                    self._hold(record, wording.unknown_group(record.group))
                    break
                after = self._step(record, group, surveys, said)
            except (StoreUnavailable, LeaseHeld):
                raise
            except StaleRecord:
                break  # somebody (a cancel) moved it: the next tick reads it again
            except ProviderError as error:
                self._hold(record, wording.cannot_observe(record.group, str(error)))
                break
            except Exception as error:  # noqa: BLE001  # per step: one broken replacement must not stop the others
                _log.exception("replacement %s: a step failed in a way nobody foresaw", record.rid)
                said.append(f"replacement {record.rid}: {type(error).__name__} in a step; it is tried again")
                self._hold(record, f"a step failed in a way nobody foresaw: {type(error).__name__}")
                break
            record = after
            if record.state in TERMINAL or record.next_at is not None:
                break
        return said

    def _hold(self, record: Record, why: str) -> None:
        """It could not even decide: say so on the record and come back later. Nothing else is changed."""
        group = self._groups.get(record.group)
        poll = group.limits.poll if group else timedelta(minutes=1)
        with self._store.write() as tx:
            current = tx.replacement(record.rid)
            if current is not None and current.state not in TERMINAL:
                tx.save_replacement(replace(current, note=why, next_at=self._clock() + poll))

    def _step(self, before: Record, group: Group, surveys: Surveys, said: list[str]) -> Record:
        """Observe, decide, and do what was decided. Returns the record as it now stands, or will after the round."""
        seen, fresh = surveys.of(group)
        record, world, answer = self._decide(before, group, seen)
        if isinstance(answer, Do) and not fresh:
            # What is acted on is read again, live.
            record, world, answer = self._decide(before, group, surveys.anew(group))
        if leaves(record, answer) and world.old is not None and world.old_lives:
            # Whether people are on it takes a while to see, and everything else is read once more after that.
            look = self._look(world.old)
            people = frozenset({Need.LOOK_OLD})
            record, world, answer = self._decide(before, group, surveys.anew(group), people, lambda _old: look)
        now = self._clock()
        if isinstance(answer, Do):
            answer = unheeded(record, answer, now, group.limits) or answer
        if isinstance(answer, Do):
            surveys.forget(group)
            return self._do(self._deferred.settled(record), answer, world, group, said)
        if isinstance(answer, Wait):
            after = waiting(record, answer, now)
            if not record.intent:
                self._deferred.waits(before, after)
                return after
        else:
            after = moved(record, answer, now)
            said.append(f"replacement {record.rid}: {answer.state}, since {answer.why}")
            if record.state in WAITING and after.state in _TAKES_NOTHING:
                self._deferred.moves(record, after, answer, now)
                return after
        return self._write(record, after, answer, now)

    def _write(self, record: Record, after: Record, answer: Advance | Finish | Halt | Wait, now: datetime) -> Record:
        """What others have to know at once is durable before anything else is decided."""
        after = replace(after, version=self._deferred.settled(record).version)
        with self._store.write() as tx:
            after = closed(tx, after, now)
            if after.state is State.LAUNCHING and record.state is not State.LAUNCHING:
                after = replace(after, epoch=tx.store_facts().epoch)
            if not isinstance(answer, Wait):
                write_move(tx, record, answer, now)
            tx.save_replacement(after)
        after = replace(after, version=after.version + 1)
        self._standings.moved(after)
        return after

    def _decide(
        self,
        before: Record,
        group: Group,
        seen: Survey,
        more: frozenset[Need] = frozenset(),
        look: LookAt | None = None,
    ) -> tuple[Record, World, Answer]:
        now = self._clock()
        # Read once a round for deciding, since a thousand may wait; and again, live, before each call.
        held = self._held.get(before.group) or stops(self._store, before.group, self._pause)
        self._held[before.group] = held
        wanted = needs(before, now, group.limits) | more
        stand = self._standings.of(group, seen, now)
        world = observe(before, group, seen, stand, look or self._look, wanted, held, now)
        record = learn(before, world)
        return record, world, decide(record, world, self._clock(), group.limits)

    # --- acting ---

    def _do(self, record: Record, answer: Do, world: World, group: Group, said: list[str]) -> Record:
        """Intent, pause, call, outcome: in this order, each durable before the next."""
        call, now = answer.call, self._clock()
        body = call.as_body()
        intended = announced(record, call, canonical(body).decode(), answer.why, now)
        with self._store.write() as tx:
            closed(tx, record, now)
            tx.journal("intent", record.rid, {**body, "why": answer.why, "guards": guards(record, world)}, now)
            tx.save_replacement(intended)
        intended = replace(intended, version=intended.version + 1)
        self._fence()
        held = stops(self._store, record.group, self._pause)
        if stopped := held.against(undoing=record.state is State.UNDOING):
            return self._withdraw(intended, record, call, stopped)
        try:
            made = make(call, group, record, world, self._capture)
        except ProviderError as error:
            after, outcome = failing(intended, call, error, group, self._clock())
        else:
            after = answered(intended, call, made, self._clock())
            outcome = {"outcome": "done", **({"made": made} if made else {})}
        said.append(f"replacement {record.rid}: {answer.why}: {outcome.get('why', 'done')}")
        return self._outcome(after, call, outcome)

    def _withdraw(self, intended: Record, before: Record, call: Call, stopped: str) -> Record:
        after = replace(withdrawn(intended, before), intent="", next_at=self._clock(), note=f"paused: {stopped}")
        return self._outcome(after, call, {"outcome": "not sent", "why": f"paused: {stopped}"})

    def _outcome(self, after: Record, call: Call, outcome: Mapping[str, object]) -> Record:
        try:
            with self._store.write() as tx:
                tx.journal("result", after.rid, {"call": call.verb.value, **outcome}, self._clock())
                tx.save_replacement(after)
        except LeaseHeld as error:
            # Too late: the successor decides by what it sees. This log is the only place that may still say it.
            _log.warning("replacement %s: a late result, not written: %s %s: %s", after.rid, call.verb, outcome, error)
            raise
        after = replace(after, version=after.version + 1)
        self._standings.moved(after)
        return after
