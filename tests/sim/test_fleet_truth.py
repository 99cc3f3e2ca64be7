"""What must always be true is held against every call: here driftd makes calls that it never would."""

from __future__ import annotations

from dataclasses import replace

import pytest

from driftd.rehearsal.run import Run, world
from driftd.rehearsal.scenario import Scenario, draw


def of_one(seed: int = 3, **rules) -> Scenario:
    """A seed's scenario whose groups have these rules, with what their slots own, and no fault of the cloud's."""
    drawn = draw(seed)
    plans = tuple(
        replace(one, size=4, owning=True, rules=replace(one.rules, min_healthy=0, **rules)) for one in drawn.groups
    )
    return replace(drawn, groups=plans, quota_spare=None)


def members(run: Run) -> list[str]:
    run.cloud.witness = run.event
    return run.cloud.alive(run.scenario.groups[0].name)


@pytest.mark.parametrize(("percent", "said"), [(None, "3 in service, and its share is 100 % of 4"), (0, "")])
def test_where_the_newcomer_comes_first_nobody_goes_before_it_serves(percent, said):
    with world(of_one(min_percent=percent)) as run:
        first, *_ = members(run)
        run.cloud.traffic.drain(run.scenario.groups[0].name, first)
        assert [said in one for one in run.truth.violations] == ([True] if said else [])


CALLS = {
    "traffic.register": lambda run, group, key: run.cloud.traffic.register(group, run.cloud.servers[key].instance),
    "traffic.drain": lambda run, group, key: run.cloud.traffic.drain(group, key),
    "compute.stop": lambda run, _group, key: run.cloud.compute.stop(key),
    "compute.tag": lambda run, _group, key: run.cloud.compute.tag(key, {"a": "b"}),
    "volumes.snapshot": lambda run, _group, key: run.cloud.volumes.snapshot(
        next(one.id for one in run.cloud.volume_table.values() if one.attached_to == key), "t"
    ),
}
FORWARD = {"traffic.drain", "compute.stop", "volumes.snapshot"}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("hard", [False, True])
def test_a_pause_stops_what_goes_forward_and_a_hard_one_every_call(call, hard):
    with world(of_one(min_percent=0)) as run:
        group = run.scenario.groups[0].name
        first, *_ = members(run)
        if call == "traffic.register":
            with run.cloud.by_hand():
                run.cloud.traffic.drain(group, first)
        if call == "volumes.snapshot":
            with run.cloud.by_hand():
                run.cloud.compute.stop(first)
            run.clock.advance(60)
            run.cloud.settle()
        run.truth.paused.add(group)
        if hard:
            run.truth.hard.add(group)
        CALLS[call](run, group, first)
        said = " ".join(run.truth.violations)
        assert ("everything is paused, hard" in said) == hard
        assert ("forward steps are paused" in said) == (call in FORWARD)


def test_two_zones_of_a_group_are_never_under_change_at_once():
    drawn = of_one(min_percent=0)
    with world(replace(drawn, groups=tuple(replace(one, zones=("a", "b")) for one in drawn.groups))) as run:
        group = run.scenario.groups[0].name
        first, second, third, *_ = members(run)
        run.cloud.traffic.drain(group, first)
        run.cloud.traffic.drain(group, third)
        assert not run.truth.violations, "they are of one zone"
        for one in (first, third):
            run.cloud.traffic.register(group, run.cloud.servers[one].instance)
        run.cloud.traffic.drain(group, second)
        assert not run.truth.violations, "the others are back"
        run.cloud.traffic.drain(group, first)
        (said,) = run.truth.violations
        assert f"{group}/0 is in zone a, and under change are {{'{group}/1': 'b'}}" in said


def test_in_the_end_nobody_serves_whose_own_service_rests():
    with world(of_one(min_percent=0)) as run:
        first, *_ = members(run)
        assert list(run.truth.at_rest()) == []
        run.cloud.stateful.clear()  # what the load balancer asks does not show it
        run.cloud.servers[first].quiesced = True
        assert [one.split()[0] for one in run.truth.at_rest()] == [first]
