"""Rehearsal: a replacement carried out in a world where every call succeeds at once, by the controller's own decisions.

``decide`` is asked as the controller asks it, and each call that it makes is written down with its effect on the model:
so a plan's steps are what will be done, in that order, and not a second telling of it. How long it takes here is the
least that it can take: soak, parking and readings in a row, and next to nothing for booting, draining or moving.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from driftd.core.decide import decide, learn
from driftd.core.facts import Instance, InstanceState
from driftd.core.findings import Action, Verdict
from driftd.core.guards.calendar import ALWAYS
from driftd.core.guards.case import UNPACED, GroupFacts, GroupRules
from driftd.core.moves import announced, answered, moved, waiting
from driftd.core.ports import Address, Target, TargetState, Volume
from driftd.core.replacement import TERMINAL, Record, State
from driftd.core.rollout import Gate, Rollout, Strategy
from driftd.core.steps.hooking import ONCE
from driftd.core.variants import STEP, SWITCH, VARIANTS
from driftd.core.world import Call, Do, Limits, Manner, Plan, Sight, Verb, Wait, World

OLD, NEW = "old", "new"
_DECISIONS = 20_000  # more than any rehearsal takes
_POLLS = 200  # of a long soak: nothing happens in it
_BEGAN = datetime(2000, 1, 1, tzinfo=UTC)
_EVER = timedelta(days=3650)
# The others of its set are as far as it is, whenever it asks.
_SET = Rollout(
    "set", "group", "image", "before", Strategy.BLUE_GREEN, 0, timedelta(0), "", "", _BEGAN, _BEGAN, gate=Gate.SWITCH
)
_FREE = GroupRules("group", 0, Action.REPLACE, min_percent=0, pace=UNPACED, calendar=ALWAYS, allow_singleton=True)


@dataclass(frozen=True, slots=True)
class Shape:
    """What makes one replacement take other steps than another: how many things move, and how they are moved.

    ``addresses`` says of each address whether the old one has it, ``target`` that the old one is behind the load
    balancer, ``canary`` that it goes first, ``keep_s`` how long an old one that goes with its set is kept,
    ``quarantine`` that the old one is kept for good, ``linger`` how long its addresses are asked for after they moved.
    """

    variant: str
    limits: Limits
    manner: Manner
    volumes: int = 0
    addresses: tuple[bool, ...] = ()
    target: bool = True
    canary: bool = False
    keep_s: int = 0
    quarantine: bool = False
    linger: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Made:
    """One call: in which state, on whom ("old", "new" or "" for neither), about which thing, so long after the begin.

    ``thing`` is "" or a place: ``volume 0``, ``address 1``.
    """

    state: State
    verb: Verb
    on: str
    thing: str
    after: timedelta


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """All calls of one replacement, and since its begin: ``leaves`` when the old one is first touched, ``serves`` when
    the newcomer serves, ``takes`` when it is over.
    """

    calls: tuple[Made, ...]
    leaves: timedelta
    serves: timedelta
    takes: timedelta


def rehearse(shape: Shape) -> Rehearsal:
    """Carry out a replacement of this shape. Raises ``RuntimeError`` where it would not succeed: a mistake of ours."""
    limits = _quick(shape.limits, shape.keep_s)
    record, world = _begin(shape)
    now, calls, serves = _BEGAN, [], _BEGAN
    for _ in range(_DECISIONS):
        record = learn(record, world)
        answer = decide(record, world, now, limits)
        if isinstance(answer, Do):
            calls.append(_made(record.state, answer.call, now - _BEGAN))
            record = announced(record, answer.call, "", answer.why, now)
            record = answered(record, answer.call, _made_of(answer.call), now)
            world = _effect(world, answer.call)
            if answer.call.verb is Verb.LAUNCH:
                now += limits.poll  # nothing boots in no time: who is let in beside it is so before it serves
        elif isinstance(answer, Wait):
            now = max(answer.until, now + timedelta(milliseconds=1))
            record = waiting(record, answer, now)
        else:
            serves = now if answer.state is State.SOAKING else serves
            record = moved(record, answer, now)
        if record.state in TERMINAL:
            break
    else:
        raise RuntimeError(f"a rehearsal did not end, in {record.state}: {record.note}")
    if record.state is not State.SUCCEEDED:
        raise RuntimeError(f"a rehearsal ended {record.state}: {record.note}")
    # Evidence is taken of an old one that serves on.
    touching = (one.after for one in calls if one.on == OLD and one.verb is not Verb.CAPTURE)
    leaves = next(touching, now - _BEGAN)
    return Rehearsal(tuple(calls), leaves, serves - _BEGAN, now - _BEGAN)


def at_most(shape: Shape) -> timedelta:
    """The longest that a replacement may take once it was let in: each step up to its limit, soak, parking, keeping,
    and its hooks.
    """
    limits = shape.limits
    total = (limits.canary_soak if shape.canary else limits.soak) + shape.linger
    stays = {State.PARKING: limits.park, State.KEEPING: timedelta(seconds=shape.keep_s)}
    for state in VARIANTS[shape.variant].forward[2:]:
        if state is State.CAPTURING and not shape.manner.evidence:
            continue
        step = STEP[state]
        total += getattr(limits, step.limit) if step.limit else timedelta(0)
        total += stays.get(state, timedelta(0))
    told = (verb.value for verb in ONCE if verb.value in shape.manner.hooks)
    return total + sum((shape.manner.terms_of(name).within for name in told), timedelta(0))


def _quick(limits: Limits, keep_s: int) -> Limits:
    """Rarer readings where a soak is long; and no step is late, since only the steps are wanted here."""
    longest = max(limits.soak, limits.canary_soak, limits.park, timedelta(seconds=keep_s))
    patient: dict[str, Any] = {one.name: _EVER for one in fields(limits) if one.name.endswith("_timeout")}
    return replace(limits, poll=max(limits.poll, longest / _POLLS, timedelta(milliseconds=1)), **patient)


def _begin(shape: Shape) -> tuple[Record, World]:
    volumes = {f"volume {number}": Volume(f"volume {number}", "slot", OLD) for number in range(shape.volumes)}
    addresses = {
        f"address {number}": Address(f"address {number}", "slot", OLD if its else "", shape.linger)
        for number, its in enumerate(shape.addresses)
    }
    record = Record("R", "group", "slot", "image", OLD, "rehearsed", State.PLANNING, _BEGAN, _BEGAN, manual=True)
    frozen = Plan(shape.variant, dict.fromkeys(volumes, ""), {name: one.attached_to for name, one in addresses.items()})
    record = replace(
        record,
        state=VARIANTS[shape.variant].after(State.PLANNING),
        canary=shape.canary,
        variant=frozen.variant,
        volumes=frozen.volumes,
        addresses=frozen.addresses,
        rollout=_SET.id if shape.variant == SWITCH.name else "",
        together=shape.variant == SWITCH.name,
        keep_s=shape.keep_s,
        quarantine=shape.quarantine,
    )
    world = World(
        rules=_FREE,
        facts=GroupFacts(
            size=9, healthy=frozenset({"a", "b", OLD} if shape.target else {"a", "b"}), rollouts={_SET.id: _SET}
        ),
        old=Instance(OLD, "group", "image", slot="slot"),
        targets={OLD: Target(OLD, TargetState.HEALTHY)} if shape.target else {},
        seen=Sight(Verdict.CLEAN, Action.IGNORE, "as baked"),
        unhealthy="",
        impossible="",
        judged="",
        volumes=volumes,
        addresses=addresses,
        snapshots=frozenset(),
        manner=shape.manner,
    )
    return record, world


def _made(state: State, call: Call, after: timedelta) -> Made:
    on = NEW if call.verb is Verb.LAUNCH else call.instance_id or (call.expected if call.verb is Verb.DETACH else "")
    return Made(state, call.verb, on, call.thing, after)


def _made_of(call: Call) -> str:
    return {Verb.CAPTURE: "a bundle", Verb.LAUNCH: NEW, Verb.SNAPSHOT: "a snapshot"}.get(call.verb, "")


def _effect(world: World, call: Call) -> World:
    """The world after a call that succeeded at once."""
    verb = call.verb
    if verb is Verb.LAUNCH and call.launch is not None:
        newcomer = Instance(NEW, "group", call.launch.image, slot="slot", tags=call.launch.tags)
        return replace(world, newcomers=(newcomer,))
    if verb in {Verb.REGISTER, Verb.DRAIN, Verb.DEREGISTER}:
        return replace(world, targets=_targets(world.targets, call))
    if verb in {Verb.STOP, Verb.TERMINATE} and world.old is not None:
        state = InstanceState.STOPPED if verb is Verb.STOP else InstanceState.TERMINATED
        return replace(world, old=replace(world.old, state=state))
    if verb is Verb.ISOLATE and world.old is not None:
        return replace(world, old=replace(world.old, isolated=True))
    return _tagged(world, call) if verb is Verb.TAG else _handed(world, call)


def _tagged(world: World, call: Call) -> World:
    if call.instance_id == OLD and world.old is not None:
        return replace(world, old=replace(world.old, tags=call.tags))
    left = {key: value for key, value in world.newcomers[0].tags.items() if call.tags.get(key, value)}
    return replace(world, newcomers=(replace(world.newcomers[0], tags=left),))


def _handed(world: World, call: Call) -> World:
    """The world after a call about what the slot owns; hooks change nothing that a world shows."""
    if call.verb is Verb.SNAPSHOT:
        return replace(world, snapshots=(world.snapshots or frozenset()) | {call.token})
    if call.verb in {Verb.DETACH, Verb.ATTACH}:
        volume = replace(world.volumes[call.thing], attached_to=call.instance_id)
        return replace(world, volumes={**world.volumes, call.thing: volume})
    if call.verb is Verb.ASSOCIATE:
        address = replace(world.addresses[call.thing], attached_to=call.instance_id)
        return replace(world, addresses={**world.addresses, call.thing: address})
    return world


def _targets(targets: Mapping[str, Target], call: Call) -> Mapping[str, Target]:
    others = {name: one for name, one in targets.items() if name != call.instance_id}
    if call.verb is Verb.DEREGISTER:
        return others
    state = TargetState.HEALTHY if call.verb is Verb.REGISTER else TargetState.DRAINING
    return {**others, call.instance_id: Target(call.instance_id, state)}
