"""What a slot owns changes hands: rest, stop (the fence: one writer at most), snapshot, detach, attach, serve.

Each step asks the world first whether it is done already, so that a crash between two of them changes nothing. An old
one that is gone holds and writes nothing: the steps that are about it are then passed.
"""

from __future__ import annotations

from datetime import datetime

from driftd.core.facts import InstanceState
from driftd.core.hooks import HookName, OnFailure
from driftd.core.ports import Address
from driftd.core.replacement import Record, State
from driftd.core.steps.arriving import attached
from driftd.core.steps.common import aborted, called_off, failed, ill, late, longest, onward, short, spent
from driftd.core.steps.hooking import held, passed
from driftd.core.steps.leaving import halt, returned
from driftd.core.variants import takes_over, variant_of
from driftd.core.world import Answer, Call, Do, Halt, Limits, Verb, Wait, World, token

SERVE, QUIESCE = HookName.SERVE.value, HookName.QUIESCE.value
TO_REST = frozenset({QUIESCE, HookName.STEP_DOWN.value})


def quiescing(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """The old one's service comes to rest, by the group's own hook; without one its stop does it."""
    if amiss := ill(record, world):
        return failed(amiss)
    if world.old_gone:
        return onward(record, f"{record.old_id} is gone by itself")
    if back := returned(record, world):
        return called_off(back)
    if not TO_REST & world.manner.hooks:
        return onward(record, f"nothing has to come to rest on {record.old_id} before it is stopped")
    if record.quiesced:
        return onward(record, f"the service on {record.old_id} is at rest")
    if passed(record, QUIESCE):
        return onward(record, f"the service on {record.old_id} did not come to rest, and on_failure is continue")
    if late(record, now, limits) and world.manner.terms_of(QUIESCE).on_failure is OnFailure.ABORT:
        said = record.refusal or record.note
        return aborted(f"the service on {record.old_id} did not come to rest, and {spent(record, limits)}: {said}")
    if lacking := short(record, world):
        return aborted(f"the service on {record.old_id} is not brought to rest: {lacking}")
    return Do(Call(Verb.QUIESCE, record.old_id), f"bringing the service on {record.old_id} to rest")


def stopping(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """Stopped, in several reads: from here on nobody writes but the newcomer."""
    if amiss := ill(record, world):
        return failed(amiss)
    if back := returned(record, world):
        return called_off(back)
    if world.old_gone or world.old_rests:
        good = record.streak + 1
        if good < limits.gone_reads:
            return Wait(now + limits.poll, f"{record.old_id} is stopped, {good} of {limits.gone_reads} reads", good)
        return onward(record, f"{record.old_id} is stopped in {good} reads: nobody writes now")
    if not world.old_lives:
        if late(record, now, limits):
            return aborted(f"{record.old_id} is ending by itself, and {spent(record, limits)}")
        return Wait(now + limits.poll, f"{record.old_id} is ending by itself")
    if record.refusal:
        return aborted(f"the provider refused to stop {record.old_id}: {record.refusal}")
    if late(record, now, limits):
        return aborted(f"{record.old_id} could not be stopped, and {spent(record, limits)}; it is never forced")
    if lacking := short(record, world):
        return aborted(f"{record.old_id} is not stopped: {lacking}")
    return halt(record, world, now, limits)


def snapshotting(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """A copy of each volume as it is now, while nobody writes; that it was asked for is no proof that it is there."""
    if first := _unfenced(record, world, now, limits):
        return first
    if not world.manner.snapshots or not record.volumes:
        return onward(
            record, "there is nothing to take a snapshot of" if not record.volumes else "no snapshot is asked for"
        )
    listed = world.snapshots or frozenset()
    missing = [name for name in record.volumes if name not in record.snapshots or _token(record, name) not in listed]
    if not missing:
        return onward(record, f"snapshots are taken: {', '.join(record.snapshots.values())}")
    if record.refusal:
        return failed(f"the provider refused a snapshot of {missing[0]}: {record.refusal}")
    if late(record, now, limits):
        return failed(f"no snapshot of {missing[0]} could be taken, and {spent(record, limits)}")
    call = Call(Verb.SNAPSHOT, thing=missing[0], token=_token(record, missing[0]))
    return Do(call, f"taking a snapshot of volume {missing[0]}")


def _token(record: Record, volume: str) -> str:
    return token(record.rid, f"snapshot {volume}", record.attempt)


def detaching(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """Each volume is nobody's, or the newcomer's already."""
    if first := _unfenced(record, world, now, limits):
        return first
    over = late(record, now, limits)
    for name in record.volumes:
        volume = world.volumes.get(name)
        owner = volume.attached_to if volume else "?"
        if owner in {"", record.new_id}:
            continue
        if owner != record.old_id:
            return _astray(record, name, owner, now, limits, over=over)
        if over or record.refusal:
            said = record.refusal or spent(record, limits)
            return aborted(f"volume {name} cannot be taken off {record.old_id}, and is never forced: {said}")
        return Do(Call(Verb.DETACH, thing=name, expected=record.old_id), f"taking volume {name} off {record.old_id}")
    good = record.streak + 1
    if record.volumes and good < limits.gone_reads:
        return Wait(now + limits.poll, f"the volumes are free, {good} of {limits.gone_reads} reads", good)
    return onward(record, "the volumes are free" if record.volumes else "there is no volume to take off")


def attaching(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """Each volume is the newcomer's, and is the one that it should be."""
    if first := _unfenced(record, world, now, limits):
        return first
    over = late(record, now, limits)
    for name, filesystem in record.volumes.items():
        volume = world.volumes.get(name)
        owner = volume.attached_to if volume else "?"
        if volume is not None and filesystem and volume.filesystem not in {"", filesystem}:
            return failed(f"volume {name} carries file system {volume.filesystem}, not {filesystem} as before")
        if owner == record.new_id:
            continue
        if owner == record.old_id:
            return called_off(f"somebody gave volume {name} back to {record.old_id}")
        if owner:
            return _astray(record, name, owner, now, limits, over=over)
        if over or record.refusal:
            said = record.refusal or spent(record, limits)
            return failed(f"volume {name} cannot be attached to {record.new_id}: {said}")
        return Do(Call(Verb.ATTACH, record.new_id, thing=name), f"giving volume {name} to {record.new_id}")
    return onward(record, f"{record.new_id} has every volume of the slot")


def addressing(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """Each address is the newcomer's; taken only from whom it was read to belong to. Where the old one serves on, it
    does so until nobody can have kept an answer that names it.
    """
    if takes_over(record):
        if first := _unfenced(record, world, now, limits):
            return first
    elif amiss := ill(record, world):
        return failed(amiss)
    for name in record.addresses:
        if answer := _address(record, name, world.addresses.get(name), now, limits):
            return answer
    if not takes_over(record) and (wait := _lingering(record, world, now, limits)):
        return wait
    return onward(record, f"{record.new_id} has every address of the slot")


def _address(record: Record, name: str, address: Address | None, now: datetime, limits: Limits) -> Answer | None:
    """One step towards this one being the newcomer's, and everybody knowing it."""
    owner = address.attached_to if address else "?"
    over = late(record, now, limits)
    if address is not None and owner == record.new_id:
        if not address.underway:
            return None
        said = f"address {name} was given to {record.new_id}, and not everybody knows of it yet"
        return failed(f"{said}, and {spent(record, limits)}") if over else Wait(now + limits.poll, said)
    if owner not in {"", record.old_id}:
        said = f"address {name} is {owner}'s" if address else f"address {name} is not listed"
        return failed(f"{said}, and {spent(record, limits)}") if over else Wait(now + limits.poll, said)
    if record.refusal or over:
        return failed(f"address {name} cannot be moved: {record.refusal or spent(record, limits)}")
    call = Call(Verb.ASSOCIATE, record.new_id, thing=name, expected=record.old_id)
    return Do(call, f"giving address {name} to {record.new_id}")


def _lingering(record: Record, world: World, now: datetime, limits: Limits) -> Wait | None:
    """While the old one, which is not drained yet, may still be asked by those who resolved a name before it moved."""
    name, linger = longest(record, world)
    ends = (record.entered_at if record.streak else now) + linger
    if world.old_gone or now >= ends:
        return None
    why = (
        f"{record.old_id} serves on until {ends:%H:%M:%S} UTC: for {linger.total_seconds():.0f} s after {name} has "
        "moved a resolver may still answer with its address"
    )
    return Wait(min(ends, now + 5 * limits.poll), why, 1, restart=not record.streak)


def serving(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """The newcomer's service is started, by the group's own hook, and its application answers."""
    # Where the newcomer comes first the old one serves beside it; there is no fence to be kept.
    fenced, took = variant_of(record).passed(State.SERVING, State.DRAINING), takes_over(record)
    if amiss := ill(record, world) or (_awake(record, world) if fenced else ""):
        return failed(amiss)
    if took and (first := attached(record, world, "has what the slot owns")):
        return first
    if not took and SERVE not in world.manner.hooks:
        return onward(record, "nothing moved, so nothing has to be started")
    over = late(record, now, limits)
    if SERVE in world.manner.hooks and not record.served and not passed(record, SERVE):
        terms = world.manner.terms_of(SERVE)
        if over and terms.on_failure is not OnFailure.CONTINUE and not held(record, terms):
            said = record.refusal or record.note
            return failed(f"the service on {record.new_id} did not start, and {spent(record, limits)}: {said}")
        return Do(Call(Verb.SERVE, record.new_id), f"starting the service on {record.new_id}")
    if world.unhealthy == "":
        return onward(record, f"{record.new_id} serves" + (" with what the slot owns" if took else ""))
    said = world.unhealthy or "it was not asked yet"
    if over:
        return failed(f"{record.new_id} does not serve, and {spent(record, limits)}: {said}")
    return Wait(now + limits.poll, f"{record.new_id} does not serve yet: {said}")


def _awake(record: Record, world: World) -> str:
    """Why the fence does not hold: the old one works again, and could write."""
    return returned(record, world) or (
        f"{record.old_id} is {world.old.state} and should be stopped"
        if world.old is not None and world.old_lives and not world.old_rests
        else ""
    )


def _unfenced(record: Record, world: World, now: datetime, limits: Limits) -> Answer | None:
    """What comes first while the fence does not hold; one that ends by other hands may write until it has ended."""
    if amiss := ill(record, world) or _awake(record, world):
        return failed(amiss)
    if world.old is None or world.old.state is not InstanceState.SHUTTING_DOWN:
        return None
    why = f"{record.old_id} is ending by itself, and may write until it has ended"
    return failed(f"{why}; {spent(record, limits)}") if late(record, now, limits) else Wait(now + limits.poll, why)


def _astray(record: Record, name: str, owner: str, now: datetime, limits: Limits, *, over: bool) -> Answer:
    """A volume that nobody lists, or that a third one has: not ours to take."""
    said = f"volume {name} is {owner}'s, who is neither {record.old_id} nor {record.new_id}"
    if owner == "?":
        said = f"volume {name} is not listed"
    if not over:
        return Wait(now + limits.poll, said)
    hint = f"see whose volume {name} is; {record.old_id} is stopped and can be started once it has it back"
    return Halt(State.STUCK, f"{said}, and {spent(record, limits)}", hint)
