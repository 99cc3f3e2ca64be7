"""What follows from a hook's outcomes, whatever they are and whenever they come, in every order of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from replacing import LIMITS, NOW, facts, instance, rules

from driftd.core.decide import decide
from driftd.core.facts import InstanceState
from driftd.core.guards.case import GroupFacts
from driftd.core.hooks import OnFailure, Terms, Told
from driftd.core.moves import announced, answered, moved, unanswered, unfinished
from driftd.core.ports import Target, TargetState
from driftd.core.replacement import Record, State
from driftd.core.steps import hooking
from driftd.core.steps.common import aborted
from driftd.core.world import Advance, Answer, Call, Do, Manner, Verb, Wait, World

CALL = Call(Verb.PRE_DRAIN, "old")
outcomes = st.lists(st.tuples(st.sampled_from(["done", "failed", "pending", "died"]), st.integers(0, 90)), max_size=30)
terms = st.builds(
    Terms, st.just("pre_drain"), st.sampled_from(OnFailure), st.integers(0, 600).map(lambda s: timedelta(seconds=s))
)


def begun(declared: Terms) -> tuple[Record, World]:
    record = Record("R", "web", "web/1", "golden", "old", "drift", State.DRAINING, NOW, NOW)
    manner = Manner(hooks=frozenset({"pre_drain"}), terms=(declared,))
    return record, World(rules(0), GroupFacts(), None, manner=manner)


@settings(max_examples=400, deadline=None)
@given(terms, outcomes)
def test_one_is_asked_until_it_is_done_or_its_time_is_over_and_never_after(declared, story):
    record, world = begun(declared)
    now, first = NOW + timedelta(hours=1), None
    for what, seconds in story:
        answer = hooking.hooked(record, world, CALL, "telling it", aborted)
        if not isinstance(answer, Do):
            break
        first = first or now
        record = announced(record, answer.call, "{}", answer.why, now)
        now += timedelta(seconds=seconds)
        over = now >= first + declared.within
        if what == "done":
            record = answered(record, CALL, "", now)
            assert (record.hooks, record.entered_at) == ({"pre_drain": Told.DONE}, now)
        elif what == "failed":
            record = unanswered(record, CALL, "it says no", LIMITS, now, refused=False, terms=declared)
        elif what == "pending":
            record = unfinished(record, CALL, "not yet", LIMITS, now, terms=declared, after_s=seconds)
        if what in {"failed", "pending"}:
            assert record.note
            told = {OnFailure.ABORT: Told.FAILED, OnFailure.CONTINUE: Told.PASSED, OnFailure.HOLD: Told.ASKED}
            assert record.hooks["pre_drain"] == (told[declared.on_failure] if over else Told.ASKED)
            asked = record.hooks["pre_drain"] == Told.ASKED
            assert (record.next_at is not None and now < record.next_at <= now + timedelta(minutes=5)) is asked
        now = max(now, record.next_at or now)
    after = hooking.hooked(record, world, CALL, "telling it", aborted)
    match record.hooks.get("pre_drain"):
        case Told.DONE | Told.PASSED:
            assert after is None
        case Told.FAILED:
            assert isinstance(after, Advance)
            assert after.state is State.UNDOING
            assert after.why
        case _:
            assert isinstance(after, Do)


def test_what_is_not_known_to_be_over_is_asked_again_in_another_state():
    record, _ = begun(Terms())
    kept = {"pre_drain": "asked", "post_attach": "failed", "pre_terminate": "done", "serve": "passed"}
    after = moved(replace(record, hooks=kept), Advance(State.UNDOING, "why", outcome=State.CANCELLED), NOW)
    assert after.hooks == {"pre_terminate": "done", "serve": "passed"}


def test_a_hook_that_the_group_has_no_more_stops_nobody():
    record, world = begun(Terms())
    world = replace(world, manner=Manner())
    assert hooking.hooked(replace(record, hooks={"pre_drain": "asked"}), world, CALL, "telling it", aborted) is None


def test_in_an_undo_nothing_is_declared():
    record, _ = begun(Terms())
    undoing = replace(record, state=State.UNDOING, entered_at=NOW - timedelta(days=1))
    declared = Terms("serve", OnFailure.CONTINUE)
    after = unanswered(undoing, Call(Verb.SERVE, "old"), "busy", LIMITS, NOW, refused=False, terms=declared)
    assert after.hooks == {}
    assert after.next_at > NOW


def leaving(state: State, healthy: int = 3, old: Target | None = None, **others: object) -> Answer:
    """What is decided for a surge's old one, with both hooks about it."""
    record = Record(
        "R", "web", "web/1", "golden", "old", "drift", state, NOW, NOW, "new", variant="surge", verified=True
    )
    targets = {"new": Target("new", TargetState.HEALTHY)} | ({"old": old} if old else {})
    world = World(
        rules(2),
        facts(healthy, old=old is not None and old.state is TargetState.HEALTHY),
        instance("old", InstanceState.RUNNING),
        (instance("new", InstanceState.RUNNING),),
        targets,
        manner=Manner(hooks=frozenset({"pre_drain", "pre_terminate"})),
    )
    return decide(replace(record, **others), world, NOW, LIMITS)


def verb_of(answer: Answer) -> Verb:
    assert isinstance(answer, Do), answer
    return answer.call.verb


def test_the_end_is_told_of_when_all_that_comes_before_it_is_done():
    out = {"drain_sent": True, "drain_seen": True}
    waits = leaving(State.RETIRING, old=Target("old", TargetState.DRAINING, 1), **out)
    assert isinstance(waits, Wait)
    assert verb_of(leaving(State.RETIRING, old=Target("old", TargetState.DRAINING), **out)) is Verb.DEREGISTER
    assert verb_of(leaving(State.RETIRING, **out)) is Verb.PRE_TERMINATE
    assert isinstance(leaving(State.RETIRING, healthy=1, **out), Advance), "the group would be short"
    assert verb_of(leaving(State.RETIRING, hooks={"pre_terminate": "done"}, **out)) is Verb.TERMINATE
    assert verb_of(leaving(State.RETIRING, committed=True, **out)) is Verb.TERMINATE, "it may have ended already"


def test_the_drain_is_told_of_when_the_group_can_do_without():
    serves = Target("old", TargetState.HEALTHY)
    assert verb_of(leaving(State.DRAINING, old=serves)) is Verb.PRE_DRAIN
    assert isinstance(leaving(State.DRAINING, healthy=2, old=serves), Wait)
    assert verb_of(leaving(State.DRAINING, old=serves, hooks={"pre_drain": "passed"})) is Verb.DRAIN
    assert verb_of(leaving(State.DRAINING, old=serves, drain_sent=True)) is Verb.DRAIN
    assert verb_of(leaving(State.DRAINING)) is Verb.PRE_DRAIN, "one that is no target goes, too"
