"""The canary's judgement: a number within its bound, and no worse than its peers. No number, no proof."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.core.canary import Baseline, Question, judgement
from driftd.core.facts import Unseen
from driftd.core.promql import parse

QUERY = parse("up")
BLIND = Unseen("Prometheus has no data for the query")


def below(bound, **baseline):
    return Question(QUERY, below=bound, baseline=Baseline(QUERY, **baseline) if baseline else None)


def above(bound, **baseline):
    return Question(QUERY, above=bound, baseline=Baseline(QUERY, **baseline) if baseline else None)


@pytest.mark.parametrize(
    ("question", "value", "said"),
    [
        (below(0.01), 0.009, ""),
        (below(0.01), 0.01, "the judge answers 0.01, and good is below 0.01"),
        (below(0.01), 0.5, "the judge answers 0.5, and good is below 0.01"),
        (above(99), 99.5, ""),
        (above(99), 99, "the judge answers 99, and good is above 99"),
        (above(0), -1, "the judge answers -1, and good is above 0"),
    ],
)
def test_a_value_is_within_its_bound_or_it_is_not(question, value, said):
    for last in (True, False):
        assert judgement(question, value, None, last=last) == said


def test_no_number_speaks_against_it_at_the_end_and_waits_before():
    assert judgement(below(1), BLIND, None, last=False) is None
    assert judgement(below(1), BLIND, None, last=True) == (
        "there is no number for the canary, which counts as bad: Prometheus has no data for the query"
    )


def test_no_number_of_the_peers_is_no_proof_either():
    question = below(1, tolerance=0.5)
    assert judgement(question, 0.5, BLIND, last=False) is None
    assert "no number for its peers" in judgement(question, 0.5, BLIND, last=True)


def test_a_bad_value_is_bad_at_once_whatever_is_known_of_the_peers():
    assert judgement(below(0.01, tolerance=0.5), 0.5, BLIND, last=False)


@pytest.mark.parametrize(
    ("question", "value", "peers", "good"),
    [
        (below(1, tolerance=0.5), 0.15, 0.1, True),
        (below(1, tolerance=0.5), 0.16, 0.1, False),
        (below(1, tolerance=0.5), 0.9, 0.9, True),
        (below(1, tolerance=0.5), 1.1, 5.0, False),  # a bad baseline excuses nothing
        (below(1, tolerance=0.5), 0.001, 0.0, False),  # of nothing, half as much again is nothing
        (below(1, tolerance=0.5, slack=0.01), 0.001, 0.0, True),
        (above(1, tolerance=0.5), 50, 100, True),
        (above(1, tolerance=0.5), 49, 100, False),
        (above(1, tolerance=0.5, slack=2), 49, 100, True),
        (above(-10, tolerance=0.5), -1.4, -1, True),
        (above(-10, tolerance=0.5), -1.6, -1, False),
    ],
)
def test_beside_its_peers_it_may_be_worse_by_so_much(question, value, peers, good):
    assert (judgement(question, value, peers, last=True) == "") is good


FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(FINITE, FINITE, FINITE)
def test_what_is_good_beside_peers_is_good_without_them(value, peers, bound):
    """A baseline only ever adds a reason to say no."""
    for make in (below, above):
        if judgement(make(bound, tolerance=0.5), value, peers, last=True) == "":
            assert judgement(make(bound), value, None, last=True) == ""


@given(FINITE, st.floats(0, 10))
def test_as_good_as_its_peers_is_never_worse_than_they_are(value, tolerance):
    assert judgement(below(value + abs(value) + 1, tolerance=tolerance), value, value, last=True) == ""
