"""Undo: back to how it was before the newcomer, in reverse order, one writer at a time.

What moved goes back first, and only from a newcomer that is out of traffic and stopped; then the old one serves again;
the newcomer is ended last, so that the group is never the poorer for it.
"""

from __future__ import annotations

from datetime import datetime

from driftd.core.facts import Instance, InstanceState
from driftd.core.guards import Case, health
from driftd.core.moves import name_of
from driftd.core.ports import TargetState
from driftd.core.replacement import Record, State
from driftd.core.steps.common import newcomer_of, unseen
from driftd.core.steps.moving import SERVE, TO_REST
from driftd.core.variants import HANDOVER, variant_of
from driftd.core.world import OUT_OF_SERVICE, Advance, Answer, Call, Do, Finish, Halt, Limits, Verb, Wait, World

REFUSALS = 2
HOOK_TRIES = 3


def decide_undo(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """The next step back, in reverse order; the end is the record's ``outcome``."""
    if world.old_gone and (why := _nowhere(record)):
        return _stuck(record, world, f"{record.old_id} is gone, and {why}")
    if world.old_gone and _can_stay(record, world):
        return _stay(record, world, now, limits)
    late = now >= record.entered_at + limits.undo_timeout
    if world.old_gone and record.stop_sent:
        return _stuck(
            record, world, f"{record.old_id} is gone, which was to be started again, and nothing takes its place"
        )
    if record.refusal and record.tries >= REFUSALS:
        return _stuck(record, world, f"undoing failed {record.tries} times: {record.refusal}")
    answer = (
        _last_of_old(record, world, now, limits)
        or _belongings_back(record, world, now, limits)
        or _old_back(record, world, now, limits)
        or _names_away(record, world, now, limits)
        or _newcomers_away(record, world, now, limits)
    )
    if late and not isinstance(answer, Finish):
        return _stuck(
            record, world, f"undoing did not end in {limits.undo_timeout.total_seconds():.0f} s: {answer.why}"
        )
    return answer


def _last_of_old(record: Record, world: World, now: datetime, limits: Limits) -> Answer | None:
    """While the old one ends by itself, a newcomer that could take its place is not ended; None where none could.

    One that has what the slot owns and was stopped by the undo cannot by itself, but a person can have it do so.
    """
    if world.old is None or world.old.state is not InstanceState.SHUTTING_DOWN or _nowhere(record):
        return None
    newcomer = newcomer_of(record, world)
    at_rest = {InstanceState.STOPPING, InstanceState.STOPPED}
    rests = record.verified and record.volumes and newcomer is not None and newcomer.state in at_rest
    if not rests and not _can_stay(record, world):
        return None
    why = f"{record.old_id} is ending by itself: until it is gone the verified newcomer {record.new_id} is kept"
    return Wait(now + limits.poll, why)


def _nowhere(record: Record) -> str:
    """Why a person has to say what becomes of the newcomer, with the old one gone; "" when that can be told."""
    if record.doubted and not record.verified:
        return f"the store, put back from a copy, cannot say whether {record.new_id or 'a newcomer'} was to stay"
    if record.stayed and record.owns:
        # What the slot owns is with it, and there is no way back or on.
        return f"{record.new_id}, which stayed in its place, does not serve"
    return ""


def _can_stay(record: Record, world: World) -> bool:
    """The newcomer was verified, exists, and serves or could be made to: a load balancer may list one that is gone.

    One that is out of service and that something was found wrong with stays so, unless it has what the slot owns.
    Where nothing was, it is put in service once; of a rollout's own newcomers the rollout says what becomes of them.
    """
    newcomer = newcomer_of(record, world)
    if not record.verified or newcomer is None or newcomer.state is not InstanceState.RUNNING:
        return False
    good = record.outcome != State.FAILED_CLEAN and not record.stayed and not record.end_sent and not record.rollout
    has_it = record.owns and (variant_of(record) is not HANDOVER or record.outcome != State.FAILED_CLEAN)
    return has_it or good or _serves(record, world)


def _stay(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """Nothing is left to go back to, and without the newcomer the slot would be empty: on with it."""
    good = record.streak + 1
    if good < limits.gone_reads:
        return Wait(now + limits.poll, f"{record.old_id} is gone, {good} of {limits.gone_reads} reads", good)
    why = f"{record.old_id} is gone by itself, so the verified newcomer {record.new_id} stays"
    variant = variant_of(record)
    # Where it serves before the names move it may be out of service by now, and have none of them.
    again = variant is HANDOVER or not (record.owns or _serves(record, world))
    first = variant.passed(State.DRAINING, State.SERVING)
    return Advance(State.SERVING if first and again else State.DRAINING, why)


def _serves(record: Record, world: World) -> bool:
    target = world.targets.get(record.new_id)
    return target is not None and target.state is TargetState.HEALTHY


def _stuck(record: Record, world: World, why: str) -> Halt:
    newcomer = record.new_id or "a newcomer tagged driftd:rid " + record.rid
    things = ", ".join([*record.volumes, *record.addresses])
    owns = f"that it has {things}, " if things else ""
    hint = f"check {owns}that {record.old_id} serves, then drain and end {newcomer} by hand"
    if not world.old_lives:
        has = f" and has {things}" if things else ""
        hint = f"{record.old_id} does not come back: see that {newcomer} serves{has}, or put another in its place"
    return Halt(State.STUCK, f"{why} (undone because: {record.fault})", hint)


# --- what the slot owns ----------------------------------------------------------------------------------------------


def _belongings_back(record: Record, world: World, now: datetime, limits: Limits) -> Answer | None:
    """Volumes and addresses go back to the old one, if that still is; None when they are there."""
    if not record.owns or not world.old_lives:
        return None
    away = [name for name in record.volumes if _owner(world, name) != record.old_id]
    if any(_owner(world, name) not in {"", record.new_id} for name in away):
        astray = next(name for name in away if _owner(world, name) not in {"", record.new_id})
        return Wait(now + limits.poll, f"volume {astray} is neither {record.old_id}'s nor {record.new_id}'s nor free")
    theirs = [name for name in away if _owner(world, name) == record.new_id and record.new_id]
    if theirs:
        return _fence(record, world, now, limits) or Do(
            Call(Verb.DETACH, thing=theirs[0], expected=record.new_id),
            f"taking volume {theirs[0]} off the newcomer {record.new_id}",
        )
    if away:
        if world.old is not None and world.old.state is InstanceState.STOPPING:
            return Wait(
                now + limits.poll, f"{record.old_id} is stopping, and gets volume {away[0]} when it has stopped"
            )
        return Do(Call(Verb.ATTACH, record.old_id, thing=away[0]), f"giving volume {away[0]} back to {record.old_id}")
    for name, before in record.addresses.items():
        present = world.addresses.get(name)
        if present is not None and before == record.old_id and present.attached_to in {"", record.new_id} - {before}:
            call = Call(Verb.ASSOCIATE, record.old_id, thing=name, expected=record.new_id)
            return Do(call, f"giving address {name} back to {record.old_id}")
        if present is not None and before and before == present.attached_to and present.underway:
            why = f"address {name} was given back to {record.old_id}, and not everybody knows of it yet"
            return Wait(now + limits.poll, why)
    return None


def _names_away(record: Record, world: World, now: datetime, limits: Limits) -> Answer | None:
    """A name that was made for the newcomer is gone again before that ends, which it would go on pointing at.

    Whatever else was nobody's before is free once the newcomer has ended.
    """
    for name, before in record.addresses.items():
        present = world.addresses.get(name)
        if before or present is None:
            continue
        if present.made and record.new_id and present.attached_to == record.new_id:
            call = Call(Verb.RELEASE, thing=name, expected=record.new_id)
            return Do(call, f"taking address {name}, which was nobody's, off the newcomer {record.new_id}")
        if not present.attached_to and present.underway:
            return Wait(now + limits.poll, f"address {name} is nobody's again, and not everybody knows of it yet")
    return None


def _owner(world: World, volume: str) -> str:
    present = world.volumes.get(volume)
    return present.attached_to if present else "?"


def _fence(record: Record, world: World, now: datetime, limits: Limits) -> Answer | None:
    """The newcomer out of traffic and stopped, before anything is taken off it; None when it is."""
    newcomer = newcomer_of(record, world)
    if newcomer is None:
        return unseen(record.new_id, record.new_unseen, now, limits)
    if newcomer.state is InstanceState.STOPPED:
        return None
    if newcomer.state.ending:
        return Wait(now + limits.poll, f"the newcomer {newcomer.id} is ending, and may write until it has ended")
    if answer := _out_of_traffic(record, newcomer, world, now, limits):
        return answer
    if answer := _newcomer_to_rest(record, newcomer, world):
        return answer
    if newcomer.state is InstanceState.STOPPING:
        return Wait(now + limits.poll, f"the newcomer {newcomer.id} is stopping")
    return Do(Call(Verb.STOP, newcomer.id), f"stopping the newcomer {newcomer.id}, so that it writes no more")


# --- the old one -----------------------------------------------------------------------------------------------------


def _old_back(record: Record, world: World, now: datetime, limits: Limits) -> Answer | None:
    """Start it if it was us who stopped it, and put it back in service if it was us who took it out."""
    if not world.old_lives or world.old is None:
        return None
    if record.stop_sent:
        if world.old.state is InstanceState.STOPPING:
            return Wait(now + limits.poll, f"{record.old_id} is stopping, and is started again when it has stopped")
        if world.old.state is InstanceState.STOPPED:
            return Do(Call(Verb.START, record.old_id), f"starting {record.old_id} again")
        if world.old.state is InstanceState.PENDING:
            return Wait(now + limits.poll, f"{record.old_id} is starting")
    if record.quiesce_sent and SERVE in world.manner.hooks:
        return Do(Call(Verb.SERVE, record.old_id), f"starting the service on {record.old_id} again")
    if not record.drain_sent:
        return None
    target = world.targets.get(record.old_id)
    if target is None or target.state in OUT_OF_SERVICE:
        return Do(Call(Verb.REGISTER, record.old_id), f"putting {record.old_id} back in service")
    if target.state is not TargetState.HEALTHY:
        return Wait(now + limits.poll, f"{record.old_id} is a target again and not healthy yet: {target.state}")
    return None


# --- the newcomer ----------------------------------------------------------------------------------------------------


def _newcomers_away(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    present = [i for i in world.newcomers if i.state is not InstanceState.TERMINATED]
    for newcomer in present:
        answer = _one_away(record, newcomer, world, now, limits)
        if answer is not None:
            return answer
    if present:
        return Wait(now + limits.poll, f"{', '.join(i.id for i in present)} is ending")
    if not record.new_id and record.launched and now < record.entered_at + limits.absent:
        until = record.entered_at + limits.absent
        return Wait(
            min(until, now + limits.poll),
            f"the launch has no answer; until {until:%H:%M:%S} UTC a newcomer may still appear",
        )
    if wait := unseen(record.new_id, record.new_unseen, now, limits):
        return wait
    good = record.streak + 1
    if record.new_id and good < limits.gone_reads:
        return Wait(now + limits.poll, f"{record.new_id} is gone, {good} of {limits.gone_reads} reads", good)
    return Finish(State(record.outcome), f"undone: {record.fault}")


def _out_of_traffic(record: Record, newcomer: Instance, world: World, now: datetime, limits: Limits) -> Answer | None:
    """One step towards being no target; None when it is none in several reads: a list may be cut short once."""
    target = world.targets.get(newcomer.id)
    if target is None:
        good = record.streak + 1
        if good < limits.gone_reads and not newcomer.state.ending:
            return Wait(now + limits.poll, f"{newcomer.id} is no target, {good} of {limits.gone_reads} reads", good)
        return None
    if target.state not in OUT_OF_SERVICE:
        case = Case(record, world.rules, world.facts)
        if target.state is TargetState.HEALTHY and (lacking := health.without_newcomer(case, newcomer.id)):
            return Wait(now + limits.poll, lacking)
        return Do(Call(Verb.DRAIN, newcomer.id), f"no more work for the newcomer {newcomer.id}")
    if target.connections:
        return Wait(now + limits.poll, f"the newcomer {newcomer.id} has {target.connections} connections left")
    return Do(Call(Verb.DEREGISTER, newcomer.id), f"the newcomer {newcomer.id} has no connection left")


def _newcomer_to_rest(record: Record, newcomer: Instance, world: World) -> Answer | None:
    """What its serve hook joined, it leaves by the same hooks as the old one would; None where that is over.

    One that fails at that is stopped or ended all the same, which is the end of its service, too.
    """
    over = {name_of(Call(verb, newcomer.id)) for verb in (Verb.STOP, Verb.TERMINATE)}
    if not record.serve_sent or newcomer.id != record.new_id or record.asked in over or record.tries >= HOOK_TRIES:
        return None
    if newcomer.state is not InstanceState.RUNNING or not TO_REST & world.manner.hooks:
        return None
    return Do(Call(Verb.QUIESCE, newcomer.id), f"bringing the service on the newcomer {newcomer.id} to rest")


def _one_away(record: Record, newcomer: Instance, world: World, now: datetime, limits: Limits) -> Answer | None:
    """Out of traffic, then ended; None when it is ending already."""
    if answer := _out_of_traffic(record, newcomer, world, now, limits):
        return answer
    if newcomer.state.ending:
        return None
    if answer := _newcomer_to_rest(record, newcomer, world):
        return answer
    return Do(Call(Verb.TERMINATE, newcomer.id), f"ending the newcomer {newcomer.id}, which we made")
