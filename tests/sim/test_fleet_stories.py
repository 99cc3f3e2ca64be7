"""What runs of the fleet's simulation found, each as small as it can be told."""

from __future__ import annotations

from dataclasses import replace

from simulation import Simulation

from driftd.core.replacement import State
from driftd.core.world import TAG_RID
from driftd.rehearsal.run import world
from driftd.rehearsal.scenario import draw
from driftd.rehearsal.sights import edited


def test_nothing_is_taken_off_before_the_snapshot_is_listed(tmp_path):
    """Seed 14: the provider said that it took a snapshot, and had taken none."""
    sim = Simulation(tmp_path, owning=True)
    sim.provider.pretend_next("volumes.snapshot")
    rid = sim.request(manual=False)
    assert sim.run(rid).state is State.SUCCEEDED
    calls = [event.call for event in sim.provider.events]
    assert calls.index("volumes.snapshot") < calls.index("volumes.detach")


def test_a_provider_that_takes_no_snapshots_is_given_up_on(tmp_path):
    sim = Simulation(tmp_path, owning=True)
    sim.provider.pretend_next("volumes.snapshot", times=1000)
    rid = sim.request(manual=False)
    assert sim.run(rid).state is State.FAILED_CLEAN
    sim.tidy()
    sim.check(rid)


def test_what_may_not_begin_keeps_no_place(tmp_path):
    """Seed 17: of two none may move, which is known once it is planned; it waited half-begun, for ever."""
    sim = Simulation(tmp_path, servers=2, min_healthy=0, owning=True)
    rid = sim.request(manual=False)
    for _ in range(20):
        sim.tick()
    record = sim.record(rid)
    assert record.state is State.ADMITTING
    assert "web has 2 members, and of two none may go before its newcomer serves" in record.note
    assert len(sim.provider.events) == sim.first_event


def test_the_share_that_must_serve_is_that_of_the_variant(tmp_path):
    """By default 90 % where the newcomer cannot come first: a plan asked for 100 %, so that nothing ever moved."""
    sim = Simulation(tmp_path, owning=True)
    sim.group = replace(sim.group, rules=replace(sim.group.rules, min_percent=None))
    sim.restart()
    rid = sim.request(manual=True)
    sim.run(rid)
    assert sim.record(rid).state is State.SUCCEEDED


def test_what_was_left_behind_gets_no_successor(tmp_path):
    """Seed 301: a newcomer that had "ended" came back drifted, was replaced, and its slot had two in service."""
    with world(replace(draw(301), drifts=(), mishaps=0)) as run:
        run.cloud.witness = run.event
        run.controllers[0].beat()
        with run.office.read() as tx:
            row = next(iter(tx.instances()))
        instance = run.cloud.compute.describe(row.id)
        run.drift[row.id] = [edited("/etc/x")]
        run.controllers[0].sweeper.sweep_one(replace(instance, tags={**instance.tags, TAG_RID: "over"}))
        assert run.open_records() == []
        run.controllers[0].sweeper.sweep_one(instance)
        assert [one.old_id for one in run.open_records()] == [row.id]
