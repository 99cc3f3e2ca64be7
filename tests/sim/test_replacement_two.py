"""Two of one group under way at once: one on its way out at a time, and neither waits for the other for ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from simulation import LIMITS, Simulation

from driftd.core.guards.case import AtOnce, Pace
from driftd.core.holds import Hold
from driftd.core.replacement import State


@pytest.fixture
def sim(tmp_path):
    """Four servers, of which two may be under way; one went well already, so that slow start lets two go."""
    sim = Simulation(tmp_path, servers=4, min_healthy=1, limits=replace(LIMITS, soak=timedelta(seconds=20)))
    rules = replace(sim.group.rules, at_once=AtOnce(50, 5, 10), pace=Pace(timedelta(seconds=1), None, None, ()))
    sim.group = replace(sim.group, rules=rules)
    sim.restart()
    first = drifts(sim, 0)
    sim.both = [drifts(sim, 1), drifts(sim, 2)]
    assert sim.run(first).state is State.SUCCEEDED
    return sim


def drifts(sim: Simulation, number: int) -> str:
    sim.drifted.add(sim.servers[number])
    instance = sim.provider.compute.describe(sim.servers[number])
    return sim.replacer.request(instance, "drift was found", manual=False)


def hold(sim: Simulation, *numbers: int) -> list[int]:
    now = sim.clock()
    with sim.store.write() as tx:
        return [
            tx.put_hold(Hold(0, sim.servers[number], "web", "ann", "lunch", now, now + timedelta(hours=1)))
            for number in numbers
        ]


def release(sim: Simulation) -> None:
    with sim.store.write() as tx:
        for one in tx.holds(sim.clock()):
            tx.put_hold(replace(one, released_at=sim.clock(), released_by="ann"))


def out(sim: Simulation) -> int:
    """How many of those two are out of service while their replacement is not over."""
    return sum(1 for number in (1, 2) if sim.servers[number] not in sim.provider.in_service("web"))


def test_two_that_both_had_to_wait_do_not_wait_for_each_other(sim):
    rids = sim.both
    for _ in range(60):
        if all(sim.record(rid).state is State.SOAKING for rid in rids):
            break
        sim.tick()
    hold(sim, 1, 2)
    for _ in range(30):
        sim.tick()
    assert [sim.record(rid).state for rid in rids] == [State.DRAINING] * 2
    assert out(sim) == 0
    release(sim)
    assert [sim.run(rid).state for rid in rids] == [State.SUCCEEDED] * 2


def test_only_one_is_on_its_way_out_until_its_replacement_is_over(sim):
    rids = sim.both
    first_over = False
    for _ in range(200):
        sim.tick()
        over = [sim.record(rid).state is State.SUCCEEDED for rid in rids]
        first_over = first_over or any(over)
        assert first_over or out(sim) < 2
        if all(over):
            break
    assert all(over), [sim.record(rid).note for rid in rids]
