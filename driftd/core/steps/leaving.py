"""The old one: out of service, kept for a while in case somebody misses it, then ended."""

from __future__ import annotations

from datetime import datetime

from driftd.core.facts import InstanceState
from driftd.core.ports import Target
from driftd.core.replacement import Record, State
from driftd.core.steps.common import aborted, called_off, failed, ill, late, newcomer_of, onward, short, spent
from driftd.core.world import (
    OUT_OF_SERVICE,
    TAG_ATTEMPT,
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
        return onward(record, f"{record.old_id} has no connection left and is no target")
    if world.old_gone:
        return _draining_a_ghost(record, target, now, limits)
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
    if not limits.park:
        return onward(record, f"{record.old_id} is not kept: the parking time is 0")
    if not world.old_rests:
        if record.refusal:
            return aborted(f"the provider refused to stop {record.old_id}: {record.refusal}")
        if late(record, now, limits):
            return aborted(f"{record.old_id} could not be stopped, and {spent(record, limits)}")
        return halt(record, world, now, limits)
    # The time counts from when it is seen at rest; stopping it may have taken long.
    ends = (record.entered_at if record.streak else now) + limits.park
    if now < ends:
        why = f"{record.old_id} is kept, stopped, until {ends:%H:%M:%S} UTC"
        return Wait(min(ends, now + 5 * limits.poll), why, 1, restart=not record.streak)
    return onward(record, f"{record.old_id} was stopped for {limits.park.total_seconds():.0f} s and nobody missed it")


def halt(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """One step towards the old one being stopped."""
    if world.old is not None and world.old.state is InstanceState.STOPPING:
        return Wait(now + limits.poll, f"{record.old_id} is stopping")
    return Do(Call(Verb.STOP, record.old_id), f"stopping {record.old_id}")


def retiring(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """The end of the old one: every guard is read again, then comes the point of no return."""
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
        return Halt(State.STUCK, f"the provider refused to end {record.old_id}: {record.refusal}", _END_BY_HAND)
    return _end(record, world, now, limits)


def _end(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """The guards of the point of no return, read live; then the point."""
    over = late(record, now, limits)
    if back := returned(record, world):
        return called_off(back)
    guard = ill(record, world) or short(record, world) or _holds_something(record, world)
    if guard and (over or not record.committed):
        return failed(f"{record.old_id} is not ended: {guard}")
    if guard:
        return Wait(now + limits.poll, f"{record.old_id} is not ended yet: {guard}")
    if over:
        return Halt(State.STUCK, f"{record.old_id} could not be ended, and {spent(record, limits)}", _END_BY_HAND)
    target = world.targets.get(record.old_id)
    if target is not None:
        return _let_go(record, target, now, limits)
    return Do(
        Call(Verb.TERMINATE, record.old_id),
        f"{record.new_id} is verified and healthy, {record.old_id} is drained and no target: the point of no return",
    )


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
    return Finish(State.SUCCEEDED, f"{record.new_id} serves in place of {record.old_id}")
