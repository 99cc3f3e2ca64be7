"""The newcomer: launched, booted, verified, and put in service."""

from __future__ import annotations

from datetime import datetime

from driftd.core.facts import InstanceState
from driftd.core.findings import Verdict
from driftd.core.ports import LaunchRequest, TargetState
from driftd.core.replacement import Record, State
from driftd.core.rollout import gated
from driftd.core.steps.common import failed, ill, late, lost, newcomer_of, onward, spent
from driftd.core.steps.hooking import hooked
from driftd.core.variants import takes_over
from driftd.core.world import (
    OUT_OF_SERVICE,
    ROLE,
    TAG_ATTEMPT,
    TAG_EPOCH,
    TAG_RID,
    TAG_ROLE,
    TAG_SLOT,
    Answer,
    Call,
    Do,
    Limits,
    Verb,
    Wait,
    World,
    token,
)


def launch_request(record: Record) -> LaunchRequest:
    """The launch of this attempt; the same bytes however often it is asked for.

    The epoch stays on the newcomer for ever: a store that knows of none as high is older than the world.
    """
    epoch = {TAG_EPOCH: str(record.epoch)} if record.epoch else {}
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
        }
        | epoch,
    )


def launching(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """One newcomer with our tag."""
    newcomer = newcomer_of(record, world)
    if newcomer is not None:
        return onward(record, f"{newcomer.id} is launched from {record.image}")
    if record.refusal:
        return failed(f"the provider refused the launch: {record.refusal}")
    if late(record, now, limits):
        return failed(f"no newcomer is listed, and {spent(record, limits)}")
    if record.new_id:
        return Wait(now + limits.poll, f"{record.new_id} is launched and not listed yet")
    return Do(
        Call(Verb.LAUNCH, launch=launch_request(record)), f"launching a newcomer for {record.slot or record.old_id}"
    )


def booting(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """It runs and its application answers."""
    newcomer = newcomer_of(record, world)
    if gone := lost(record, newcomer):
        return failed(gone)
    ready = newcomer is not None and newcomer.state is InstanceState.RUNNING
    if ready and world.unhealthy == "":
        return onward(record, f"{record.new_id} runs and its application answers")
    said = (world.unhealthy or "it was not asked yet") if ready else f"{record.new_id} does not run yet"
    if late(record, now, limits):
        return failed(f"{record.new_id} did not boot, and {spent(record, limits)}: {said}")
    return Wait(now + limits.poll, f"{record.new_id} boots: {said}")


def verifying(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """Its fingerprint is what was baked."""
    if gone := lost(record, newcomer_of(record, world)):
        return failed(gone)
    sight = world.seen
    if sight is not None and sight.verdict in {Verdict.DRIFTED, Verdict.TAMPERED}:
        return failed(f"the newcomer {record.new_id} is {sight.verdict}: {sight.reason}")
    if sight is not None and sight.trusted and not sight.enforceable:
        return failed(f"nobody vouches for the manifest that {record.new_id} would be verified by: {sight.reason}")
    if sight is not None and sight.trusted and world.unhealthy == "":
        return onward(record, f"{record.new_id} is as baked: {sight.reason}", verified=True)
    said = world.unhealthy or (sight.reason if sight else "nobody looked")
    if late(record, now, limits):
        return failed(f"{record.new_id} could not be verified, and {spent(record, limits)}: {said}")
    return Wait(now + limits.poll, f"{record.new_id} is not verified yet: {said}")


def gathering(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """Verified, and out of service until the whole set is: then those that go first serve, then all others."""
    if amiss := ill(record, world):
        return failed(amiss)
    if why := gated(world.facts.rollouts.get(record.rollout), record):
        return Wait(now + limits.poll, f"{record.new_id} is verified: {why}")
    return onward(record, f"the whole new set is verified, and {record.new_id} may serve")


def switching(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """In service, until the whole set is: then the old set goes in one step."""
    if amiss := ill(record, world):
        return failed(f"before the old set was let go, {amiss}")
    if why := gated(world.facts.rollouts.get(record.rollout), record):
        return Wait(now + limits.poll, f"{record.new_id} serves: {why}")
    return onward(record, "the whole new set serves")


def enrolling(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """Behind the load balancer, and called healthy several times in a row."""
    if amiss := ill(record, world):
        return failed(amiss)
    if record.refusal:
        return failed(f"the load balancer refused the newcomer: {record.refusal}")
    target = world.targets.get(record.new_id)
    over = late(record, now, limits)
    if target is None or target.state in OUT_OF_SERVICE:
        if over:
            return failed(f"{record.new_id} could not be registered, and {spent(record, limits)}")
        return Do(
            Call(Verb.REGISTER, record.new_id), f"putting {record.new_id} behind the load balancer of {record.group}"
        )
    if target.state is TargetState.HEALTHY:
        good = record.streak + 1
        if good >= limits.healthy_reads:
            first = None if takes_over(record) else attached(record, world, "is enrolled")
            return first or onward(record, f"{record.new_id} was healthy in {good} reads in a row")
        return Wait(now + limits.poll, f"{record.new_id} is healthy, {good} of {limits.healthy_reads} reads", good)
    if over:
        return failed(f"the load balancer calls {record.new_id} {target.state}, and {spent(record, limits)}")
    return Wait(now + limits.poll, f"the load balancer calls {record.new_id} {target.state}")


def attached(record: Record, world: World, how: str) -> Answer | None:
    """What the newcomer's owner is told once it has what the slot owns."""
    call = Call(Verb.POST_ATTACH, record.new_id)
    return hooked(record, world, call, f"telling the post_attach hook that {record.new_id} {how}", failed)


def soaking(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """Healthy under traffic for a while; of a canary, the judge is asked besides."""
    if amiss := ill(record, world):
        return failed(f"during the soak, {amiss}")
    soak = limits.canary_soak if record.canary else limits.soak
    ends = record.entered_at + soak
    kind = "the canary " if record.canary else ""
    if record.canary and world.judged:
        return failed(f"the judge is against the canary {record.new_id}: {world.judged}")
    if now < ends:
        return Wait(
            min(ends, now + limits.poll), f"{kind}{record.new_id} is watched under traffic until {ends:%H:%M:%S} UTC"
        )
    if record.canary and world.judged is None:
        return Wait(now + limits.poll, f"the judge was not asked yet about the canary {record.new_id}")
    return onward(record, f"{kind}{record.new_id} stayed healthy for {soak.total_seconds():.0f} s")
