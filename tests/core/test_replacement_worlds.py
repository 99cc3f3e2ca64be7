"""The decision alone: what must hold whatever the record and the world look like."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from replacing import HOOKS, LIMITS, NOW, facts, instance, rules

from driftd.core.decide import decide, learn
from driftd.core.facts import InstanceState
from driftd.core.findings import Action, Verdict
from driftd.core.guards.case import Failures, Flight, GroupFacts
from driftd.core.hooks import Told
from driftd.core.moves import announced, answered, moved, unanswered, waiting
from driftd.core.ports import Address, Target, TargetState, Volume
from driftd.core.replacement import TERMINAL, UNSTARTED, Record, State
from driftd.core.rollout import gated
from driftd.core.variants import MOVE, SURGE, TRANSITIONS, VARIANTS
from driftd.core.world import Advance, Do, Finish, Halt, Manner, Sight, Verb, Wait, World

TOLD = frozenset({"pre_drain", "post_attach", "pre_terminate"})
OVER = {"done", "passed"}

sights = st.builds(
    Sight,
    st.sampled_from(Verdict),
    st.sampled_from(Action),
    st.just("said"),
    st.sampled_from(["", "mallory was on it"]),
    st.integers(0, 2),
    st.booleans(),
)
moments = st.integers(0, 4000).map(lambda s: NOW - timedelta(seconds=s))


@st.composite
def records(draw):
    """Any record that could stand in a store: its state is one of its variant's, and only a surge owns nothing."""
    variant = draw(st.sampled_from([*VARIANTS.values()]))
    state = draw(st.sampled_from([*variant.forward, State.UNDOING]))
    owns = variant is MOVE or (variant is not SURGE and draw(st.booleans()))
    planned = state not in UNSTARTED or state is State.CAPTURING
    yes = st.booleans()
    return Record(
        rid="R",
        group="web",
        slot="web/1",
        image="golden",
        old_id="old",
        why="drift",
        state=state,
        created_at=draw(moments),
        entered_at=draw(moments),
        new_id=draw(st.sampled_from(["", "new"])),
        manual=draw(yes),
        cancel_requested=draw(yes),
        verified=(state is State.UNDOING or variant.passed(state, State.VERIFYING)) and draw(yes),
        tries=draw(st.integers(0, 3)),
        streak=draw(st.integers(0, 3)),
        refusal=draw(st.sampled_from(["", "no"])),
        drain_sent=draw(yes),
        drain_seen=draw(yes),
        committed=draw(yes),
        outcome=draw(st.sampled_from(["cancelled", "failed-clean", "aborted-safe"])),
        fault="fault",
        variant=variant.name if planned else "",
        volumes={"vol": "uuid"} if owns and planned else {},
        addresses={"addr": draw(st.sampled_from(["", "old"]))} if owns and planned else {},
        snapshots=draw(st.sampled_from([{}, {"vol": "snap"}])),
        launched=draw(yes),
        quiesce_sent=draw(yes),
        quiesced=draw(yes),
        stop_sent=draw(yes),
        stop_seen=draw(yes),
        served=draw(yes),
        canary=draw(yes),
        captured=draw(st.sampled_from(["", "R"])),
        rollout=draw(st.sampled_from(["", "roll"])),
        quarantine=draw(yes),
        hooks=draw(st.dictionaries(st.sampled_from(sorted(TOLD)), st.sampled_from(Told).map(str), max_size=3)),
    )


owners = st.sampled_from(["", "old", "new", "stranger"])
lingers = st.sampled_from([timedelta(0), timedelta(seconds=60)])
MOVING = [*MOVE.forward[MOVE.forward.index(State.QUIESCING) :], State.UNDOING]


@st.composite
def worlds(draw):
    """Targets and the count of those in service agree, as they would when both were read at once."""
    old = draw(st.sampled_from([None, *InstanceState]))
    new = draw(st.lists(st.sampled_from(InstanceState), max_size=2))
    targets = {}
    for name in ("old", "new", "twin"):
        state = draw(st.sampled_from([None, *TargetState]))
        if state is not None:
            targets[name] = Target(name, state, draw(st.integers(0, 2)))
    others = draw(
        st.lists(
            st.builds(Flight, st.just("O"), st.just("web/9"), st.just("b"), st.just("c"), st.just(State.BOOTING)),
            max_size=1,
        )
    )
    facts = GroupFacts(
        size=3,
        healthy=frozenset(f"peer-{number}" for number in range(draw(st.integers(0, 3)))),
        flights=tuple(others),
        failures=Failures(draw(st.integers(0, 5)), draw(st.none() | moments)),
        stuck=draw(st.sampled_from(["", "S"])),
        cold=draw(st.sampled_from(["", "the fleet is not known yet"])),
    )
    seen = facts.seen(targets)
    facts = replace(seen, healthy=seen.healthy | facts.healthy)
    return World(
        rules=rules(draw(st.integers(0, 4)), draw(st.sampled_from(Action))),
        facts=facts,
        old=None if old is None else instance("old", old),
        newcomers=tuple(instance(n, s) for n, s in zip(("new", "twin"), new, strict=False)),
        targets=targets,
        confirmed=draw(st.none() | sights),
        remembered=draw(st.none() | sights),
        seen=draw(st.none() | sights),
        unhealthy=draw(st.sampled_from([None, "", "no answer"])),
        impossible=draw(st.sampled_from([None, "", "no room"])),
        judged=draw(st.sampled_from([None, "", "too many errors"])),
        volumes={"vol": Volume("vol", "web/1", draw(owners), draw(st.sampled_from(["", "uuid", "other"])))},
        addresses={
            "addr": Address("addr", "web/1", draw(owners), draw(lingers), draw(st.booleans()), draw(st.booleans()))
        },
        manner=draw(
            st.sampled_from(
                [
                    Manner(),
                    Manner(hooks=HOOKS),
                    Manner(snapshots=False),
                    Manner(hooks=HOOKS | TOLD),
                    Manner(evidence=True),
                    Manner(evidence=True, evidence_required=True),
                    Manner(isolates=True),
                ]
            )
        ),
        paused=draw(st.sampled_from(["", "ann paused everything"])),
        frozen=draw(st.sampled_from(["", "the journal is broken"])),
    )


@settings(max_examples=600, deadline=None)
@given(records(), worlds())
def test_what_must_hold_for_every_record_in_every_world(record, world):
    assume(record.launched or record.new_id or not world.newcomers)  # our mark is on nothing before a launch
    record = learn(record, world)
    answer = decide(record, world, NOW, LIMITS)
    assert answer.why
    if isinstance(answer, Wait):
        assert answer.until > NOW
        assert waiting(record, answer, NOW).next_at == answer.until
    elif isinstance(answer, Advance | Finish | Halt):
        assert (record.state, answer.state) in TRANSITIONS
        assert (answer.state in TERMINAL) is not isinstance(answer, Advance)
        moved(record, answer, NOW)
    if isinstance(answer, Halt):
        assert answer.hint
    if isinstance(answer, Advance) and answer.state is State.UNDOING:
        assert answer.outcome in TERMINAL
    if isinstance(answer, Do):
        check_call(record, world, answer)


@settings(max_examples=400, deadline=None)
@given(records(), worlds(), st.sampled_from(MOVING), owners, st.sampled_from(InstanceState), st.booleans())
def test_what_must_hold_while_something_moves(record, world, state, owner, old, calm):
    """The same where it matters most, and where chance alone seldom comes: a verified newcomer takes over."""
    record = replace(record, state=state, variant=MOVE.name, new_id="new", verified=True, launched=True)
    record = replace(record, volumes={"vol": "uuid"}, addresses={"addr": "old"}, cancel_requested=False)
    world = replace(
        world,
        paused="",
        frozen="",
        old=instance("old", old),
        newcomers=(instance("new", InstanceState.RUNNING),),
        volumes={"vol": replace(world.volumes["vol"], attached_to=owner)},
    )
    if calm:
        record, world = replace(record, refusal="", tries=0, entered_at=NOW), replace(world, targets={})
    answer = decide(learn(record, world), world, NOW, LIMITS)
    if isinstance(answer, Do):
        check_call(record, world, answer)


def check_call(record: Record, world: World, answer: Do) -> None:
    call, target = answer.call, world.targets.get(answer.call.instance_id)
    least, serving = world.rules.min_healthy, world.facts.in_service
    assert not world.paused or record.state is State.UNDOING, "a pause is honoured before every forward call"
    assert not world.frozen, "nor is one made back, once nothing may be changed at all"
    if call.verb is Verb.TERMINATE and call.instance_id == "old":
        newcomer = world.targets["new"]
        assert record.state is State.RETIRING
        assert record.verified
        assert newcomer.state is TargetState.HEALTHY
        assert "old" not in world.targets, "drained and deregistered"
        assert serving >= least
    if call.verb is Verb.TERMINATE and call.instance_id != "old":
        assert call.instance_id in {i.id for i in world.newcomers}, "only what we made"
        assert target is None, "never while it may have traffic"
        assert record.state in {State.UNDOING, State.SETTLING}
    if call.verb is Verb.DRAIN and target is not None and target.state is TargetState.HEALTHY:
        gone = call.instance_id == "old" and world.old_gone
        assert gone or serving - 1 >= least, "never below the minimum"
    if call.verb is Verb.DEREGISTER:
        assert target is not None
        assert not target.connections
        assert target.state in {TargetState.DRAINING, TargetState.MAINTENANCE}
    if call.verb is Verb.REGISTER and call.instance_id == "new":
        assert record.verified, "no traffic before it was verified"
    if call.verb is Verb.CAPTURE:
        assert (record.state, call.instance_id) == (State.CAPTURING, "old")
        assert world.manner.evidence
        assert not record.captured, "once"
    if call.verb is Verb.LAUNCH:
        assert record.state is State.LAUNCHING
        assert not world.newcomers, "never two"
    check_what_it_owns(record, world, answer)
    check_told(record, world, answer)


def check_told(record: Record, world: World, answer: Do) -> None:
    """A hook that has an outcome is not called, nor is what one comes before, until that has one."""
    verb, old = answer.call.verb.value, answer.call.instance_id == "old"
    told = {name for name in world.manner.hooks & TOLD if record.hooks.get(name) not in OVER}
    if verb in TOLD:
        assert verb in told
        assert record.hooks.get(verb) != "failed"
        assert record.state is not State.UNDOING
        assert old is (verb != "post_attach")
    if verb == "terminate" and old:
        assert record.committed or "pre_terminate" not in told
    if verb == "pre_terminate":
        assert (record.state, record.verified, record.committed) == (State.RETIRING, True, False)
        assert world.targets["new"].state is TargetState.HEALTHY, "all that the end itself waits for"
        assert "old" not in world.targets
        assert world.facts.in_service >= world.rules.min_healthy
    if verb == "drain" and old:
        assert record.drain_sent or world.old_gone or "pre_drain" not in told
    if verb == "serve" and record.state is State.SERVING and record.owns:
        assert "post_attach" not in told


def works(name: str, world: World) -> bool:
    """Whether this one could write to a volume."""
    found = [one for one in (world.old, *world.newcomers) if one is not None and one.id == name]
    return any(one.state not in {InstanceState.STOPPED, InstanceState.TERMINATED} for one in found)


def check_what_it_owns(record: Record, world: World, answer: Do) -> None:
    call, volume = answer.call, world.volumes["vol"]
    if call.verb is Verb.ATTACH:
        assert volume.attached_to == "", "only a free one"
        other = "old" if call.instance_id == "new" else "new"
        if call.instance_id == "new":
            assert not works(other, world), "one writer at most"
            assert volume.filesystem in {"", "uuid"}, "the one that it should be"
    if call.verb is Verb.DETACH:
        assert volume.attached_to == call.expected
        assert call.expected in {"old", "new"}, "never a stranger's"
        assert not works(call.expected, world), "nothing is taken off one that works"
    if call.verb is Verb.SNAPSHOT:
        assert not works("old", world), "a copy of what nobody writes"
    if call.verb is Verb.ASSOCIATE:
        assert world.addresses["addr"].attached_to in {"", "old", "new"}, "never a stranger's"
    if call.verb is Verb.RELEASE:
        assert (record.addresses["addr"], call.expected) == ("", "new"), "nobody had it before us"
        assert world.addresses["addr"].attached_to == "new"
    if call.verb is Verb.STOP and call.instance_id == "old":
        assert "old" not in world.targets or world.targets["old"].state not in SERVING
    if call.verb is Verb.TERMINATE and record.owns and (call.instance_id != "old" or record.verified):
        assert volume.attached_to != call.instance_id or not world.old_lives, "never with what the slot owns"


SERVING = {TargetState.HEALTHY, TargetState.UNHEALTHY, TargetState.INITIAL}


@settings(max_examples=100, deadline=None)
@given(records(), worlds(), st.data())
def test_every_record_ends_in_a_world_that_stands_still(record, world, data):
    """Whatever stands in its way, and even if every call fails, each state but a hold is left within its time."""
    limits = replace(LIMITS, dwell=timedelta(seconds=1))
    world = replace(world, impossible=world.impossible or "", judged=world.judged or "")
    world = replace(world, paused="", frozen="", facts=facts(9, old=True), rules=rules(0))
    record = replace(record, manual=True, entered_at=NOW, created_at=NOW, refusal="", tries=0)
    now = NOW
    for _ in range(2000):
        record = learn(record, world)
        answer = decide(record, world, now, limits)
        if isinstance(answer, Do):
            record = announced(record, answer.call, "intent", answer.why, now)
            works = data.draw(st.booleans()) if now < NOW + timedelta(seconds=10) else False
            if works:
                record = answered(record, answer.call, "new", now)
                now += timedelta(seconds=30)
            else:
                record = unanswered(record, answer.call, "503", limits, now, refused=False)
                now = record.next_at
        elif isinstance(answer, Wait):
            if record.state in {State.GATHERING, State.SWITCHING} and gated(None, record) in answer.why:
                return  # it waits for its rollout, and none is in this world
            record = waiting(record, answer, now)
            now = max(answer.until, now + timedelta(seconds=30))
        else:
            record = moved(record, answer, now)
            if record.state in TERMINAL or "it cannot be done now" in record.note:
                return  # over, or held before anything was changed
    raise AssertionError(f"still {record.state}: {record.note}")
