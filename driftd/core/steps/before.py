"""Before anything is changed: a second look, the guards, the plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from driftd.core.findings import Verdict
from driftd.core.guards import Case, admission, allowed, budget
from driftd.core.replacement import Record, State
from driftd.core.steps.common import late, onward, short, spent
from driftd.core.variants import DELETE_FIRST, HANDOVER, SURGE, SWITCH, Variant, usual
from driftd.core.wording import listed, printable, rollouts
from driftd.core.world import TAG_RID, Advance, Answer, Finish, Limits, Plan, Sight, Wait, World


def asks(sight: Sight) -> str:
    """Why ``sight`` still asks for a replacement; "" when it does not."""
    if sight.taint:
        return f"still tainted: {sight.taint}"
    if sight.verdict in {Verdict.DRIFTED, Verdict.TAMPERED} and sight.action.replaces:
        return f"still {sight.verdict}: {sight.reason}"
    return ""


def confirming(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """A second look, at least ``limits.dwell`` after the first."""
    if record.manual:
        return onward(record, "asked for by hand, so no second look is needed")
    due = record.created_at + limits.dwell
    if now < due:
        return Wait(due, f"the second look comes {limits.dwell.total_seconds():.0f} s after the first")
    sight = world.confirmed
    if sight is None or sight.verdict is Verdict.UNKNOWN:
        blind = sight.reason if sight else "nobody looked"
        if late(record, now, limits):
            return Finish(State.CANCELLED, f"could not look a second time, and {spent(record, limits)}: {blind}")
        return Wait(now + limits.poll, f"could not look a second time, so nothing is changed: {blind}")
    said = asks(sight)
    if not said:
        return Finish(State.CANCELLED, f"the drift is gone: {sight.reason}")
    if not sight.enforceable:
        return Finish(State.CANCELLED, f"nobody vouches for the manifest of {record.image}: {sight.reason}")
    return onward(record, f"a second look agrees, {said}")


def admitting(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """Every guard, all at once, so that a person sees everything that it waits for."""
    if not record.manual:
        if not world.rules.replaces:
            return Finish(State.CANCELLED, f"{world.rules.name} only observes now")
        sight = world.remembered
        if sight is not None and sight.verdict is not Verdict.UNKNOWN and not asks(sight):
            return Finish(State.CANCELLED, f"the drift is gone: {sight.reason}")
    case = Case(record, world.rules, world.facts)
    refusals = admission(case, now)
    if refusals:
        # What a clock alone can change is not asked for with each poll, but often enough for people to see an effect.
        passes = max((refusal.until for refusal in refusals if refusal.until is not None), default=now)
        until = max(now + limits.poll, min(passes, now + limits.longest_pause))
        return Wait(until, "; ".join(one.why for one in refusals), guards=tuple(one.guard for one in refusals))
    return replace(onward(record, allowed(case)), canary=case.goes_first)


# --- the plan --------------------------------------------------------------------------------------------------------


def planning(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """Which variant, what moves, and whether anything is known that makes it impossible: better now than half-way."""
    variant, why = _variant(record, world)
    # Who was launched already, before the store was put back from a copy, say, is found again by the same launch.
    impossible = "" if world.newcomers else world.impossible
    if not why:
        why = _rival(record, world) or _strangers(record, world) or _gap(record, world, variant, now)
        why = why or impossible or ""
    if not why and impossible is None:
        return Wait(now + limits.poll, "the provider was not asked yet whether it would refuse the launch")
    if impossible and now >= record.created_at + limits.launch_timeout and _brings(record, world):
        return Finish(State.FAILED_CLEAN, f"nothing was changed: {impossible}")
    if why:
        # What waits here must not keep its place in the budget.
        return Advance(State.ADMITTING, f"it cannot be done now: {why}", until=now + limits.plan_again)
    plan = Plan(
        variant.name,
        {name: volume.filesystem for name, volume in sorted(world.volumes.items())},
        {name: address.attached_to for name, address in sorted(world.addresses.items())},
    )
    return Advance(variant.after(State.PLANNING), f"planned as {variant.name}: {_owned(plan)}", plan=plan)


def _brings(record: Record, world: World) -> bool:
    """Whether it brings a rollout's image. Whoever brings one back waits for as long as it takes."""
    rollout = world.facts.rollouts.get(record.rollout)
    return rollout is not None and rollout.image == record.image


def _variant(record: Record, world: World) -> tuple[Variant, str]:
    """The variant, and why that may not be."""
    if record.together:
        owned = [*(f"volume {name}" for name in world.volumes), *(f"address {name}" for name in world.addresses)]
        return SWITCH, rollouts.cannot_together(record.group, listed(owned)) if owned else ""
    if world.manner.delete_first:
        lacks = "" if world.manner.allow_gap else "variant delete-first leaves a gap, and allow_gap does not allow one"
        return DELETE_FIRST, lacks
    return usual(world.volumes, world.addresses.values()), ""


def _rival(record: Record, world: World) -> str:
    """Another instance in the slot: a newcomer of an unknown replacement, or one that was ended and is back."""
    if not world.rivals:
        return ""
    one = world.rivals[0]
    if not (rid := one.tags.get(TAG_RID, "")):
        return f"slot {record.slot} has {one.id}, too: only a person can say which of the two stays, and end the other"
    mark = f"{TAG_RID}={printable(rid[:64])}"
    return f"{one.id} in slot {record.slot} carries the mark of another replacement ({mark}): end it, or untag it"


def _strangers(record: Record, world: World) -> str:
    """What the slot owns must be the old one's. A free address is taken; of a free volume somebody else has plans."""
    for name, volume in sorted(world.volumes.items()):
        if volume.attached_to != record.old_id:
            whose = f"{volume.attached_to}'s" if volume.attached_to else "nobody's"
            return f"volume {name} belongs to slot {record.slot} and is {whose}, not {record.old_id}'s"
    for name, address in sorted(world.addresses.items()):
        if address.attached_to not in {"", record.old_id}:
            return f"address {name} belongs to slot {record.slot} and is {address.attached_to}'s, not {record.old_id}'s"
    return ""


def _gap(record: Record, world: World, variant: Variant, now: datetime) -> str:
    """A variant that takes the old one out of service first needs others that serve meanwhile."""
    if variant in (SURGE, SWITCH, HANDOVER):
        return ""
    # Only now is it known which variant it is. One that may not begin must not wait where it keeps its place.
    planned = replace(record, variant=variant.name)
    if (refusal := budget.alone(Case(planned, world.rules, world.facts), now)) is not None:
        return refusal.why
    return short(planned, world)


def _owned(plan: Plan) -> str:
    things = [*(f"volume {name}" for name in plan.volumes), *(f"address {name}" for name in plan.addresses)]
    return f"{', '.join(things)} will move" if things else "the slot owns nothing that would have to move"
