"""The decision: what a replacement does next. Pure: the record, the world as observed and the time in, one answer out.

Nothing here trusts the record where the world can be asked: a restart after a crash is an ordinary next decision.
``core/undo.py`` decides for a replacement that is being undone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from driftd.core.budget import No, may_admit
from driftd.core.facts import Instance, InstanceState
from driftd.core.findings import Action, Verdict
from driftd.core.ports import LaunchRequest, Target, TargetState
from driftd.core.replacement import STEP, TERMINAL, Record, State
from driftd.core.undo import decide_undo
from driftd.core.world import (
    OUT_OF_SERVICE,
    ROLE,
    TAG_ATTEMPT,
    TAG_RID,
    TAG_ROLE,
    TAG_SLOT,
    Advance,
    Answer,
    Call,
    Do,
    Finish,
    Halt,
    Limits,
    Need,
    Sight,
    Verb,
    Wait,
    World,
    token,
)


def learn(record: Record, world: World) -> Record:
    """What the world teaches about the record itself: the newcomer to adopt, and that the old one was seen drained."""
    if not record.new_id and record.state not in {State.CONFIRMING, State.ADMITTING} and world.newcomers:
        record = replace(record, new_id=world.newcomers[0].id)
    target = world.targets.get(record.old_id)
    drained = target is None or target.state in OUT_OF_SERVICE
    if record.drain_sent and drained and not record.drain_seen:
        record = replace(record, drain_seen=True)
    return record


def needs(record: Record, now: datetime, limits: Limits) -> frozenset[Need]:
    """What else to observe before ``decide``."""
    if record.state is State.CONFIRMING and not record.manual and now >= record.created_at + limits.dwell:
        return frozenset({Need.LOOK_OLD})
    if record.state is State.BOOTING:
        return frozenset({Need.HEALTH})
    if record.state is State.VERIFYING:
        return frozenset({Need.HEALTH, Need.LOOK_NEW})
    return frozenset()


def decide(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """The next thing. ``record`` has learnt from ``world``. Every answer carries one sentence saying why."""
    if record.state in TERMINAL:
        raise ValueError(f"replacement {record.rid} is over: {record.state}")
    unstarted = record.state in {State.CONFIRMING, State.ADMITTING}
    if unstarted and record.cancel_requested:
        return Finish(State.CANCELLED, "cancelled before anything was changed")
    if unstarted and not world.old_lives:
        return Finish(State.CANCELLED, f"{record.old_id} is gone or going by itself, before anything was changed")
    if world.paused:
        step = STEP[record.state].sentence if record.state in STEP else "undoing"
        return Wait(now + limits.poll, f"paused while {step}: {world.paused}", record.streak, restart=True)
    if record.state is State.UNDOING:
        return decide_undo(record, world, now, limits)
    cancellable = record.cancel_requested and not record.committed and record.state is not State.SETTLING
    if cancellable and world.old_lives:
        return Advance(State.UNDOING, "cancelled by hand", outcome=State.CANCELLED)
    return _DECISIONS[record.state](record, world, now, limits)


# --- shared ----------------------------------------------------------------------------------------------------------


def _late(record: Record, now: datetime, limits: Limits) -> bool:
    name = STEP[record.state].limit
    return bool(name) and now >= record.entered_at + getattr(limits, name)


def _spent(record: Record, limits: Limits) -> str:
    seconds = getattr(limits, STEP[record.state].limit).total_seconds()
    return f"the limit of {seconds:.0f} s is over"


def _failed(why: str) -> Advance:
    return Advance(State.UNDOING, why, outcome=State.FAILED_CLEAN)


def _aborted(why: str) -> Advance:
    return Advance(State.UNDOING, why, outcome=State.ABORTED_SAFE)


def _newcomer(record: Record, world: World) -> Instance | None:
    for instance in world.newcomers:
        if instance.id == record.new_id and instance.state is not InstanceState.TERMINATED:
            return instance
    return None


def _lost(record: Record, newcomer: Instance | None) -> str:
    """Why the newcomer can no longer become the new one; "" when it still can."""
    if newcomer is None:
        return f"the newcomer {record.new_id} is gone"
    if newcomer.state.halted:
        return f"the newcomer {record.new_id} is {newcomer.state}"
    return ""


def _ill(record: Record, world: World) -> str:
    """Why the newcomer cannot carry the old one's work now; "" when it can."""
    lost = _lost(record, _newcomer(record, world))
    if lost:
        return lost
    if not record.verified:
        return f"the newcomer {record.new_id} was never verified"
    target = world.targets.get(record.new_id)
    if target is None:
        return f"the newcomer {record.new_id} is no target of the load balancer"
    if target.state is not TargetState.HEALTHY:
        return f"the load balancer calls the newcomer {record.new_id} {target.state}"
    return ""


def _short(record: Record, world: World) -> str:
    """Why the group cannot do without the old one now, with the arithmetic; "" when it can."""
    target = world.targets.get(record.old_id)
    serving = target is not None and target.state is TargetState.HEALTHY
    without = world.facts.in_service - (1 if serving else 0)
    if without >= world.rules.min_healthy:
        return ""
    return (
        f"{world.rules.name} would have {without} in service without {record.old_id}, minimum {world.rules.min_healthy}"
    )


# --- one decision a state --------------------------------------------------------------------------------------------


def _asks(sight: Sight) -> str:
    """Why ``sight`` still asks for a replacement; "" when it does not."""
    if sight.taint:
        return f"still tainted: {sight.taint}"
    if sight.verdict in {Verdict.DRIFTED, Verdict.TAMPERED} and sight.action.rank >= Action.REPLACE.rank:
        return f"still {sight.verdict}: {sight.reason}"
    return ""


def _confirming(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    if record.manual:
        return Advance(State.ADMITTING, "asked for by hand, so no second look is needed")
    due = record.created_at + limits.dwell
    if now < due:
        return Wait(due, f"the second look comes {limits.dwell.total_seconds():.0f} s after the first")
    sight = world.confirmed
    if sight is None or sight.verdict is Verdict.UNKNOWN:
        said = sight.reason if sight else "nobody looked"
        if _late(record, now, limits):
            return Finish(State.CANCELLED, f"could not look a second time, and {_spent(record, limits)}: {said}")
        return Wait(now + limits.poll, f"could not look a second time, so nothing is changed: {said}")
    asks = _asks(sight)
    if not asks:
        return Finish(State.CANCELLED, f"the drift is gone: {sight.reason}")
    if not sight.enforceable:
        return Finish(State.CANCELLED, f"nobody vouches for the manifest of {record.image}: {sight.reason}")
    if sight.live and now < record.created_at + limits.grace:
        ends = record.created_at + limits.grace
        return Wait(
            min(ends, now + 5 * limits.poll),
            f"{sight.live} live session{'s' if sight.live > 1 else ''} on {record.old_id}, waited for until "
            f"{ends:%H:%M:%S} UTC",
        )
    return Advance(State.ADMITTING, f"a second look agrees, {asks}")


def _admitting(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    if not record.manual:
        if not world.rules.replaces:
            return Finish(State.CANCELLED, f"{world.rules.name} only observes now")
        sight = world.remembered
        if sight is not None and sight.verdict is not Verdict.UNKNOWN and not _asks(sight):
            return Finish(State.CANCELLED, f"the drift is gone: {sight.reason}")
    answer = may_admit(world.rules, world.facts, now, manual=record.manual)
    if isinstance(answer, No):
        return Wait(now + limits.poll, answer.why)
    return Advance(State.LAUNCHING, answer.why)


def launch_request(record: Record) -> LaunchRequest:
    """The launch of this attempt; the same bytes however often it is asked for."""
    return LaunchRequest(
        group=record.group,
        slot=record.slot,
        image=record.image,
        token=token(record.rid, State.LAUNCHING, record.attempt),
        tags={
            TAG_RID: record.rid,
            TAG_SLOT: record.slot,
            TAG_ROLE: ROLE,
            TAG_ATTEMPT: str(record.attempt),
        },
    )


def _launching(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    newcomer = _newcomer(record, world)
    if newcomer is not None:
        return Advance(State.BOOTING, f"{newcomer.id} is launched from {record.image}")
    if record.refusal:
        return _failed(f"the provider refused the launch: {record.refusal}")
    if _late(record, now, limits):
        return _failed(f"no newcomer is listed, and {_spent(record, limits)}")
    if record.new_id:
        return Wait(now + limits.poll, f"{record.new_id} is launched and not listed yet")
    return Do(
        Call(Verb.LAUNCH, launch=launch_request(record)), f"launching a newcomer for {record.slot or record.old_id}"
    )


def _booting(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    newcomer = _newcomer(record, world)
    lost = _lost(record, newcomer)
    if lost:
        return _failed(lost)
    ready = newcomer is not None and newcomer.state is InstanceState.RUNNING
    if ready and world.unhealthy == "":
        return Advance(State.VERIFYING, f"{record.new_id} runs and its application answers")
    said = (world.unhealthy or "it was not asked yet") if ready else f"{record.new_id} does not run yet"
    if _late(record, now, limits):
        return _failed(f"{record.new_id} did not boot, and {_spent(record, limits)}: {said}")
    return Wait(now + limits.poll, f"{record.new_id} boots: {said}")


def _verifying(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    lost = _lost(record, _newcomer(record, world))
    if lost:
        return _failed(lost)
    sight = world.seen
    if sight is not None and sight.verdict in {Verdict.DRIFTED, Verdict.TAMPERED}:
        return _failed(f"the newcomer {record.new_id} is {sight.verdict}: {sight.reason}")
    if sight is not None and sight.trusted and not sight.enforceable:
        return _failed(f"nobody vouches for the manifest that {record.new_id} would be verified by: {sight.reason}")
    if sight is not None and sight.trusted and world.unhealthy == "":
        return Advance(State.ENROLLING, f"{record.new_id} is as baked: {sight.reason}", verified=True)
    said = world.unhealthy or (sight.reason if sight else "nobody looked")
    if _late(record, now, limits):
        return _failed(f"{record.new_id} could not be verified, and {_spent(record, limits)}: {said}")
    return Wait(now + limits.poll, f"{record.new_id} is not verified yet: {said}")


def _enrolling(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    lost = _lost(record, _newcomer(record, world))
    if lost:
        return _failed(lost)
    if not record.verified:
        return _failed(f"the newcomer {record.new_id} was never verified")
    if record.refusal:
        return _failed(f"the load balancer refused the newcomer: {record.refusal}")
    target = world.targets.get(record.new_id)
    late = _late(record, now, limits)
    if target is None or target.state in OUT_OF_SERVICE:
        if late:
            return _failed(f"{record.new_id} could not be registered, and {_spent(record, limits)}")
        return Do(
            Call(Verb.REGISTER, record.new_id), f"putting {record.new_id} behind the load balancer of {record.group}"
        )
    if target.state is TargetState.HEALTHY:
        good = record.streak + 1
        if good >= limits.healthy_reads:
            return Advance(State.SOAKING, f"{record.new_id} was healthy in {good} reads in a row")
        return Wait(now + limits.poll, f"{record.new_id} is healthy, {good} of {limits.healthy_reads} reads", good)
    if late:
        return _failed(f"the load balancer calls {record.new_id} {target.state}, and {_spent(record, limits)}")
    return Wait(now + limits.poll, f"the load balancer calls {record.new_id} {target.state}")


def _soaking(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    ill = _ill(record, world)
    if ill:
        return _failed(f"during the soak, {ill}")
    ends = record.entered_at + limits.soak
    if now >= ends:
        return Advance(State.DRAINING, f"{record.new_id} stayed healthy for {limits.soak.total_seconds():.0f} s")
    return Wait(min(ends, now + limits.poll), f"{record.new_id} is watched under traffic until {ends:%H:%M:%S} UTC")


def _draining(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    ill = _ill(record, world)
    if ill:
        return _failed(f"while the old one drained, {ill}")
    target = world.targets.get(record.old_id)
    if target is None:
        return Advance(State.RETIRING, f"{record.old_id} has no connection left and is no target")
    if world.old_gone:
        return _draining_a_ghost(record, target, now, limits)
    serving = target.state not in OUT_OF_SERVICE
    if serving and record.drain_seen:
        return Advance(State.UNDOING, f"somebody put {record.old_id} back in service", outcome=State.CANCELLED)
    if record.refusal:
        return _aborted(f"the load balancer refused to drain {record.old_id}: {record.refusal}")
    short = _short(record, world)
    if short and not serving:
        return _aborted(f"the group needs {record.old_id} back: {short}")
    if _late(record, now, limits):
        said = short or f"{record.old_id} has {target.connections} connections left"
        return _aborted(f"{record.old_id} could not be drained, and {_spent(record, limits)}: {said}")
    if short:
        return Wait(now + limits.poll, f"{record.old_id} stays in service: {short}")
    return _let_go(record, target, now, limits)


def _let_go(record: Record, target: Target, now: datetime, limits: Limits) -> Answer:
    """One step towards being no target."""
    if target.state not in OUT_OF_SERVICE:
        return Do(Call(Verb.DRAIN, record.old_id), f"no new work for {record.old_id}")
    if target.connections:
        return Wait(now + limits.poll, f"{record.old_id} has {target.connections} connections left")
    return Do(Call(Verb.DEREGISTER, record.old_id), f"{record.old_id} has no connection left")


def _draining_a_ghost(record: Record, target: Target, now: datetime, limits: Limits) -> Answer:
    """The old one vanished; only its place at the load balancer is left."""
    if _late(record, now, limits):
        why = f"{record.old_id} is gone but is still a target, and {_spent(record, limits)}"
        return Halt(State.STUCK, why, f"remove {record.old_id} from the load balancer by hand")
    return _let_go(record, target, now, limits)


def _retiring(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    if world.old_gone:
        good = record.streak + 1
        if good < limits.gone_reads:
            return Wait(now + limits.poll, f"{record.old_id} is gone, {good} of {limits.gone_reads} reads", good)
        return Advance(State.SETTLING, f"{record.old_id} is gone in {good} reads")
    if not world.old_lives:
        if _late(record, now, limits):
            return Halt(State.STUCK, f"{record.old_id} is still ending, and {_spent(record, limits)}", _END_BY_HAND)
        return Wait(now + limits.poll, f"{record.old_id} is ending")
    if record.refusal:
        return Halt(State.STUCK, f"the provider refused to end {record.old_id}: {record.refusal}", _END_BY_HAND)
    return _end(record, world, now, limits)


def _end(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """The guards of the point of no return, read live; then the point."""
    late = _late(record, now, limits)
    target = world.targets.get(record.old_id)
    if target is not None and target.state not in OUT_OF_SERVICE:
        why = f"somebody put {record.old_id} back in service"
        return Advance(State.UNDOING, why, outcome=State.CANCELLED)
    guard = _ill(record, world) or _short(record, world)
    if guard and (late or not record.committed):
        return _failed(f"{record.old_id} is not ended: {guard}")
    if guard:
        return Wait(now + limits.poll, f"{record.old_id} is not ended yet: {guard}")
    if late:
        return Halt(State.STUCK, f"{record.old_id} could not be ended, and {_spent(record, limits)}", _END_BY_HAND)
    if target is not None:
        return _let_go(record, target, now, limits)
    return Do(
        Call(Verb.TERMINATE, record.old_id),
        f"{record.new_id} is verified and healthy, {record.old_id} is drained and no target: the point of no return",
    )


_END_BY_HAND = "the newcomer serves; end the old one by hand, then look at driftd status"


def _settling(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    ill = _ill(record, world)
    late = _late(record, now, limits)
    if late and (ill or record.refusal or record.tries):
        why = (
            f"the newcomer {record.new_id} could not be settled, and {_spent(record, limits)}: {ill or record.refusal}"
        )
        return Halt(State.STUCK, why, f"look at {record.new_id} and at the load balancer of {record.group}")
    if ill:
        return Wait(now + limits.poll, f"the old one is gone, but {ill}")
    for extra in world.newcomers:
        if extra.id != record.new_id and extra.id not in world.targets and not extra.state.ending:
            return Do(
                Call(Verb.TERMINATE, extra.id), f"{extra.id} is a second answer to one launch and never had traffic"
            )
    newcomer = _newcomer(record, world)
    marks = {TAG_RID, TAG_ROLE, TAG_ATTEMPT}
    if newcomer is not None and marks & newcomer.tags.keys():
        tags = {**dict.fromkeys(sorted(marks), ""), TAG_SLOT: record.slot}
        return Do(Call(Verb.TAG, record.new_id, tags=tags), f"{record.new_id} is the slot's instance now")
    return Finish(State.SUCCEEDED, f"{record.new_id} serves in place of {record.old_id}")


_DECISIONS: Mapping[State, Callable[[Record, World, datetime, Limits], Answer]] = {
    State.CONFIRMING: _confirming,
    State.ADMITTING: _admitting,
    State.LAUNCHING: _launching,
    State.BOOTING: _booting,
    State.VERIFYING: _verifying,
    State.ENROLLING: _enrolling,
    State.SOAKING: _soaking,
    State.DRAINING: _draining,
    State.RETIRING: _retiring,
    State.SETTLING: _settling,
}
