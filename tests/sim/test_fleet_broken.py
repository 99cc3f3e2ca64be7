"""Guards broken on purpose: the seed that catches each, and that the same seed is well with the guard as it is."""

from __future__ import annotations

import pytest
from broken import BROKEN

from driftd.rehearsal.run import play

# Found among the first 500 seeds; the words are in what is said then.
CAUGHT = {
    "no minimum": (9, "its minimum is 2"),
    "no share": (470, "its share is 100 % of 3"),
    "ended unverified": (132, "no verified newcomer serves in its place"),
    "pauses ignored": (75, "new work and forward steps are paused"),
    "no fence": (6, "still runs: there was no fence"),
    "fresh tokens": (132, "has a newcomer already"),
    "newcomer ended first": (14, "which driftd stopped, is not started again"),
    "no budget": (18, "may spare 2 at once"),
    "zones ignored": (128, "is in zone c, and under change are"),
    "alike ignored": (18, "all of which drifted alike"),
    "no snapshot": (6, "no snapshot was taken since the old one was stopped"),
    "newcomers left": (14, "newcomers are there already"),
    "holds ignored": (64, "it is held until"),
    "return unseen": (36, "a person had put it back"),
    "rash drain": (15, "connections were lost by driftd's hand"),
    "sessions ignored": (7, "somebody is on it since"),
}


@pytest.mark.parametrize("name", CAUGHT)
def test_a_broken_guard_is_caught(name):
    seed, said = CAUGHT[name]
    with BROKEN[name]():
        result = play(seed)
    assert any(said in violation for violation in result.violations), result.report()


@pytest.mark.parametrize("seed", sorted({seed for seed, _ in CAUGHT.values()}))
def test_the_same_seed_is_well_unbroken(seed):
    result = play(seed)
    assert not result.violations, result.report()


def test_each_that_is_broken_has_its_seed():
    assert CAUGHT.keys() == BROKEN.keys()
