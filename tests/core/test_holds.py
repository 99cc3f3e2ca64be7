"""Holds: for how long, for what reason, and who may make one longer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from driftd.core.errors import BadInput
from driftd.core.holds import Hold, placed, released

NOW = datetime(2030, 1, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIRST = Hold(1, "i-1", "web", "ann", "a crash", NOW, NOW + 2 * HOUR)
RENEWED = replace(FIRST, renewed_by="bob")


def place(earlier, who="ann", reason="a crash", span=2 * HOUR, now=NOW) -> Hold:
    return placed(earlier, "i-1", "web", who, reason, span, now)


def test_a_hold_lasts_as_long_as_it_was_asked_for():
    made = place([])
    assert (made.id, made.owner, made.until, made.renewed_by) == (0, "ann", NOW + 2 * HOUR, "")
    assert made.holds(NOW)
    assert not made.holds(made.until)
    assert not released(made, "bob", NOW + HOUR).holds(NOW + HOUR)
    assert place([], span=72 * HOUR).until == NOW + 72 * HOUR


@pytest.mark.parametrize(
    ("earlier", "changed", "said"),
    [
        ([], {"reason": " "}, "a hold without a reason"),
        ([], {"reason": "x" * 501}, "501 characters"),
        ([], {"span": 73 * HOUR}, "3 d 1 h is longer than 72 h"),
        ([FIRST], {"now": NOW + HOUR}, "ann holds i-1 until 2030-01-02 14:00 UTC, and only a second person"),
        ([FIRST], {"now": NOW + 3 * HOUR}, "ann held i-1 until 2030-01-02 14:00 UTC, and only a second person"),
        ([released(FIRST, "ann", NOW + HOUR)], {"now": NOW + 3 * HOUR}, "only a second person"),
        ([RENEWED], {"who": "bob", "now": NOW + HOUR}, "was renewed by bob already"),
        ([RENEWED], {"who": "cat", "now": NOW + HOUR}, "was renewed by bob already"),
        ([RENEWED], {"who": "cat", "now": NOW + 3 * HOUR}, "was renewed by bob already"),
        ([FIRST], {"who": "bob", "span": 80 * HOUR}, "longer than 72 h"),
    ],
)
def test_what_is_refused_and_why(earlier, changed, said):
    with pytest.raises(BadInput, match=said) as caught:
        place(earlier, **changed)
    assert caught.value.hint


def test_a_second_person_makes_it_longer_once():
    longer = place([FIRST], who="bob", span=5 * HOUR, now=NOW + HOUR)
    assert longer == replace(FIRST, until=NOW + 6 * HOUR, renewed_by="bob")
    # Nobody makes another's shorter by wanting less.
    assert place([FIRST], who="bob", span=HOUR / 2, now=NOW + HOUR).until == FIRST.until
    # One that ran out a moment ago is the same hold, whoever begins it anew.
    again = place([FIRST], who="bob", now=NOW + 3 * HOUR)
    assert (again.id, again.owner, again.renewed_by, again.until) == (0, "ann", "bob", NOW + 5 * HOUR)


def test_its_owner_makes_it_shorter():
    shorter = place([FIRST], span=HOUR / 2, reason="nearly done", now=NOW + HOUR)
    assert shorter == replace(FIRST, until=NOW + 1.5 * HOUR, reason="nearly done")


def test_a_day_later_it_is_another_hold():
    made = place([RENEWED], now=NOW + 26 * HOUR)
    assert (made.id, made.owner, made.renewed_by) == (0, "ann", "")
