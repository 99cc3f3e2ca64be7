"""Evidence before the end, as it is decided: kept once, before anything is changed, and required only where said."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from replacing import LIMITS, NOW, RULES, facts, instance

from driftd.core.decide import decide
from driftd.core.facts import InstanceState
from driftd.core.moves import announced, answered, moved, unanswered
from driftd.core.planning.rehearsal import OLD, Shape, at_most, rehearse
from driftd.core.replacement import Record, State
from driftd.core.variants import VARIANTS
from driftd.core.world import Advance, Do, Finish, Manner, Verb, Wait, World

WANTED = Manner(evidence=True)
REQUIRED = Manner(evidence=True, evidence_required=True)


def scene(manner: Manner, **more) -> tuple[Record, World]:
    values = {"rid": "R", "group": "web", "slot": "web/1", "image": "golden", "old_id": "old", "why": "drift"}
    values |= {"state": State.CAPTURING, "created_at": NOW, "entered_at": NOW, "variant": "surge", "manual": True}
    world = World(RULES, facts(3, old=True), instance("old", InstanceState.RUNNING), manner=manner)
    return Record(**values | more), world


@pytest.mark.parametrize("name", VARIANTS)
def test_it_comes_right_after_the_plan_and_before_anything_is_changed(name):
    record, world = scene(Manner(), variant=name)
    answer = decide(record, world, NOW, LIMITS)
    assert isinstance(answer, Advance)
    assert answer.state is VARIANTS[name].after(State.CAPTURING)
    assert VARIANTS[name].forward.index(State.CAPTURING) == VARIANTS[name].forward.index(State.PLANNING) + 1


def test_it_is_kept_once_and_then_the_replacement_goes_on():
    record, world = scene(REQUIRED)
    answer = decide(record, world, NOW, LIMITS)
    assert isinstance(answer, Do)
    assert (answer.call.verb, answer.call.instance_id) == (Verb.CAPTURE, "old")
    record = answered(announced(record, answer.call, "", answer.why, NOW), answer.call, "R", NOW)
    answer = decide(record, world, NOW, LIMITS)
    assert isinstance(answer, Advance)
    assert answer.state is State.LAUNCHING
    assert "kept as R" in answer.why
    assert moved(record, answer, NOW).captured == "R"


@pytest.mark.parametrize(("of_rollouts", "kept"), [(False, False), (True, True)])
def test_a_rollout_needs_none_unless_it_is_said(of_rollouts, kept):
    record, world = scene(replace(REQUIRED, evidence_of_rollouts=of_rollouts), rollout="roll")
    assert isinstance(decide(record, world, NOW, LIMITS), Do if kept else Advance)


@pytest.mark.parametrize("manner", [WANTED, REQUIRED])
@pytest.mark.parametrize("refused", [True, False])
def test_what_cannot_be_kept_ends_it_only_where_evidence_is_required(manner, refused):
    record, world = scene(manner)
    call = decide(record, world, NOW, LIMITS).call
    record = unanswered(announced(record, call, "", "", NOW), call, "no room", LIMITS, NOW, refused=refused)
    late = NOW if refused else NOW + LIMITS.capture_timeout
    if not refused:
        assert isinstance(decide(record, world, NOW, LIMITS), Do), "it is tried again, until its time is over"
    answer = decide(record, world, late, LIMITS)
    assert "no room" in answer.why
    if manner is REQUIRED:
        assert isinstance(answer, Finish)
        assert answer.state is State.ABORTED_SAFE
        assert "evidence.require" in answer.why
    else:
        assert isinstance(answer, Advance)
        assert answer.state is State.LAUNCHING
        assert "none is required" in answer.why
    assert answer.why in moved(record, answer, late).note


def test_nothing_was_changed_yet_so_a_cancellation_and_a_pause_need_no_undo():
    record, world = scene(WANTED)
    cancelled = decide(replace(record, cancel_requested=True), world, NOW, LIMITS)
    assert isinstance(cancelled, Finish)
    assert cancelled.state is State.CANCELLED
    assert isinstance(decide(record, replace(world, paused="ann"), NOW, LIMITS), Wait)
    gone = decide(record, replace(world, old=None), NOW, LIMITS)
    assert isinstance(gone, Finish)
    assert gone.state is State.CANCELLED


@pytest.mark.parametrize("name", VARIANTS)
def test_a_plan_shows_it_and_takes_it_for_no_change_of_the_old_one(name):
    manner = Manner(delete_first=name == "delete-first", allow_gap=True)
    bare, kept = (
        Shape(name, LIMITS, one) for one in (manner, replace(manner, evidence=True, evidence_of_rollouts=True))
    )
    first = rehearse(kept).calls[0]
    assert (first.verb, first.on, first.state) == (Verb.CAPTURE, OLD, State.CAPTURING)
    assert rehearse(kept).calls[1:] == rehearse(bare).calls
    assert rehearse(kept).leaves == rehearse(bare).leaves
    assert at_most(kept) - at_most(bare) == LIMITS.capture_timeout
    assert timedelta(0) < LIMITS.capture_timeout
