"""Undo: back to how it was before the newcomer. The old one first, so that the group is never the poorer for it."""

from __future__ import annotations

from datetime import datetime

from driftd.core.facts import Instance, InstanceState
from driftd.core.ports import TargetState
from driftd.core.replacement import Record, State
from driftd.core.world import OUT_OF_SERVICE, Advance, Answer, Call, Do, Finish, Halt, Limits, Verb, Wait, World

REFUSALS = 2


def decide_undo(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """The next step back, in reverse order; the end is the record's ``outcome``."""
    if world.old_gone and _serves(record, world):
        # Nothing is left to go back to; without the newcomer the slot would be empty.
        good = record.streak + 1
        if good < limits.gone_reads:
            return Wait(now + limits.poll, f"{record.old_id} is gone, {good} of {limits.gone_reads} reads", good)
        why = f"{record.old_id} is gone by itself, so the verified newcomer {record.new_id} stays"
        return Advance(State.DRAINING, why)
    late = now >= record.entered_at + limits.undo_timeout
    if record.refusal and record.tries >= REFUSALS:
        return _stuck(record, f"undoing failed {record.tries} times: {record.refusal}")
    answer = _old_back(record, world, now, limits) or _newcomers_away(record, world, now, limits)
    if late and not isinstance(answer, Finish):
        return _stuck(record, f"undoing did not end in {limits.undo_timeout.total_seconds():.0f} s: {answer.why}")
    return answer


def _serves(record: Record, world: World) -> bool:
    """The newcomer was verified, exists and is in service still: a load balancer may list one that is gone."""
    target = world.targets.get(record.new_id)
    exists = any(i.id == record.new_id and i.state is InstanceState.RUNNING for i in world.newcomers)
    return record.verified and exists and target is not None and target.state is TargetState.HEALTHY


def _stuck(record: Record, why: str) -> Halt:
    newcomer = record.new_id or "a newcomer tagged driftd:rid " + record.rid
    hint = f"check that {record.old_id} serves, then drain and end {newcomer} by hand"
    return Halt(State.STUCK, f"{why} (undone because: {record.fault})", hint)


def _old_back(record: Record, world: World, now: datetime, limits: Limits) -> Answer | None:
    """Put the old one back in service if it was us who took it out."""
    if not (record.drain_sent and world.old_lives):
        return None
    target = world.targets.get(record.old_id)
    if target is None or target.state in OUT_OF_SERVICE:
        return Do(Call(Verb.REGISTER, record.old_id), f"putting {record.old_id} back in service")
    if target.state is not TargetState.HEALTHY:
        return Wait(now + limits.poll, f"{record.old_id} is a target again and not healthy yet: {target.state}")
    return None


def _newcomers_away(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    present = [i for i in world.newcomers if i.state is not InstanceState.TERMINATED]
    for newcomer in present:
        answer = _one_away(newcomer, world, now, limits)
        if answer is not None:
            return answer
    if present:
        return Wait(now + limits.poll, f"{', '.join(i.id for i in present)} is ending")
    if not record.new_id and now < record.entered_at + limits.absent:
        until = record.entered_at + limits.absent
        return Wait(
            min(until, now + limits.poll),
            f"the launch has no answer; until {until:%H:%M:%S} UTC a newcomer may still appear",
        )
    good = record.streak + 1
    if record.new_id and good < limits.gone_reads:
        return Wait(now + limits.poll, f"{record.new_id} is gone, {good} of {limits.gone_reads} reads", good)
    return Finish(State(record.outcome), f"undone: {record.fault}")


def _one_away(newcomer: Instance, world: World, now: datetime, limits: Limits) -> Answer | None:
    """Out of traffic, then ended; None when it is ending already."""
    target = world.targets.get(newcomer.id)
    if target is not None:
        if target.state not in OUT_OF_SERVICE:
            left = world.facts.in_service - 1
            if target.state is TargetState.HEALTHY and left < world.rules.min_healthy:
                why = f"{world.rules.name} would have {left} in service without {newcomer.id}, minimum "
                return Wait(now + limits.poll, why + str(world.rules.min_healthy))
            return Do(Call(Verb.DRAIN, newcomer.id), f"no more work for the newcomer {newcomer.id}")
        if target.connections:
            return Wait(now + limits.poll, f"the newcomer {newcomer.id} has {target.connections} connections left")
        return Do(Call(Verb.DEREGISTER, newcomer.id), f"the newcomer {newcomer.id} has no connection left")
    if newcomer.state.ending:
        return None
    return Do(Call(Verb.TERMINATE, newcomer.id), f"ending the newcomer {newcomer.id}, which we made")
