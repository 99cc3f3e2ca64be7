"""driftd against mtree and AIDE on the same trees: what they see, it sees (agreeing.py).

Hypothesis makes up what becomes of a tree of sixty entries. The base is planted anew for each example (so that inodes
and times are others each time, which nobody may mind), recorded once by all three.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from agreeing import Peers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planting import LOUD, LOUD_ROOT, MACHINE, ODD, SILENT, Step, change, clear, paths, plant
from seeing import recorded, seen


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    made = Peers(Path(tmp_path_factory.mktemp("peers")))
    try:
        plant(made.root)
        made.record()
        yield made
    finally:
        clear(made.root)


def again(peers: Peers) -> None:
    clear(peers.root)
    plant(peers.root)


LOUDEST = {**LOUD, **LOUD_ROOT} if MACHINE else LOUD
verbs = st.sampled_from(sorted([*LOUDEST, *LOUD, *SILENT]))
names = st.one_of(
    st.sampled_from(ODD),
    st.binary(min_size=1, max_size=255).filter(lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b"..")),
)
steps = st.tuples(verbs, st.integers(0, 4000), names)


def mutated(peers: Peers, plan: list[Step]) -> None:
    again(peers)
    for step in plan:
        change(peers.root, step)
    peers.agree()


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, min_size=1, max_size=8))
def test_whatever_they_see_driftd_sees(peers: Peers, plan: list[Step]) -> None:
    mutated(peers, plan)


@pytest.mark.soak
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, min_size=1, max_size=30))
def test_whatever_they_see_driftd_sees_for_long(peers: Peers, plan: list[Step]) -> None:
    mutated(peers, plan)


def test_the_same_tree_planted_again_is_no_drift_for_anybody(peers: Peers) -> None:
    again(peers)
    assert len(paths(peers.root)) > 55
    assert peers.agree() == peers.mtree.compare() == peers.aide.compare() == {}


@pytest.mark.parametrize("number", [3, 40])
@pytest.mark.parametrize("verb", [*LOUD, *(pytest.param(verb, marks=pytest.mark.machine) for verb in LOUD_ROOT)])
def test_every_single_change_is_seen(peers: Peers, verb: str, number: int) -> None:
    again(peers)
    # From that number on the first that is a change: an owner may be the same, a file may not be made mutable twice.
    for other in range(number, number + 80):
        if change(peers.root, (verb, other, b"new \n\xfe")) and peers.agree():
            return
        assert recorded(peers.root).root == peers.baked.root
    raise AssertionError(f"nothing that {verb} does is seen")


@pytest.mark.parametrize("number", [0, 21, 42])
@pytest.mark.parametrize("verb", SILENT)
def test_what_is_no_drift_is_none_for_driftd(peers: Peers, verb: str, number: int) -> None:
    again(peers)
    assert any(change(peers.root, (verb, other, b"")) for other in range(number, number + 60))
    assert peers.agree() == {}
    assert seen(peers.root).root == peers.baked.root
