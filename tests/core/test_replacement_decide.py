"""The decision alone: single worlds, each guard by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from replacing import HOOKS, LIMITS, NOW, OPEN, RULES, facts, instance, rules

from driftd.core.decide import decide, learn
from driftd.core.facts import InstanceState
from driftd.core.findings import Action, Verdict
from driftd.core.guards.case import GroupFacts
from driftd.core.moves import moved, waiting
from driftd.core.ports import Address, Target, TargetState, Volume
from driftd.core.replacement import UNSTARTED, Record, State
from driftd.core.steps.arriving import launch_request
from driftd.core.variants import DELETE_FIRST, HANDOVER, MOVE, STEP, SURGE, TRANSITIONS, VARIANTS
from driftd.core.world import TAG_RID, Advance, Call, Do, Finish, Halt, Sight, Verb, Wait, World, token


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
        {"unplanned": {"volume data-3": "old"}},
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


def test_what_the_plan_lacks_keeps_the_old_one_in_service():
    """A list that had lacked it: the slot owns more than the plan says, so that a newcomer would be without it."""
    record, world = ready_to_end()
    record = replace(record, state=State.DRAINING, drain_sent=False, drain_seen=False)
    targets = {**world.targets, "old": Target("old", TargetState.HEALTHY, 3)}
    world = replace(world, targets=targets, facts=facts(3, old=True))
    assert isinstance(decide(record, world, NOW, LIMITS), Do)
    answer = decide(record, replace(world, unplanned={"volume data-3": "old"}), NOW, LIMITS)
    assert answer == Advance(
        State.UNDOING,
        "volume data-3 belongs to slot web/1, and the plan was made without it",
        outcome=State.ABORTED_SAFE,
    )


def test_what_the_plan_lacks_and_the_old_one_has_not_keeps_nobody_alive():
    record, world = ready_to_end()
    assert ends_the_old_one(record, replace(world, unplanned={"address 192.0.2.1": ""}))


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


def test_the_old_one_is_kept_from_when_it_is_seen_at_rest_however_long_stopping_took():
    record, world = ready_to_end()
    record = replace(record, state=State.PARKING, variant=SURGE.name, stop_sent=True, entered_at=NOW - LIMITS.park)
    answer = decide(record, replace(world, old=instance("old", InstanceState.STOPPED)), NOW, LIMITS)
    assert isinstance(answer, Wait)
    kept = waiting(record, answer, NOW)
    assert kept.entered_at == NOW
    rests = replace(world, old=instance("old", InstanceState.STOPPED))
    assert isinstance(decide(kept, rests, NOW + LIMITS.park - timedelta(seconds=1), LIMITS), Wait)
    assert isinstance(decide(kept, rests, NOW + LIMITS.park, LIMITS), Advance)


def test_marks_that_are_never_seen_to_go_are_a_persons_in_the_end():
    record, world = ready_to_end()
    newcomer = replace(instance("new", InstanceState.RUNNING), tags={TAG_RID: "R"})
    record = replace(record, state=State.SETTLING, variant=SURGE.name, committed=True, asked="tag new", asked_times=2)
    world = replace(world, old=None, newcomers=(newcomer,))
    answer = decide(record, world, NOW + LIMITS.settle_timeout, LIMITS)
    assert isinstance(answer, Halt)
    assert "could not be settled" in answer.why


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
    assert answer.state is (State.SERVING if vouched else State.UNDOING)
    assert ("nobody vouches" in answer.why) is not vouched


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda one: one.name)
def test_a_variant_begins_alike_ends_alike_and_can_be_undone(variant):
    assert variant.forward[:4] == (State.CONFIRMING, State.ADMITTING, State.PLANNING, State.CAPTURING)
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
    ("more", "target", "stays"),
    [
        ({}, TargetState.HEALTHY, State.DRAINING),
        ({"verified": False}, TargetState.HEALTHY, None),
        ({}, TargetState.DRAINING, State.SERVING),
        ({"outcome": "cancelled"}, None, State.SERVING),
        ({"outcome": "failed-clean"}, TargetState.HEALTHY, State.DRAINING),
        ({"outcome": "failed-clean"}, TargetState.DRAINING, None),
        ({"verified": False}, TargetState.DRAINING, None),
        ({"stayed": True}, TargetState.DRAINING, None),
        ({"end_sent": True}, None, None),
        ({"rollout": "roll"}, TargetState.DRAINING, None),
        ({"variant": HANDOVER.name}, TargetState.HEALTHY, State.SERVING),
        ({"variant": DELETE_FIRST.name}, TargetState.DRAINING, State.DRAINING),
    ],
)
def test_an_undo_that_has_nothing_to_go_back_to_keeps_a_newcomer_that_nothing_is_wrong_with(more, target, stays):
    record = Record(
        "R", "web", "web/1", "golden", "old", "drift", State.UNDOING, NOW, NOW, "new", fault="fault",
        **{"verified": True, "outcome": "aborted-safe", **more},
    )  # fmt: skip
    targets = {"new": Target("new", target, 0)} if target else {}
    world = World(rules(1), facts(3), None, (instance("new", InstanceState.RUNNING),), targets)
    first = decide(record, world, NOW, LIMITS)
    then = decide(waiting(record, first, NOW), world, NOW, LIMITS) if isinstance(first, Wait) else first
    if stays:
        assert isinstance(first, Wait)
        assert isinstance(then, Advance)
        assert then.state is stays
    else:
        assert isinstance(then, Do)
        assert then.call.verb in {Verb.DRAIN, Verb.DEREGISTER, Verb.TERMINATE}


@pytest.mark.parametrize(("state", "waits"), [(InstanceState.SHUTTING_DOWN, True), (InstanceState.RUNNING, False)])
def test_an_undo_ends_no_newcomer_that_could_stay_while_the_old_one_is_ending(state, waits):
    record = Record(
        "R", "web", "web/1", "golden", "old", "drift", State.UNDOING, NOW, NOW, "new", verified=True, fault="fault",
        outcome="cancelled",
    )  # fmt: skip
    targets = {"new": Target("new", TargetState.HEALTHY, 0), "other": Target("other", TargetState.HEALTHY, 0)}
    newcomers = (instance("new", InstanceState.RUNNING),)
    world = World(rules(0), facts(3), instance("old", state), newcomers, targets)
    answer = decide(record, world, NOW, LIMITS)
    if waits:
        assert isinstance(answer, Wait)
        assert "is ending by itself" in answer.why
    else:
        assert isinstance(answer, Do)
        assert answer.call.verb is Verb.DRAIN
    late = decide(record, world, NOW + LIMITS.undo_timeout, LIMITS)
    assert isinstance(late, Halt), "however long it takes to end, a person hears of it"


@pytest.mark.parametrize(
    ("before", "made", "holder", "verb"),
    [
        ("", True, "new", Verb.RELEASE),
        ("", True, "stranger", Verb.TERMINATE),
        ("", False, "new", Verb.TERMINATE),
        ("old", True, "new", Verb.TERMINATE),
    ],
)
def test_an_undo_takes_a_name_off_the_newcomer_that_was_made_for_it_and_no_other(before, made, holder, verb):
    record = Record(
        "R", "web", "web/1", "golden", "old", "drift", State.UNDOING, NOW, NOW, "new", fault="fault",
        outcome="failed-clean", variant=HANDOVER.name, addresses={"db": before}, streak=9,
    )  # fmt: skip
    name = {"db": Address("db", "web/1", holder, timedelta(seconds=60), made=made)}
    old, new = instance("old", InstanceState.TERMINATED), instance("new", InstanceState.RUNNING)
    answer = decide(record, World(rules(0), facts(3), old, (new,), addresses=name), NOW, LIMITS)
    assert isinstance(answer, Do), answer
    assert answer.call.verb is verb
    assert (answer.call.thing, answer.call.expected) == (("db", "new") if verb is Verb.RELEASE else ("", ""))


def test_an_undo_does_not_end_a_newcomer_that_one_list_of_targets_left_out():
    record, world = ready_to_end()
    record = replace(record, state=State.UNDOING, outcome="cancelled", fault="cancelled", drain_sent=False)
    old, busy = Target("old", TargetState.HEALTHY, 0), Target("new", TargetState.DRAINING, 3)
    listed, unlisted = replace(world, targets={"old": old, "new": busy}), replace(world, targets={"old": old})
    first = decide(record, unlisted, NOW, LIMITS)
    assert isinstance(first, Wait)
    assert "no target" in first.why
    record = waiting(record, first, NOW)
    after = decide(record, listed, NOW, LIMITS)
    assert isinstance(after, Wait)
    record = waiting(record, after, NOW)
    assert isinstance(decide(record, unlisted, NOW, LIMITS), Wait), "readings in a row, not in all"


def test_a_gone_newcomer_that_the_load_balancer_still_lists_is_nothing_to_stay_with():
    record, world = ready_to_end()
    record = replace(record, state=State.UNDOING, outcome="failed-clean", fault="the newcomer new is gone")
    answer = decide(record, replace(world, old=None, newcomers=()), NOW, LIMITS)
    assert not isinstance(answer, Advance)


@pytest.mark.parametrize("state", [State.DRAINING, State.QUIESCING, State.STOPPING, State.PARKING, State.RETIRING])
def test_an_old_one_that_a_reading_lacks_is_not_gone(state):
    """What nobody ended is gone after many readings in a row alone: a provider's list may lag or be cut short."""
    record, world = ready_to_end()
    record, missing = replace(record, state=state, variant=MOVE.name), replace(world, old=None, targets={})
    for _ in range(LIMITS.unseen_reads - 1):
        record = learn(record, missing)
        answer = decide(record, missing, NOW, LIMITS)
        assert isinstance(answer, Wait)
        assert "the provider shows no old, and nobody is known to have ended it" in answer.why
        record = waiting(record, answer, NOW)
    seen = learn(record, world)
    assert seen.old_unseen == 0, "readings in a row, not in all"
    assert not isinstance(decide(learn(record, missing), missing, NOW, LIMITS), Wait) or state in {
        State.STOPPING,
        State.RETIRING,
    }
    record = replace(record, state=State.UNDOING, outcome="failed-clean", fault="drift")
    assert isinstance(decide(record, missing, NOW, LIMITS), Wait), "nor is it in an undo"


def test_an_old_one_that_is_said_to_be_terminated_is_gone():
    record, world = ready_to_end()
    record = replace(record, state=State.PARKING, variant=SURGE.name)
    world = replace(world, old=instance("old", InstanceState.TERMINATED))
    assert isinstance(decide(learn(record, world), world, NOW, LIMITS), Advance)


@pytest.mark.parametrize("ended", [True, False])
def test_an_undo_ends_with_a_newcomer_that_was_ended_or_is_missing_for_long(ended):
    """One that only hides would serve on, with our marks and nobody's care."""
    record, world = ready_to_end()
    record = replace(
        record, state=State.UNDOING, outcome="failed-clean", fault="the newcomer new is gone", end_sent=ended
    )
    world = replace(world, newcomers=(), targets={"old": Target("old", TargetState.HEALTHY, 0)})
    reads = 0
    while isinstance(answer := decide(record := learn(record, world), world, NOW, LIMITS), Wait):
        record, reads = waiting(record, answer, NOW), reads + 1
    assert isinstance(answer, Finish)
    assert reads == (LIMITS.gone_reads - 1 if ended else LIMITS.unseen_reads + LIMITS.gone_reads - 2)


@pytest.mark.parametrize(
    ("variant", "count", "percent", "serving", "held"),
    [
        (SURGE, 0, 80, 5, ""),
        (SURGE, 0, 80, 4, "web would have 3 in service without new, and its minimum is 4 (80 % of 5)"),
        (SURGE, 4, 0, 4, "web would have 3 in service without new, and its minimum is 4"),
        (SURGE, 3, 80, 4, "web would have 3 in service without new, and its minimum is 4 (80 % of 5)"),
        (SURGE, 3, None, 4, ""),  # the 100 % that nobody chose would keep one that has to go while its old one is ill
        (MOVE, 0, None, 5, ""),
        (MOVE, 0, None, 4, "web would have 3 in service without new, and its minimum is 4 (90 % of 5)"),
    ],
)
def test_an_undo_takes_no_newcomer_out_below_the_count_or_the_share(variant, count, percent, serving, held):
    record, world = ready_to_end()
    record = replace(record, state=State.UNDOING, variant=variant.name, drain_sent=False, outcome="failed-clean")
    healthy = frozenset({"new", *(f"peer-{number}" for number in range(serving - 1))})
    group = replace(rules(count), min_percent=percent)
    world = replace(world, rules=group, facts=GroupFacts(size=5, healthy=healthy))
    answer = decide(record, world, NOW, LIMITS)
    assert isinstance(answer, Wait if held else Do)
    assert not held or answer.why == held
    assert held or answer.call == Call(Verb.DRAIN, "new")


@pytest.mark.parametrize("state", [State.SNAPSHOTTING, State.DETACHING, State.ATTACHING])
def test_an_old_one_that_is_ending_may_write_until_it_has_ended(state):
    record, world = ready_to_end()
    record = replace(record, state=state, variant=MOVE.name, volumes={"vol": ""}, stop_sent=True)
    volumes = {"vol": Volume("vol", "web/1", "old" if state is State.DETACHING else "", "")}
    world = replace(world, old=instance("old", InstanceState.SHUTTING_DOWN), volumes=volumes, snapshots=frozenset())
    assert isinstance(decide(learn(record, world), world, NOW, LIMITS), Wait)
    gone = replace(world, old=instance("old", InstanceState.TERMINATED))
    assert isinstance(decide(learn(record, gone), gone, NOW, LIMITS), Do)


@pytest.mark.parametrize("state", [InstanceState.SHUTTING_DOWN, InstanceState.STOPPING])
def test_a_newcomer_that_is_ending_may_write_until_it_has_ended(state):
    record, world = ready_to_end()
    record = replace(record, state=State.UNDOING, outcome="failed-clean", variant=MOVE.name, volumes={"vol": ""})
    world = replace(world, targets={}, volumes={"vol": Volume("vol", "web/1", "new", "")}, old=_stopped("old"))
    ending = replace(world, newcomers=(instance("new", state),))
    assert isinstance(decide(replace(record, streak=9), ending, NOW, LIMITS), Wait)
    over = decide(replace(record, streak=9), replace(world, newcomers=(_stopped("new"),)), NOW, LIMITS)
    assert isinstance(over, Do)
    assert over.call.verb is Verb.DETACH


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({}, "slot web/1 has other, too: only a person can say which of the two stays, and end the other"),
        ({TAG_RID: "X\nY"}, "other in slot web/1 carries the mark of another replacement"),
    ],
)
def test_a_slot_that_has_another_instance_is_a_persons(tags, said):
    """One that the provider called terminated, say, and that is back beside its newcomer."""
    record, world = ready_to_end()
    record = replace(record, state=State.PLANNING, new_id="", verified=False, drain_sent=False, drain_seen=False)
    world = replace(world, newcomers=(), impossible="", facts=facts(3, old=True))
    assert decide(record, world, NOW, LIMITS).state is State.CAPTURING
    other = replace(instance("other", InstanceState.RUNNING), tags=tags)
    answer = decide(record, replace(world, rivals=(other,)), NOW, LIMITS)
    assert isinstance(answer, Advance)
    assert answer.state is State.ADMITTING
    assert said in answer.why
    assert answer.why.isprintable()


def test_a_newcomer_that_was_launched_already_needs_no_room():
    """The store was put back from a copy that knows nothing of the launch."""
    record, world = ready_to_end()
    record = replace(record, state=State.PLANNING, new_id="", verified=False, drain_sent=False, drain_seen=False)
    world = replace(world, impossible="the quota is used up", facts=facts(3, old=True))
    assert decide(record, world, NOW, LIMITS).state is State.CAPTURING
    assert decide(record, replace(world, newcomers=()), NOW, LIMITS).state is State.ADMITTING


def test_what_a_group_cannot_do_without_any_more_is_not_brought_to_rest():
    """Others fell ill since it was drained: it goes back in service, and does not wait for them out of it."""
    record, world = ready_to_end()
    record = replace(record, state=State.QUIESCING, variant=MOVE.name, volumes={"vol": ""})
    manner = replace(world.manner, hooks=HOOKS)
    world = replace(world, manner=manner, targets={}, volumes={"vol": Volume("vol", "web/1", "old", "")})
    assert isinstance(decide(record, world, NOW, LIMITS), Do)
    answer = decide(record, replace(world, facts=facts(1)), NOW, LIMITS)
    assert isinstance(answer, Advance)
    assert (answer.state, answer.outcome) == (State.UNDOING, State.ABORTED_SAFE)
    assert answer.why.startswith("the service on old is not brought to rest: web would have 1 in service")


def _stopped(name):
    return instance(name, InstanceState.STOPPED)
