"""Who is decided first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from guarding import NOW, RECORD
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.guards.order import Urgent, queue
from driftd.core.replacement import Record, State

MINUTE = timedelta(minutes=1)


def waiting(name: str, minutes: float, state: State = State.ADMITTING, **more) -> Record:
    since = NOW - minutes * MINUTE
    return replace(
        RECORD, rid=name, old_id=f"i-{name}", state=state, **{"created_at": since, "entered_at": since} | more
    )


def names(records, urgent: Urgent | None = None) -> str:
    return "".join(one.rid for one in queue(records, urgent or Urgent(), NOW))


def test_tainted_past_the_cap_then_critical_then_oldest():
    records = [waiting("a", 5), waiting("b", 9), waiting("c", 7), waiting("d", 1), waiting("e", 61), waiting("f", 8)]
    hour = timedelta(hours=1)
    assert names(records) == "ebfcad"
    assert names(records, Urgent(critical={"i-c", "i-a"})) == "caebfd"
    assert names(records, Urgent({"i-e": hour, "i-d": hour}, {"i-c"})) == "ecbfad", "d is not past its cap"


def test_those_under_way_come_first_and_those_that_are_looked_at_last():
    records = [
        waiting("a", 90, State.CONFIRMING, next_at=NOW),
        waiting("b", 9, State.CONFIRMING, next_at=NOW - MINUTE),
        waiting("c", 50),
        waiting("d", 1, State.SOAKING),
        waiting("e", 2, State.UNDOING),
        waiting("f", 99, State.PLANNING),
    ]
    assert names(records, Urgent(critical={"i-a", "i-c"})) == "edfcba"


def test_who_came_back_has_only_begun_to_wait():
    failed = waiting("a", 500, entered_at=NOW - MINUTE)
    assert names([failed, waiting("b", 30), waiting("c", 20)]) == "bca"


@given(
    st.lists(
        st.tuples(st.integers(0, 99), st.sampled_from([State.ADMITTING, State.CONFIRMING, State.BOOTING])), max_size=9
    ),
    st.randoms(),
)
def test_nobody_is_lost_and_the_order_is_one(drawn, chance):
    records = [waiting(str(number), minutes, state) for number, (minutes, state) in enumerate(drawn)]
    shuffled = list(records)
    chance.shuffle(shuffled)
    assert queue(shuffled, Urgent(), NOW) == queue(records, Urgent(), NOW)
    assert {one.rid for one in queue(records, Urgent(), NOW)} == {one.rid for one in records}
