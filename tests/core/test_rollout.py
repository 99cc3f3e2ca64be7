"""The decision of a rollout, one world at a time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.replacement import TERMINAL, Record, State
from driftd.core.rollout import (
    OVER,
    Begin,
    CallOff,
    Gate,
    Rollout,
    Stage,
    Stay,
    Strategy,
    Turn,
    View,
    decide,
    first_share,
    gated,
    turned,
)

AT = datetime(2026, 1, 2, tzinfo=UTC)


def rollout(how=Strategy.CANARY, **more):
    given = {"share": 20, "keep": timedelta(hours=2), "asked_by": "kim", "reason": "why"}
    made = Rollout("R", "web", "new", "old", how, **given, created_at=AT, entered_at=AT)
    return replace(made, **more)


def record(slot, state, **more):
    made = Record(f"r-{slot}", "web", f"web/{slot}", "new", f"i-{slot}", "a rollout", state, AT, AT, rollout="R")
    return replace(made, **more)


def view(*records, new=(), busy=(), size=5):
    members = {f"i-{slot}": "new" if slot in new else "old" for slot in range(size)}
    return View(members, records, frozenset(busy))


@pytest.mark.parametrize(
    ("how", "share", "size", "first"),
    [
        (Strategy.CANARY, 5, 10, 1),
        (Strategy.CANARY, 20, 10, 2),
        (Strategy.CANARY, 100, 10, 9),
        (Strategy.CANARY, 5, 1, 1),
        (Strategy.ROLLING, 50, 10, 1),
        (Strategy.BLUE_GREEN, 30, 10, 3),
    ],
)
def test_the_share_that_goes_first(how, share, size, first):
    assert first_share(rollout(how, share=share), size) == first


def test_the_canaries_go_first_and_the_others_once_those_stayed_well():
    begin = decide(rollout(share=40), view())
    assert isinstance(begin, Begin)
    assert (begin.ids, begin.image, begin.canaries) == (("i-0", "i-1"), "new", 2)
    assert isinstance(decide(rollout(), view(record(0, State.SOAKING))), Stay)
    well = decide(rollout(), view(record(0, State.SUCCEEDED), new=(0,)))
    assert isinstance(well, Turn)
    assert well.stage is Stage.REST
    rest = decide(rollout(stage=Stage.REST), view(record(0, State.SUCCEEDED), new=(0,)))
    assert rest.ids == ("i-1", "i-2", "i-3", "i-4")
    assert rest.canaries == 0
    done = decide(rollout(stage=Stage.REST), view(record(0, State.SUCCEEDED), new=range(5)))
    assert done.stage is Stage.DONE


def test_who_is_replaced_for_another_reason_is_waited_for():
    assert "being replaced for another reason" in decide(rollout(), view(busy=[f"i-{n}" for n in range(5)])).why
    assert decide(rollout(), view(busy=["i-0"])).ids == ("i-1",)
    assert "being replaced" in decide(rollout(Strategy.BLUE_GREEN), view(busy=["i-0"])).why


@pytest.mark.parametrize(
    ("state", "more", "back"),
    [
        (State.UNDOING, {"fault": "it was drifted"}, True),
        (State.FAILED_CLEAN, {"fault": "it was drifted"}, True),
        (State.ABORTED_SAFE, {"fault": "it did not drain"}, True),
        (State.STUCK, {}, True),
        (State.CANCELLED, {"cancel_requested": True}, True),
        (State.CANCELLED, {"note": "i-0 is gone by itself"}, False),
        (State.SUCCEEDED, {}, False),
        (State.DRAINING, {}, False),
    ],
)
@pytest.mark.parametrize("how", [*Strategy])
def test_one_that_fails_turns_all_of_it_back(how, state, more, back):
    answer = decide(rollout(how), view(record(0, state, **more), record(1, State.GATHERING)))
    assert (isinstance(answer, Turn) and answer.stage is Stage.BACK) is back


def test_going_back_calls_off_what_is_under_way_and_replaces_what_was_finished():
    going = rollout(stage=Stage.BACK, fault="why")
    off = decide(
        going, view(record(0, State.SUCCEEDED), record(1, State.SOAKING), record(2, State.RETIRING, committed=True))
    )
    assert off == CallOff(("r-1",), "why")
    undoing = view(record(0, State.SUCCEEDED), record(1, State.UNDOING, cancel_requested=True), new=(0,))
    assert isinstance(decide(going, undoing), Stay)
    over = record(1, State.CANCELLED, cancel_requested=True)
    begin = decide(going, view(record(0, State.SUCCEEDED), over, new=(0,)))
    assert (begin.ids, begin.image) == (("i-0",), "old")
    returning = record(0, State.SOAKING, rid="b", image="old")
    assert isinstance(decide(going, view(record(0, State.SUCCEEDED), over, returning, new=(0,))), Stay)
    returned = replace(returning, state=State.SUCCEEDED)
    assert decide(going, view(record(0, State.SUCCEEDED), over, returned)).stage is Stage.UNDONE
    vain = replace(returning, state=State.FAILED_CLEAN)
    stuck = decide(going, view(record(0, State.SUCCEEDED), over, vain, new=(0,)))
    assert (stuck.stage, bool(stuck.hint)) == (Stage.STUCK, True)


def test_the_gates_open_one_after_the_other():
    green = rollout(Strategy.BLUE_GREEN)
    some = [record(0, State.GATHERING, canary=True, together=True), *(record(n, State.GATHERING) for n in range(1, 5))]
    assert isinstance(decide(green, view(*some[:-1], record(4, State.VERIFYING))), Stay)
    first = decide(green, view(*some))
    assert first.gate is Gate.FIRST
    green = turned(green, first, AT)
    assert (gated(green, some[0]), bool(gated(green, some[1]))) == ("", True)
    some[0] = replace(some[0], state=State.SWITCHING)
    green = turned(green, decide(green, view(*some)), AT)
    assert (green.gate, gated(green, some[1])) == (Gate.ALL, "")
    assert gated(green, some[0]), "nobody is let go before all serve"
    some = [replace(one, state=State.SWITCHING) for one in some]
    green = turned(green, decide(green, view(*some)), AT)
    assert (green.gate, gated(green, some[0])) == (Gate.SWITCH, "")
    kept = view(*(replace(one, state=State.KEEPING) for one in some))
    assert decide(green, kept).stage is Stage.KEPT
    assert gated(None, some[0]), "of a rollout that is not there nothing is let go"


RECORDS = st.builds(
    lambda slot, state, image, cancel, launched, canary: record(
        slot, state, image=image, cancel_requested=cancel, launched=launched, canary=canary, rid=f"{slot}{state}{image}"
    ),
    st.integers(0, 4),
    st.sampled_from([*State]),
    st.sampled_from(["new", "old"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@given(
    st.sampled_from([*Strategy]),
    st.sampled_from([one for one in Stage if one not in OVER]),
    st.sampled_from([*Gate]),
    st.lists(RECORDS, max_size=6),
    st.sets(st.integers(0, 4)),
    st.sets(st.integers(0, 4)),
)
def test_whatever_it_sees_it_begins_nobody_twice_and_says_why(how, stage, gate, records, new, busy):
    seen = view(*records, new=new, busy=[f"i-{slot}" for slot in busy])
    answer = decide(rollout(how, stage=stage, gate=gate, fault="x" if stage is Stage.BACK else ""), seen)
    assert answer.why
    if isinstance(answer, Begin):
        going = {one.old_id for one in records if one.state not in TERMINAL}
        assert not going & set(answer.ids)
        assert not seen.busy & set(answer.ids)
        assert all(seen.members[one] != answer.image for one in answer.ids)
        assert answer.ids
    if isinstance(answer, CallOff):
        assert all(not one.committed for one in records if one.rid in answer.rids)
    if isinstance(answer, Turn):
        assert (answer.stage, answer.gate, answer.fault) != (stage, gate, "")
