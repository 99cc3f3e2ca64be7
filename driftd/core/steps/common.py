"""What several steps ask of a record and of the world; each answer is a sentence, "" where nothing is amiss."""

from __future__ import annotations

from datetime import datetime, timedelta

from driftd.core.facts import Instance, InstanceState
from driftd.core.guards import Case, health
from driftd.core.ports import TargetState
from driftd.core.replacement import Record, State
from driftd.core.variants import DELETE_FIRST, STEP, variant_of
from driftd.core.world import Advance, Limits, Wait, World


def late(record: Record, now: datetime, limits: Limits) -> bool:
    """Whether the step has taken longer than it may."""
    name = STEP[record.state].limit
    return bool(name) and now >= record.entered_at + getattr(limits, name)


def spent(record: Record, limits: Limits) -> str:
    """The words for a step that ran into its limit."""
    seconds = getattr(limits, STEP[record.state].limit).total_seconds()
    return f"the limit of {seconds:.0f} s is over"


def onward(record: Record, why: str, *, verified: bool = False) -> Advance:
    """To the next state of the record's variant."""
    return Advance(variant_of(record).after(record.state), why, verified=verified)


def failed(why: str) -> Advance:
    """Undo, since the newcomer is no good."""
    return Advance(State.UNDOING, why, outcome=State.FAILED_CLEAN)


def aborted(why: str) -> Advance:
    """Undo, since the old one cannot be let go."""
    return Advance(State.UNDOING, why, outcome=State.ABORTED_SAFE)


def called_off(why: str) -> Advance:
    """Undo, since a person undid a part of it at the provider."""
    return Advance(State.UNDOING, why, outcome=State.CANCELLED)


def newcomer_of(record: Record, world: World) -> Instance | None:
    """The newcomer, unless it is gone."""
    for instance in world.newcomers:
        if instance.id == record.new_id and instance.state is not InstanceState.TERMINATED:
            return instance
    return None


def lost(record: Record, newcomer: Instance | None) -> str:
    """Why the newcomer can no longer become the new one."""
    if newcomer is None:
        return f"the newcomer {record.new_id} is gone"
    if newcomer.state.halted:
        return f"the newcomer {record.new_id} is {newcomer.state}"
    return ""


def unseen(instance_id: str, reads: int, now: datetime, limits: Limits) -> Wait | None:
    """A wait while too few readings in a row (``reads``) lacked an instance that nobody ended to believe it gone."""
    if not 0 < reads < limits.unseen_reads:
        return None
    why = (
        f"the provider shows no {instance_id}, and nobody is known to have ended it: {reads} of the "
        f"{limits.unseen_reads} reads in a row after which it counts as gone"
    )
    return Wait(now + limits.poll, why)


def ill(record: Record, world: World) -> str:
    """Why the newcomer cannot do now what it could do before: whatever the steps behind it made sure of."""
    variant = variant_of(record)
    if not variant.passed(record.state, State.LAUNCHING):
        return ""
    if gone := lost(record, newcomer_of(record, world)):
        return gone
    if variant.passed(record.state, State.VERIFYING) and not record.verified:
        return f"the newcomer {record.new_id} was never verified"
    if not variant.passed(record.state, State.ENROLLING):
        return ""
    target = world.targets.get(record.new_id)
    if target is None:
        return f"the newcomer {record.new_id} is no target of the load balancer"
    if target.state is not TargetState.HEALTHY:
        return f"the load balancer calls the newcomer {record.new_id} {target.state}"
    return elsewhere(record, world) if variant.passed(record.state, State.ADDRESSING) else ""


def elsewhere(record: Record, world: World) -> str:
    """What the slot owns and the newcomer does not have."""
    for name in record.volumes:
        volume = world.volumes.get(name)
        if volume is None or volume.attached_to != record.new_id:
            return f"volume {name} is not the newcomer's"
    for name in record.addresses:
        address = world.addresses.get(name)
        if address is None or address.attached_to != record.new_id:
            return f"address {name} is not the newcomer's"
    return ""


def longest(record: Record, world: World) -> tuple[str, timedelta]:
    """Which of the slot's addresses is asked for longest at whoever had it before, and for how long."""
    known = [(world.addresses[name].linger, name) for name in record.addresses if name in world.addresses]
    linger, name = max(known, default=(timedelta(0), ""))
    return name, linger


def short(record: Record, world: World) -> str:
    """Why the group cannot do without the old one now, with the arithmetic."""
    case, variant = Case(record, world.rules, world.facts), variant_of(record)
    others = case.facts.in_service - (1 if case.old_serves else 0)
    if variant is DELETE_FIRST and not variant.passed(record.state, State.LAUNCHING) and others < 1:
        return (
            f"{record.old_id} is the last of {world.rules.name} in service, "
            "and the last is never taken out before there is another"
        )
    return health.short(case)
