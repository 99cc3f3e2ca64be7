"""The decision: what a replacement does next. Pure: the record, the world as observed and the time in, one answer out.

Nothing here trusts the record where the world can be asked: a restart after a crash is an ordinary next decision.
core/steps/ has one function a state, core/undo.py decides for a replacement that is being undone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from driftd.core.facts import InstanceState
from driftd.core.guards import Case, going_on
from driftd.core.ports import Target
from driftd.core.replacement import TERMINAL, UNSTARTED, Record, State
from driftd.core.steps import arriving, before, capturing, leaving, moving
from driftd.core.steps.common import unseen
from driftd.core.undo import decide_undo
from driftd.core.variants import STEP
from driftd.core.world import OUT_OF_SERVICE, Advance, Answer, Do, Finish, Halt, Limits, Need, Verb, Wait, World

LOOKS_APART = 5  # polls


def learn(record: Record, world: World) -> Record:
    """What the world teaches about the record itself: the newcomer to adopt, and that the old one was seen at rest."""
    target = world.targets.get(record.old_id)
    drained = _out(target)
    stopped = world.old is not None and world.old.state is InstanceState.STOPPED
    if record.doubted and record.state not in UNSTARTED:
        # Whatever may have been our own doing since the copy is taken for that, so that an undo puts it right.
        record = replace(record, drain_sent=record.drain_sent or drained, stop_sent=record.stop_sent or stopped)
    if not record.new_id and record.launched and world.newcomers:
        record = replace(record, new_id=world.newcomers[0].id)
    if record.drain_sent and drained and not record.drain_seen:
        record = replace(record, drain_seen=True)
    if record.stop_sent and stopped and not record.stop_seen:
        record = replace(record, stop_seen=True)
    old = record.old_unseen + 1 if world.old is None and not record.committed else 0
    new = record.new_unseen + 1 if _newcomer_missing(record, world) else 0
    return replace(record, old_unseen=old, new_unseen=new)


def _newcomer_missing(record: Record, world: World) -> bool:
    """Whether the newcomer is nowhere, though we did not end it and nobody says that it is ended."""
    return bool(record.new_id) and not record.end_sent and all(one.id != record.new_id for one in world.newcomers)


def needs(record: Record, now: datetime, limits: Limits) -> frozenset[Need]:
    """What else to observe before ``decide``."""
    if record.state is State.CONFIRMING and not record.manual and now >= record.created_at + limits.dwell:
        return frozenset({Need.LOOK_OLD})
    if record.state is State.SOAKING and record.canary:
        return frozenset({Need.JUDGE})
    return _NEEDS.get(record.state, frozenset())


_NEEDS: Mapping[State, frozenset[Need]] = {
    State.PLANNING: frozenset({Need.PREFLIGHT}),
    State.BOOTING: frozenset({Need.HEALTH}),
    State.VERIFYING: frozenset({Need.HEALTH, Need.LOOK_NEW}),
    State.SERVING: frozenset({Need.HEALTH}),
    State.SNAPSHOTTING: frozenset({Need.SNAPSHOTS}),
}


def decide(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """The next thing. ``record`` has learnt from ``world``. Every answer carries one sentence saying why."""
    if record.state in TERMINAL:
        raise ValueError(f"replacement {record.rid} is over: {record.state}")
    unstarted = record.state in UNSTARTED
    if unstarted and record.doubted and (traces := _traces(record, world)):
        why = f"the store, put back from a copy, knows nothing of what was done for it since, and {traces}"
        hint = f"see that one instance serves as {record.slot} with all that the slot owns, and end any other by hand"
        return Halt(State.STUCK, why, hint)
    if unstarted and record.cancel_requested:
        asked = f"denied by {record.denied_by}" if record.denied_by else "cancelled"
        return Finish(State.CANCELLED, f"{asked} before anything was changed")
    if unstarted and not world.old_lives:
        return Finish(State.CANCELLED, f"{record.old_id} is gone or going by itself, before anything was changed")
    if world.frozen:
        return _stopped(record, world.frozen, now, limits)
    if record.state is State.UNDOING:
        return _unsure(record, now, limits) or decide_undo(record, world, now, limits)
    cancellable = record.cancel_requested and not record.committed and record.state is not State.SETTLING
    if cancellable and world.old_lives:
        return Advance(State.UNDOING, "cancelled by hand", outcome=State.CANCELLED)
    if world.paused:  # which lets an undo go on, and a cancellation begin one
        return _stopped(record, world.paused, now, limits)
    answer = _unsure(record, now, limits) or _DECISIONS[record.state](record, world, now, limits)
    return (isinstance(answer, Do) and _guarded(record, world, answer, now, limits)) or answer


def _traces(record: Record, world: World) -> str:
    """What shows that the old one was let go after the copy of the store was made; "" where nothing does.

    A newcomer alone is found again by the same launch.
    """
    if world.old is not None and world.old.state.halted:
        return f"{record.old_id} is {world.old.state}"
    target = world.targets.get(record.old_id)
    return f"{record.old_id} is out of service" if world.newcomers and _out(target) else ""


def _out(target: Target | None) -> bool:
    return target is None or target.state in OUT_OF_SERVICE


# What these do next turns on whether the old one still is.
_OF_THE_OLD = frozenset(
    {
        State.DRAINING,
        State.KEEPING,
        State.QUIESCING,
        State.STOPPING,
        State.PARKING,
        State.RETIRING,
        State.UNDOING,
    },
)
# In these the newcomer may have what the slot owns: a list that lacks it makes nobody believe that it is gone.
_WITH_THE_NEW = frozenset(
    {State.ATTACHING, State.ADDRESSING, State.SERVING, State.ENROLLING, State.SOAKING, State.PARKING, State.RETIRING},
)


def _unsure(record: Record, now: datetime, limits: Limits) -> Wait | None:
    """A wait while who it turns on is nowhere to be seen, and too few readings in a row say so to believe it gone."""
    if record.state in _OF_THE_OLD and (wait := unseen(record.old_id, record.old_unseen, now, limits)):
        return wait
    moved = record.owns and record.state in _WITH_THE_NEW
    return unseen(record.new_id, record.new_unseen, now, limits) if moved else None


def _guarded(record: Record, world: World, answer: Do, now: datetime, limits: Limits) -> Wait | None:
    """A wait in place of a forward call that a guard speaks against. What is done to a twin of the newcomer, or to
    what an old one that is gone left behind, takes nothing from anybody.
    """
    about_old = answer.call.instance_id in {"", record.old_id}
    gone = world.old_gone and unseen(record.old_id, record.old_unseen, now, limits) is None
    if gone or (answer.call.verb is Verb.TERMINATE and not about_old):
        return None
    refusal = going_on(Case(record, world.rules, world.facts), answer.call.verb.value, now)
    if refusal is None:
        return None
    # People are looked for with each try, and a look costs a visit.
    pause = limits.poll * (LOOKS_APART if refusal.guard == "session" else 1)
    return Wait(now + pause, refusal.why, record.streak, restart=True)


# A hook that says what comes next is told so only when nothing speaks against it.
_TAKING = frozenset(
    {Verb.PRE_DRAIN, Verb.DRAIN, Verb.QUIESCE, Verb.STOP, Verb.PRE_TERMINATE, Verb.TERMINATE, Verb.ISOLATE}
)


def leaves(record: Record, answer: Answer) -> bool:
    """Whether ``answer`` takes the old one from the people on it: who is there is then looked at, live, before that.

    Out of service it can be logged in to still; once it was stopped nobody is on it.
    """
    if not isinstance(answer, Do) or answer.call.instance_id != record.old_id or record.stop_seen:
        return False
    return answer.call.verb in _TAKING


def _stopped(record: Record, why: str, now: datetime, limits: Limits) -> Wait:
    step = STEP[record.state].sentence if record.state in STEP else "undoing"
    return Wait(now + limits.poll, f"stopped while {step}: {why}", record.streak, restart=True)


_DECISIONS: Mapping[State, Callable[[Record, World, datetime, Limits], Answer]] = {
    State.CONFIRMING: before.confirming,
    State.ADMITTING: before.admitting,
    State.PLANNING: before.planning,
    State.CAPTURING: capturing.capturing,
    State.LAUNCHING: arriving.launching,
    State.BOOTING: arriving.booting,
    State.VERIFYING: arriving.verifying,
    State.QUIESCING: moving.quiescing,
    State.STOPPING: moving.stopping,
    State.SNAPSHOTTING: moving.snapshotting,
    State.DETACHING: moving.detaching,
    State.ATTACHING: moving.attaching,
    State.ADDRESSING: moving.addressing,
    State.SERVING: moving.serving,
    State.GATHERING: arriving.gathering,
    State.ENROLLING: arriving.enrolling,
    State.SOAKING: arriving.soaking,
    State.SWITCHING: arriving.switching,
    State.DRAINING: leaving.draining,
    State.KEEPING: leaving.keeping,
    State.PARKING: leaving.parking,
    State.RETIRING: leaving.retiring,
    State.SETTLING: leaving.settling,
}
