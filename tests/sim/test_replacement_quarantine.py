"""Quarantine on the fake, by the real controller: replaced like any other, and the old one kept, cut off."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from simulation import LIMITS, Simulation

from driftd.core.errors import BadInput, Refused, Unavailable
from driftd.core.facts import InstanceState
from driftd.core.quarantine import quarantined
from driftd.core.replacement import State
from driftd.core.world import TAG_QUARANTINE, Manner
from driftd.flows.quarantine import ask_end, kept
from driftd.testing import Crash

CHANGES = ["launch", "register", "drain", "deregister", "isolate", "tag the old one", "tag"]


def is_kept(sim: Simulation, rid: str) -> None:
    last = sim.run(rid)
    assert last.state is State.SUCCEEDED, last.note
    sim.tidy()
    sim.check(rid)
    old = sim.provider.compute.describe(sim.old)
    assert old.isolated
    assert old.tags[TAG_QUARANTINE] == rid
    assert sim.old not in {one.id for one in sim.group.members()}
    assert sim.old not in sim.group.targets()


def everybody(sim: Simulation):
    with sim.store.read() as tx:
        return kept(tx, [sim.group])


def test_it_is_replaced_and_what_runs_on_it_runs_on(tmp_path):
    sim = Simulation(tmp_path)
    rid = sim.request(quarantine=True)
    is_kept(sim, rid)
    assert sim.provider.compute.describe(sim.old).state is InstanceState.RUNNING
    assert [call for call, *_ in sim.provider.calls if call == "compute.stop"] == []
    (one,) = everybody(sim)
    assert (one.instance.id, one.rid, one.why, one.ends) == (sim.old, rid, "drift was found", False)
    assert one.replaced_by == sim.record(rid).new_id
    with sim.store.read() as tx:
        assert "kept in quarantine" in sim.record(rid).note
        assert tx.journal_lines(rid)[0].body["quarantine"]


def test_what_the_slot_owns_moves_and_the_old_one_is_kept_stopped(tmp_path):
    sim = Simulation(tmp_path, owning=True)
    is_kept(sim, sim.request(quarantine=True))
    assert sim.provider.compute.describe(sim.old).state is InstanceState.STOPPED


def test_with_no_room_for_two_it_would_take_the_room_and_is_kept_all_the_same(tmp_path):
    sim = Simulation(tmp_path, manner=Manner(delete_first=True, allow_gap=True))
    is_kept(sim, sim.request(quarantine=True))


def test_where_no_network_can_be_cut_it_is_kept_stopped(tmp_path):
    sim = Simulation(tmp_path)
    ports = ("name", "inventory", "compute", "traffic", "volumes", "addresses")
    plain = SimpleNamespace(**{name: getattr(sim.provider, name) for name in ports})
    sim.group = replace(sim.group, provider=plain)
    sim.restart()
    rid = sim.request(quarantine=True)
    last = sim.run(rid)
    assert last.state is State.SUCCEEDED, last.note
    old = sim.provider.compute.describe(sim.old)
    assert (old.state, quarantined(old)) == (InstanceState.STOPPED, True)
    with sim.store.read() as tx:
        assert any("cannot cut a network" in str(line.body.get("why")) for line in tx.journal_lines(rid))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("fault", [Crash(), Unavailable("503")], ids=["crash", "outage"])
@pytest.mark.parametrize("number", range(len(CHANGES)), ids=CHANGES)
def test_a_fault_at_each_change(tmp_path, number, fault, after):
    sim = Simulation(tmp_path)
    rid = sim.request(quarantine=True)
    sim.provider.fail_next("changes", fault, after_effect=after, skip=number)
    is_kept(sim, rid)


@pytest.mark.parametrize("when", ["die_before", "die_after"])
@pytest.mark.parametrize("number", range(1, 40, 2))
def test_a_crash_at_commits(tmp_path, number, when):
    sim = Simulation(tmp_path)
    rid = sim.request(quarantine=True, manual=False)
    setattr(sim.store, when, number)
    is_kept(sim, rid)


def test_until_it_is_cut_off_it_can_be_had_back(tmp_path):
    sim = Simulation(tmp_path, limits=replace(LIMITS, drain_timeout=timedelta(seconds=600)))
    rid = sim.request(quarantine=True)
    with sim.provider.hold_connection(sim.old):
        assert sim.stop_in(rid, State.DRAINING)
        sim.replacer.cancel(rid, "ann")
        assert sim.run(rid).state is State.CANCELLED
    old = sim.provider.compute.describe(sim.old)
    assert not old.isolated
    assert not quarantined(old)
    assert sim.old in sim.provider.in_service("web")


def test_a_provider_that_refuses_leaves_it_to_a_person_with_the_newcomer_in_service(tmp_path):
    sim = Simulation(tmp_path)
    rid = sim.request(quarantine=True)
    sim.provider.fail_next("provider.isolate", Refused("no such permission"), times=1000)
    last = sim.run(rid)
    assert last.state is State.STUCK
    assert "refused to cut off" in last.note
    assert "by hand" in last.note
    assert last.new_id in sim.provider.in_service("web")


def test_only_a_person_ends_it_and_only_once_nothing_is_its_any_more(tmp_path):
    sim = Simulation(tmp_path)
    groups = {"web": sim.group}
    with pytest.raises(BadInput, match="nothing in quarantine is called 'web/1'"):
        ask_end(sim.store, groups, "web/1", "kim", "done", sim.clock())
    is_kept(sim, sim.request(quarantine=True))
    sim.tidy()
    assert sim.old in sim.provider.alive("web"), "hours later it is still kept"
    assert sim.old in ask_end(sim.store, groups, "web/1", "kim", "the disk is copied", sim.clock())
    assert everybody(sim)[0].ends
    sim.provider.traffic.register("web", sim.provider.compute.describe(sim.old))
    assert any("target of the load balancer" in line for line in sim.janitor.tick())
    assert sim.old in sim.provider.alive("web")
    sim.provider.traffic.drain("web", sim.old)
    sim.clock.advance(60)
    sim.provider.traffic.deregister("web", sim.old)
    assert any("was ended in quarantine" in line for line in sim.janitor.tick())
    sim.clock.advance(5)
    assert sim.old not in sim.provider.alive("web")
    with sim.store.read() as tx:
        lines = tx.journal_lines(f"quarantine/{sim.old}")
    assert [line.kind for line in lines] == ["human", "intent", "result"]
    assert lines[0].body["reason"] == "the disk is copied"


def test_a_pause_keeps_it_and_so_does_a_lost_mark(tmp_path):
    sim = Simulation(tmp_path)
    rid = sim.request(quarantine=True)
    is_kept(sim, rid)
    ask_end(sim.store, {"web": sim.group}, sim.old, "kim", "done", sim.clock())
    sim.pause_file = "stop"
    sim.restart()
    assert sim.janitor.tick() == []
    sim.pause_file = ""
    sim.restart()
    sim.provider.compute.tag(sim.old, {TAG_QUARANTINE: ""})
    sim.janitor.tick()
    assert sim.old in sim.provider.alive("web")


def test_the_slot_is_replaced_again_beside_what_is_kept(tmp_path):
    sim = Simulation(tmp_path)
    rid = sim.request(quarantine=True)
    is_kept(sim, rid)
    second = sim.replacer.request(sim.provider.compute.describe(sim.record(rid).new_id), "again", quarantine=True)
    assert sim.run(second).state is State.SUCCEEDED
    assert {one.instance.id for one in everybody(sim)} == {sim.old, sim.record(rid).new_id}
    with pytest.raises(BadInput, match="names 2 instances in quarantine"):
        ask_end(sim.store, {"web": sim.group}, "web/1", "kim", "done", sim.clock())
