"""What a plan says is what the controller does: the same order, the same waves, the same calls, in the same order."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planned import Fleet, Shape

from driftd.core.replacement import State

SURGE = Shape(4, (0, 1, 3), percent=50, zones=("a", "b", "a", "b"))
MOVE = Shape(5, (1, 2, 4), percent=40, owning=True, zones=("a", "a", "a", "b", "b"))
DELETE_FIRST = Shape(5, (0, 1, 2), percent=60, owning=True, delete_first=True, min_healthy=2)


def _plan(document: dict) -> list[tuple[str, int]]:
    return [(one["slot"], one["wave"]) for one in document["replacements"]]


def _settled(fleet: Fleet, rids) -> None:
    assert {fleet.record(rid).state for rid in rids} == {State.SUCCEEDED}


@pytest.mark.parametrize("shape", [SURGE, MOVE, DELETE_FIRST], ids=["surge", "move", "delete-first"])
def test_what_is_applied_is_done_step_for_step(tmp_path, shape):
    fleet = Fleet(tmp_path, shape)
    document = fleet.document()
    rids = fleet.apply(document)
    fleet.carry_out(rids)
    _settled(fleet, rids)
    assert fleet.done() == _plan(document)
    for rid, one in zip(rids, document["replacements"], strict=True):
        assert fleet.record(rid).variant == one["variant"]
        planned = [(step["call"], step["on"], step["thing"]) for step in one["steps"]]
        assert fleet.calls(rid) == planned


@st.composite
def shapes(draw) -> Shape:
    servers = draw(st.integers(2, 6))
    drifted = draw(st.sets(st.integers(0, servers - 1), min_size=1))
    owning = servers > 2 and draw(st.booleans())
    delete_first = owning and draw(st.booleans())
    zones = draw(st.sampled_from([(), ("a", "b"), ("a", "b", "c")]))
    percent = draw(st.sampled_from([10, 34, 50, 100]))
    tampered = draw(st.sets(st.sampled_from(sorted(drifted))))
    least = draw(st.integers(0, max(1, servers - 1)))
    of_each = tuple(zones[number % len(zones)] for number in range(servers)) if zones else ()
    return Shape(servers, sorted(drifted), percent, owning, delete_first, of_each, least, sorted(tampered))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shapes())
def test_order_and_waves_of_any_group_are_those_of_the_controller(shape):
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as home:
        fleet = Fleet(Path(home), shape)
        document = fleet.document()
        assert len(document["replacements"]) == len(shape.drifted)
        rids = fleet.apply(document)
        fleet.carry_out(rids)
        _settled(fleet, rids)
        assert fleet.done() == _plan(document)
