"""docs/stuck.md, followed: what a person does at the provider, then by driftd's own commands, until nothing is left."""

from __future__ import annotations

import pytest
from simulation import Simulation

from driftd.core.errors import Refused
from driftd.core.leftovers import MARKS
from driftd.core.ports import TargetState
from driftd.core.replacement import State
from driftd.flows.standing import stuck


def in_slot(sim: Simulation, slot: str = "web/1") -> list[str]:
    return [one for one in sim.provider.alive("web") if sim.provider.servers[one].request.slot == slot]


def waiting(sim: Simulation) -> list[str]:
    """What ``driftd status`` shows as stuck."""
    with sim.store.read() as tx:
        return [one.rid for one in stuck(tx, "web")]


def replaced(sim: Simulation, instance: str) -> None:
    """``driftd replace INSTANCE``, and the hours after."""
    sim.drifted.clear()
    sim.provider.clear_faults()
    rid = sim.replacer.request(sim.provider.compute.describe(instance), "docs/stuck.md")
    last = sim.run(rid)
    assert last.state is State.SUCCEEDED, last.note
    for _ in range(3):
        sim.clock.advance(1800)
        sim.janitor.tick()


def all_is_well(sim: Simulation) -> None:
    (one,) = in_slot(sim)
    assert one in sim.provider.in_service("web")
    assert not [name for name in sim.provider.alive("web") if MARKS & sim.provider.servers[name].instance.tags.keys()]
    assert sim.owners("web/1") <= {one}
    assert waiting(sim) == []
    assert not sim.janitor.left()["web"], "C10 would stay open"


def test_the_newcomer_serves_and_the_old_one_is_ended_by_hand(tmp_path):
    sim = Simulation(tmp_path)
    rid = sim.request()
    sim.provider.fail_next("compute.terminate", Refused("termination protection is on"))
    last = sim.run(rid)
    assert (last.state, waiting(sim)) == (State.STUCK, [rid])
    with sim.provider.by_hand():
        sim.provider.compute.terminate(sim.old)
    sim.clock.advance(10)
    sim.janitor.tick()
    sim.clock.advance(3600)
    sim.janitor.tick()
    assert [one.name for one in sim.janitor.left()["web"]] == [last.new_id], "nobody else takes its marks off"
    replaced(sim, last.new_id)
    all_is_well(sim)


@pytest.mark.parametrize("stays", ["old", "new"])
def test_one_of_two_that_own_something_stays(tmp_path, stays):
    sim = Simulation(tmp_path, owning=True)
    other = sim.servers[0]
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, State.ATTACHING)
    provider = sim.provider
    with provider.by_hand():
        provider.volumes.attach("vol-1", other)
    last = sim.run(rid, 2000)
    assert (last.state, waiting(sim)) == (State.STUCK, [rid])
    kept, gone = (sim.old, last.new_id) if stays == "old" else (last.new_id, sim.old)
    with provider.by_hand():
        provider.compute.stop(other)
        sim.clock.advance(60)
        provider.volumes.detach("vol-1")
        sim.clock.advance(60)
        provider.compute.start(other)
        provider.volumes.attach("vol-1", kept)
        provider.addresses.associate("198.51.100.1", kept, gone)
        if stays == "old":
            provider.compute.start(kept)
        sim.clock.advance(60)
        provider.traffic.register("web", provider.compute.describe(kept))
        provider.compute.terminate(gone)
    sim.clock.advance(60)
    assert {one.instance_id for one in provider.traffic.targets("web") if one.state is TargetState.HEALTHY} >= {kept}
    replaced(sim, kept)
    all_is_well(sim)
