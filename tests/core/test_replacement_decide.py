"""The decision alone: what must hold whatever the record and the world look like."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.core.decide import decide, learn
from driftd.core.facts import Instance, InstanceState
from driftd.core.findings import Action, Verdict
from driftd.core.guards.calendar import ALWAYS
from driftd.core.guards.case import UNPACED, Failures, Flight, GroupFacts, GroupRules
from driftd.core.moves import announced, answered, moved, unanswered, waiting
from driftd.core.ports import Address, Target, TargetState, Volume
from driftd.core.replacement import TERMINAL, UNSTARTED, Record, State
from driftd.core.steps.arriving import launch_request
from driftd.core.variants import MOVE, STEP, SURGE, TRANSITIONS, VARIANTS
from driftd.core.world import Advance, Do, Finish, Halt, Limits, Manner, Sight, Verb, Wait, World, token

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LIMITS = Limits()
HOOKS = frozenset({"quiesce", "serve"})
OPEN = [state for state in State if state not in TERMINAL]


def instance(name: str, state: InstanceState) -> Instance:
    return Instance(name, "web", "golden", state, "web/1")


def rules(least: int, enforce: Action = Action.REPLACE) -> GroupRules:
    """At any hour and at any pace; what guards there are beyond is tested with them."""
    return GroupRules("web", least, enforce, min_percent=0, pace=UNPACED, calendar=ALWAYS)


RULES = rules(2)


def facts(healthy: int, *, old: bool = False) -> GroupFacts:
    peers = frozenset(f"peer-{number}" for number in range(healthy - old))
    return GroupFacts(size=3, healthy=peers | {"old"} if old else peers)


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
    """Any record that could stand in a store: its state is one of its variant's, and only a move owns something."""
    variant = draw(st.sampled_from([*VARIANTS.values()]))
    state = draw(st.sampled_from([*variant.forward, State.UNDOING]))
    owns = variant is not SURGE and draw(st.booleans())
    planned = state not in UNSTARTED
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
        verified=draw(yes),
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
    )


owners = st.sampled_from(["", "old", "new", "stranger"])
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
        addresses={"addr": Address("addr", "web/1", draw(owners))},
        manner=draw(st.sampled_from([Manner(), Manner(hooks=HOOKS), Manner(snapshots=False)])),
        paused=draw(st.sampled_from(["", "ann paused everything"])),
        frozen=draw(st.sampled_from(["", "the journal is broken"])),
    )


@settings(max_examples=600, deadline=None)
@given(records(), worlds())
def test_what_must_hold_for_every_record_in_every_world(record, world):
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
    if call.verb is Verb.LAUNCH:
        assert record.state is State.LAUNCHING
        assert not world.newcomers, "never two"
    check_what_it_owns(record, world, answer)


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
    world = replace(world, paused="", frozen="", facts=facts(9, old=True), rules=rules(0))
    record = replace(record, manual=True, entered_at=NOW, created_at=NOW, refusal="", tries=0)
    now = NOW
    for _ in range(6000):
        record = learn(record, world)
        answer = decide(record, world, now, limits)
        if isinstance(answer, Do):
            record = announced(record, answer.call, "intent", answer.why, now)
            works = data.draw(st.booleans()) if now < NOW + timedelta(seconds=10) else False
            if works:
                record = answered(record, answer.call, "new")
                now += timedelta(seconds=30)
            else:
                record = unanswered(record, answer.call, "503", limits, now, refused=False)
                now = record.next_at
        elif isinstance(answer, Wait):
            record = waiting(record, answer, now)
            now = max(answer.until, now + timedelta(seconds=30))
        else:
            record = moved(record, answer, now)
            if record.state in TERMINAL or "it cannot be done now" in record.note:
                return  # over, or held before anything was changed
    raise AssertionError(f"still {record.state}: {record.note}")


def ready_to_end() -> tuple[Record, World]:
    record = Record(
        "R", "web", "web/1", "golden", "old", "drift", State.RETIRING, NOW, NOW, new_id="new", verified=True
    )
    record = replace(record, drain_sent=True, drain_seen=True)
    world = World(
        rules=rules(2),
        facts=facts(2),
        old=instance("old", InstanceState.RUNNING),
        newcomers=(instance("new", InstanceState.RUNNING),),
        targets={"new": Target("new", TargetState.HEALTHY, 1)},
    )
    return record, world


def ends_the_old_one(record: Record, world: World, now: datetime = NOW) -> bool:
    answer = decide(record, world, now, LIMITS)
    return isinstance(answer, Do) and (answer.call.verb, answer.call.instance_id) == (Verb.TERMINATE, "old")


def test_the_old_one_is_ended_when_every_guard_holds():
    assert ends_the_old_one(*ready_to_end())


NEW = Target("new", TargetState.HEALTHY, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"targets": {}},
        {"targets": {"new": replace(NEW, state=TargetState.UNHEALTHY)}},
        {"targets": {"new": replace(NEW, state=TargetState.INITIAL)}},
        {"targets": {"new": NEW, "old": Target("old", TargetState.HEALTHY)}},
        {"targets": {"new": NEW, "old": Target("old", TargetState.DRAINING, 1)}},
        {"targets": {"new": NEW, "old": Target("old", TargetState.DRAINING)}},
        {"newcomers": ()},
        {"newcomers": (instance("new", InstanceState.STOPPED),)},
        {"paused": "ann paused everything"},
        {"frozen": "the journal is broken"},
        {"facts": facts(1)},
        {"old": None},
        {"old": instance("old", InstanceState.SHUTTING_DOWN)},
    ],
    ids=str,
)
@pytest.mark.parametrize("committed", [False, True])
def test_each_guard_alone_keeps_the_old_one_from_being_ended(change, committed):
    record, world = ready_to_end()
    assert not ends_the_old_one(replace(record, committed=committed), replace(world, **change))


@pytest.mark.parametrize("change", [{"verified": False}, {"cancel_requested": True}, {"refusal": "protected"}], ids=str)
def test_the_record_too_can_keep_the_old_one_from_being_ended(change):
    record, world = ready_to_end()
    assert not ends_the_old_one(replace(record, **change), world)


@pytest.mark.parametrize("state", [*SURGE.forward, State.UNDOING])
def test_a_pause_lets_an_undo_go_on_and_a_cancellation_begin_one_and_nothing_else(state):
    record, world = ready_to_end()
    variant = next((one.name for one in VARIANTS.values() if state in one.forward), MOVE.name)
    record = replace(record, state=state, variant=variant, outcome="cancelled", fault="cancelled by hand")
    paused, frozen = replace(world, paused="ann paused everything"), replace(world, frozen="the journal is broken")
    free, answer = decide(record, world, NOW, LIMITS), decide(record, paused, NOW, LIMITS)
    if state is State.UNDOING:
        assert answer == free
    else:
        assert isinstance(answer, Wait)
        assert answer.restart
        assert answer.why.endswith(": ann paused everything")
    assert isinstance(decide(record, frozen, NOW, LIMITS), Wait)
    if state not in UNSTARTED | {State.UNDOING, State.SETTLING}:
        asked = replace(record, cancel_requested=True)
        undone = decide(asked, paused, NOW, LIMITS)
        assert isinstance(undone, Advance)
        assert undone.state is State.UNDOING
        assert isinstance(decide(asked, frozen, NOW, LIMITS), Wait)


def test_a_transition_that_is_not_in_the_table_is_refused():
    record = Record("R", "web", "web/1", "golden", "old", "drift", State.CONFIRMING, NOW, NOW)
    with pytest.raises(ValueError, match="no transition"):
        moved(record, Advance(State.RETIRING, "in a hurry"), NOW)


@pytest.mark.parametrize("vouched", [True, False])
@pytest.mark.parametrize("taint", ["", "mallory was on it"])
def test_nothing_is_replaced_on_the_word_of_a_manifest_that_nobody_vouches_for(vouched, taint):
    record = Record("R", "web", "web/1", "golden", "old", "drift", State.CONFIRMING, NOW - timedelta(hours=1), NOW)
    sight = Sight(Verdict.DRIFTED, Action.REPLACE, "1 finding", taint, enforceable=vouched)
    world = World(RULES, facts(3, old=True), instance("old", InstanceState.RUNNING), confirmed=sight)
    answer = decide(record, world, NOW, LIMITS)
    assert answer.state is (State.ADMITTING if vouched else State.CANCELLED)
    assert ("nobody vouches for the manifest of golden" in answer.why) is not vouched


@pytest.mark.parametrize("vouched", [True, False])
def test_no_newcomer_serves_that_was_verified_by_a_manifest_that_nobody_vouches_for(vouched):
    record = Record(
        "R", "web", "web/1", "golden", "old", "drift", State.VERIFYING, NOW, NOW, new_id="new", manual=True
    )  # fmt: skip
    sight = Sight(Verdict.CLEAN, Action.IGNORE, "as baked", enforceable=vouched)
    world = World(
        RULES,
        facts(3, old=True),
        instance("old", InstanceState.RUNNING),
        newcomers=(instance("new", InstanceState.RUNNING),),
        seen=sight,
        unhealthy="",
    )
    answer = decide(record, world, NOW, LIMITS)
    assert answer.state is (State.ENROLLING if vouched else State.UNDOING)
    assert ("nobody vouches" in answer.why) is not vouched


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda one: one.name)
def test_a_variant_begins_alike_ends_alike_and_can_be_undone(variant):
    assert variant.forward[:3] == (State.CONFIRMING, State.ADMITTING, State.PLANNING)
    assert variant.forward[-2:] == (State.RETIRING, State.SETTLING)
    assert len(set(variant.forward)) == len(variant.forward)
    undoable = {before for before, after in TRANSITIONS if after is State.UNDOING}
    for state in variant.forward:
        step = STEP[state]
        assert not step.limit or hasattr(LIMITS, step.limit)
        assert state in UNSTARTED | undoable or state is State.SETTLING
        assert step.no_return is (state in {State.RETIRING, State.SETTLING})


def test_every_state_can_be_reached_and_left():
    reached, frontier = set(), {State.CONFIRMING}
    while frontier:
        reached |= frontier
        frontier = {after for before, after in TRANSITIONS if before in frontier} - reached
    assert reached == set(State)
    assert {before for before, _ in TRANSITIONS} == set(OPEN)


def test_a_retry_sends_the_same_bytes():
    record = Record("R", "web", "web/1", "golden", "old", "drift", State.LAUNCHING, NOW, NOW)
    later = replace(record, tries=3, version=9, note="again", intent_at=NOW + timedelta(hours=1))
    assert launch_request(record) == launch_request(later)
    assert launch_request(record).token != launch_request(replace(record, attempt=2)).token
    assert len(token("R", "launching", 1)) == 52


@pytest.mark.parametrize(
    ("verified", "target", "stays"),
    [
        (True, TargetState.HEALTHY, True),
        (False, TargetState.HEALTHY, False),
        (True, TargetState.DRAINING, False),
        (True, None, False),
    ],
)
def test_an_undo_that_has_nothing_to_go_back_to_keeps_the_newcomer_that_serves(verified, target, stays):
    record = Record(
        "R", "web", "web/1", "golden", "old", "drift", State.UNDOING, NOW, NOW, "new", verified=verified, fault="fault",
        outcome="aborted-safe",
    )  # fmt: skip
    targets = {"new": Target("new", target, 0)} if target else {}
    world = World(rules(1), facts(3), None, (instance("new", InstanceState.RUNNING),), targets)
    first = decide(record, world, NOW, LIMITS)
    if stays:
        assert isinstance(first, Wait)
        second = decide(waiting(record, first, NOW), world, NOW, LIMITS)
        assert isinstance(second, Advance)
        assert second.state is State.DRAINING
    else:
        assert isinstance(first, Do)
        assert first.call.verb in {Verb.DRAIN, Verb.DEREGISTER, Verb.TERMINATE}


def test_a_gone_newcomer_that_the_load_balancer_still_lists_is_nothing_to_stay_with():
    record, world = ready_to_end()
    record = replace(record, state=State.UNDOING, outcome="failed-clean", fault="the newcomer new is gone")
    answer = decide(record, replace(world, old=None, newcomers=()), NOW, LIMITS)
    assert not isinstance(answer, Advance)
