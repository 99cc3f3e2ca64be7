"""The old one: out of service, kept for a while in case somebody misses it, then ended."""

from __future__ import annotations

from datetime import datetime, timedelta

from driftd.core.facts import InstanceState
from driftd.core.ports import Target
from driftd.core.replacement import Record, State
from driftd.core.steps.common import aborted, called_off, failed, ill, late, longest, newcomer_of, onward, short, spent
from driftd.core.steps.hooking import hooked
from driftd.core.variants import takes_over
from driftd.core.world import (
    OUT_OF_SERVICE,
    TAG_ATTEMPT,
    TAG_QUARANTINE,
    TAG_RID,
    TAG_ROLE,
    TAG_SLOT,
    Answer,
    Call,
    Do,
    Finish,
    Halt,
    Limits,
    Verb,
    Wait,
    World,
)

_END_BY_HAND = "the newcomer serves; end the old one by hand, then look at driftd status"


def draining(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """No new work, then no connection, then no target."""
    if amiss := ill(record, world):
        return failed(f"while the old one drained, {amiss}")
    target = world.targets.get(record.old_id)
    if target is None:
        why = f"{record.old_id} has no connection left and is no target"
        return _before_the_drain(record, world) or onward(record, why)
    if world.old_gone:
        return _draining_a_ghost(record, target, now, limits)
    return _draining(record, world, target, now, limits)


def _before_the_drain(record: Record, world: World) -> Answer | None:
    """What the old one's owner is told before it is drained; of one that is drained, or gone, nobody is told."""
    if record.drain_sent or world.old_gone:
        return None
    why = f"telling the pre_drain hook that {record.old_id} is about to be drained"
    return hooked(record, world, Call(Verb.PRE_DRAIN, record.old_id), why, aborted)


def _draining(record: Record, world: World, target: Target, now: datetime, limits: Limits) -> Answer:
    serving = target.state not in OUT_OF_SERVICE
    if serving and record.drain_seen:
        return called_off(f"somebody put {record.old_id} back in service")
    if record.refusal:
        return aborted(f"the load balancer refused to drain {record.old_id}: {record.refusal}")
    lacking = short(record, world)
    if lacking and not serving:
        return aborted(f"the group needs {record.old_id} back: {lacking}")
    if what := next(iter(world.unplanned), ""):
        return aborted(f"{what} belongs to slot {record.slot}, and the plan was made without it")
    if not lacking and (first := _before_the_drain(record, world)):
        return first
    drained = not serving and not target.connections and not record.tries
    if late(record, now, limits) and not drained:
        said = lacking or f"{record.old_id} has {target.connections} connections left"
        return aborted(f"{record.old_id} could not be drained, and {spent(record, limits)}: {said}")
    if lacking:
        return Wait(now + limits.poll, f"{record.old_id} stays in service: {lacking}")
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
    if late(record, now, limits):
        why = f"{record.old_id} is gone but is still a target, and {spent(record, limits)}"
        return Halt(State.STUCK, why, f"remove {record.old_id} from the load balancer by hand")
    return _let_go(record, target, now, limits)


def returned(record: Record, world: World) -> str:
    """What somebody did who wants the old one back, once it was out of service; "" when nobody did."""
    target = world.targets.get(record.old_id)
    if target is not None and target.state not in OUT_OF_SERVICE:
        return f"somebody put {record.old_id} back in service"
    if record.stop_seen and world.old is not None and not world.old.state.halted:
        return f"somebody started {record.old_id} again"
    return ""


def parking(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """Stopped and kept: until it is ended, it can be had back."""
    if amiss := ill(record, world):
        return failed(f"while the old one was kept, {amiss}")
    if world.old_gone:
        return onward(record, f"{record.old_id} is gone by itself")
    if back := returned(record, world):
        return called_off(back)
    if record.quarantine:
        return onward(record, f"{record.old_id} goes to quarantine as it is: what runs there is evidence, too")
    name, kept = _how_long(record, world, limits)
    if not kept:
        return onward(record, f"{record.old_id} is not kept: the parking time is 0")
    if not world.old_rests:
        if record.refusal:
            return aborted(f"the provider refused to stop {record.old_id}: {record.refusal}")
        if late(record, now, limits):
            return aborted(f"{record.old_id} could not be stopped, and {spent(record, limits)}")
        return halt(record, world, now, limits)
    # The time counts from when it is seen at rest; stopping it may have taken long.
    ends = (record.entered_at if record.streak else now) + kept
    if now < ends:
        why = f"{record.old_id} is kept, stopped, until {ends:%H:%M:%S} UTC{name}"
        return Wait(min(ends, now + 5 * limits.poll), why, 1, restart=not record.streak)
    return onward(record, f"{record.old_id} was stopped for {kept.total_seconds():.0f} s and nobody missed it")


def _how_long(record: Record, world: World, limits: Limits) -> tuple[str, timedelta]:
    """For how long it is kept, and why it is longer than the parking time: its address must be nobody else's while
    somebody may still ask there.
    """
    name, linger = longest(record, world)
    if not takes_over(record) or linger <= limits.park:
        return "", limits.park
    return f": so long a resolver may answer with its address for {name}", linger


def keeping(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """Out of service and running, for as long as the rollout says: all of the old set can be had back at once."""
    if amiss := ill(record, world):
        return failed(f"while the old set was kept, {amiss}")
    if world.old_gone:
        return onward(record, f"{record.old_id} is gone by itself")
    if back := returned(record, world):
        return called_off(back)
    ends = record.entered_at + timedelta(seconds=record.keep_s)
    if now < ends:
        return Wait(min(ends, now + 5 * limits.poll), f"{record.old_id} is kept in reserve until {ends:%H:%M:%S} UTC")
    return onward(record, f"{record.old_id} was kept in reserve for {record.keep_s} s")


def halt(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """One step towards the old one being stopped."""
    if world.old is not None and world.old.state is InstanceState.STOPPING:
        return Wait(now + limits.poll, f"{record.old_id} is stopping")
    return Do(Call(Verb.STOP, record.old_id), f"stopping {record.old_id}")


def retiring(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """The end of the old one, or its quarantine: every guard is read again, then comes the point of no return."""
    if world.old_gone:
        good = record.streak + 1
        if good < limits.gone_reads:
            return Wait(now + limits.poll, f"{record.old_id} is gone, {good} of {limits.gone_reads} reads", good)
        return onward(record, f"{record.old_id} is gone in {good} reads")
    if not world.old_lives:
        if late(record, now, limits):
            return Halt(State.STUCK, f"{record.old_id} is still ending, and {spent(record, limits)}", _END_BY_HAND)
        return Wait(now + limits.poll, f"{record.old_id} is ending")
    if record.refusal:
        return _cannot(record, f"the provider refused to {{}} {record.old_id}: {record.refusal}")
    if record.quarantine and _set_apart(record, world):
        good = record.streak + 1
        if good < limits.gone_reads:
            return Wait(now + limits.poll, f"{record.old_id} is cut off, {good} of {limits.gone_reads} reads", good)
        return onward(record, f"{record.old_id} is in quarantine: {_how_cut(world)}")
    return _end(record, world, now, limits)


def _cannot(record: Record, why: str) -> Halt:
    """It can be let go no further; ``{}`` in ``why`` is for what was to be done to it."""
    if record.quarantine:
        hint = f"{record.new_id} serves; cut {record.old_id} off by hand, then look at driftd status"
        return Halt(State.STUCK, why.replace("{}", "cut off"), hint)
    return Halt(State.STUCK, why.replace("{}", "end"), _END_BY_HAND)


def _cut(world: World) -> bool:
    """Where the provider cannot cut a network, what is stopped sends nothing either."""
    if not world.manner.isolates:
        return world.old_rests
    return world.old is not None and world.old.isolated


def _how_cut(world: World) -> str:
    if world.manner.isolates:
        return "its network is cut"
    return "it is stopped, since its provider cannot cut a network"


def _set_apart(record: Record, world: World) -> bool:
    return _cut(world) and world.old is not None and world.old.tags.get(TAG_QUARANTINE) == record.rid


def _apart(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """One step towards quarantine: cut off, then marked."""
    if _cut(world):
        call = Call(Verb.TAG, record.old_id, tags={TAG_QUARANTINE: record.rid})
        return Do(call, f"{record.old_id} is cut off, and is marked as in quarantine")
    if not world.manner.isolates:
        return halt(record, world, now, limits)
    why = f"{record.new_id} is verified and healthy, {record.old_id} is drained and no target: its network is cut"
    return Do(Call(Verb.ISOLATE, record.old_id), why)


def _end(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """The guards of the point of no return, read live; then the point."""
    over = late(record, now, limits)
    if back := returned(record, world):
        return called_off(back)
    guard = ill(record, world) or short(record, world) or _holds_something(record, world)
    if guard and (over or not record.committed):
        return failed(f"{record.old_id} is not let go: {guard}")
    if guard:
        return Wait(now + limits.poll, f"{record.old_id} is not let go yet: {guard}")
    target = world.targets.get(record.old_id)
    if target is None and (first := _before_the_end(record, world)):
        return first
    if over:
        return _cannot(record, f"it took too long to {{}} {record.old_id}, and {spent(record, limits)}")
    if target is not None:
        return _let_go(record, target, now, limits)
    if record.quarantine:
        return _apart(record, world, now, limits)
    return Do(
        Call(Verb.TERMINATE, record.old_id),
        f"{record.new_id} is verified and healthy, {record.old_id} is drained and no target: the point of no return",
    )


def _before_the_end(record: Record, world: World) -> Answer | None:
    """What the old one's owner is told last; every guard is read again after that. Never once its end is announced."""
    why = f"telling the pre_terminate hook that {record.old_id} is about to be let go for good"
    call = Call(Verb.PRE_TERMINATE, record.old_id)
    return None if record.committed else hooked(record, world, call, why, aborted)


def _holds_something(record: Record, world: World) -> str:
    """What the old one still has that must outlive it."""
    owners = {f"volume {name}": volume.attached_to for name, volume in world.volumes.items()}
    owners |= {f"address {name}": address.attached_to for name, address in world.addresses.items()}
    owners.update(world.unplanned)
    return next((f"it still has {name}" for name, owner in owners.items() if owner == record.old_id), "")


def settling(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """None of our marks is left."""
    amiss = ill(record, world)
    over = late(record, now, limits)
    if over and (amiss or record.refusal or record.tries or record.asked_times > 1):
        why = f"the newcomer {record.new_id} could not be settled, and {spent(record, limits)}: "
        hint = f"look at {record.new_id} and at the load balancer of {record.group}"
        return Halt(State.STUCK, why + (amiss or record.refusal or record.note), hint)
    if amiss:
        return Wait(now + limits.poll, f"the old one is gone, but {amiss}")
    for extra in world.newcomers:
        if extra.id != record.new_id and extra.id not in world.targets and not extra.state.ending:
            return Do(
                Call(Verb.TERMINATE, extra.id), f"{extra.id} is a second answer to one launch and never had traffic"
            )
    newcomer = newcomer_of(record, world)
    marks = {TAG_RID, TAG_ROLE, TAG_ATTEMPT}
    if newcomer is not None and marks & newcomer.tags.keys():
        tags = {**dict.fromkeys(sorted(marks), ""), TAG_SLOT: record.slot}
        return Do(Call(Verb.TAG, record.new_id, tags=tags), f"{record.new_id} is the slot's instance now")
    kept = ", which is kept in quarantine" if record.quarantine and not world.old_gone else ""
    return Finish(State.SUCCEEDED, f"{record.new_id} serves in place of {record.old_id}{kept}")
