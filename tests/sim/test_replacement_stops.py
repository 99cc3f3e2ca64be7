"""Whatever stops driftd stops a replacement where it stands: a pause, a broken journal, an old store, a lost lease."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from simulation import Simulation

from driftd.core.memory import LeaseHeld, Pause
from driftd.core.replacement import TERMINAL, State
from driftd.core.upkeep import ChainState, Doubt
from driftd.core.variants import SURGE
from driftd.edges.store import open_store
from driftd.flows import calls
from driftd.flows.vouch import accept_store

FORWARD = SURGE.forward


@pytest.fixture
def sim(tmp_path):
    return Simulation(tmp_path)


@pytest.mark.parametrize("by", ["store", "file"])
@pytest.mark.parametrize("state", FORWARD)
def test_a_pause_in_any_state_stops_every_change_and_then_it_goes_on(sim, state, by):
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, state)
    stop(sim, by)
    before = len(sim.provider.events)
    for _ in range(60):  # longer than any step's limit
        sim.tick()
    assert len(sim.provider.events) == before
    assert "stopped while" in sim.record(rid).note or sim.record(rid).state in TERMINAL
    go_on(sim)
    assert sim.run(rid).state is State.SUCCEEDED
    sim.check(rid)


def stop(sim, by: str) -> None:
    with sim.store.write() as tx:
        if by in {"store", "hard"}:
            tx.set_pause(Pause("", "ann", "freeze", sim.clock(), hard=by == "hard"))
        elif by == "broken journal":
            tx.put_chain(ChainState(broken=3, why="line 3 is missing"))
        elif by == "old store":
            tx.add_doubt(Doubt("restored", "x", "it was restored", sim.clock()))
        else:
            sim.pause_file = "there is a pause file"


def go_on(sim) -> None:
    sim.pause_file = ""
    with sim.store.write() as tx:
        tx.clear_pause("")
        tx.put_chain(ChainState())
        tx.settle_doubts("ann", "looked", sim.clock())


@pytest.mark.parametrize("by", ["store", "hard", "file", "broken journal", "old store"])
def test_a_pause_lets_an_undo_go_on_and_nothing_else_does(sim, by):
    rid = sim.request()
    assert sim.stop_in(rid, State.SOAKING)
    stop(sim, by)
    before = len(sim.provider.events)
    sim.replacer.cancel(rid, "ann")
    if by == "store":
        assert sim.run(rid).state is State.CANCELLED
    else:
        for _ in range(60):
            sim.tick()
        assert sim.record(rid).state is State.SOAKING
        assert len(sim.provider.events) == before
        go_on(sim)
        assert sim.run(rid).state is State.CANCELLED
    sim.check(rid)


@pytest.mark.parametrize("by", ["hard", "file", "broken journal", "old store"])
def test_what_stops_everything_stops_an_undo_that_is_under_way(sim, by):
    rid = sim.request()
    assert sim.stop_in(rid, State.SOAKING)
    sim.replacer.cancel(rid, "ann")
    assert sim.stop_in(rid, State.UNDOING)
    stop(sim, by)
    before = len(sim.provider.events)
    for _ in range(60):
        sim.tick()
    assert len(sim.provider.events) == before
    assert "stopped while undoing" in sim.record(rid).note
    go_on(sim)
    assert sim.run(rid).state is State.CANCELLED


def test_a_pause_between_intent_and_call_is_honoured(sim):
    rid = sim.request()
    asked = []

    def pause(_group: str) -> str:
        asked.append(1)
        return "just now" if len(asked) % 2 == 0 else ""

    sim.replacer._pause = pause
    assert sim.stop_in(rid, State.LAUNCHING)
    asked.clear()
    for _ in range(10):
        asked.clear()
        sim.tick()
    assert "compute.launch" not in [e.call for e in sim.provider.events[sim.first_event :]]
    with sim.store.read() as tx:
        assert "not sent" in {line.body.get("outcome") for line in tx.journal_lines(rid)}


def test_a_result_that_comes_after_a_take_over_is_only_logged(sim, tmp_path, monkeypatch, caplog):
    """The provider answered when another daemon held the lease already: that one decides, by what it sees."""
    sim.store.take_lease("alpha", 1, sim.clock())
    rid = sim.request()
    assert sim.stop_in(rid, State.LAUNCHING)
    successor = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")

    def slow(call, *others):
        made = calls.make(call, *others)
        successor.take_lease("beta", 30, sim.clock() + timedelta(seconds=60))
        return made

    monkeypatch.setattr("driftd.flows.replace.make", slow)
    before = sim.record(rid)
    with pytest.raises(LeaseHeld, match="beta"):
        sim.tick()
    assert "a late result, not written: launch" in caplog.text
    with successor.read() as tx:
        last = tx.journal_lines(rid)[-1]
        assert (last.kind, last.epoch) == ("intent", 1)
        record = tx.replacement(rid)
        assert (record.state, record.epoch, record.new_id) == (before.state, 1, before.new_id)
    monkeypatch.undo()
    sim.store = successor
    sim.restart()
    assert sim.run(rid).state is State.SUCCEEDED
    sim.check(rid)
    newcomer = sim.provider.compute.describe(sim.record(rid).new_id)
    assert newcomer.tags["driftd:epoch"] == "1"
    with successor.read() as tx:
        assert {line.epoch for line in tx.journal_lines(rid)} == {1, 2}
    successor.close()


def put_back(sim: Simulation, copy):
    """The store's row as it stood in a copy, and a person who says that it may act on that."""
    with sim.store.write() as tx:
        tx.save_replacement(replace(copy, version=tx.replacement(copy.rid).version))
        tx.add_doubt(Doubt("restored", "a copy", "the store was put back", sim.clock()))
    accept_store(sim.store, "ann", "looked at it", sim.clock())


@pytest.mark.parametrize("state", [State.DRAINING, State.PARKING])
def test_a_store_put_back_does_not_forget_whom_it_took_out_of_service(sim, state):
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, State.BOOTING)
    copy = sim.record(rid)
    assert sim.stop_in(rid, state)
    out = sim.provider.servers[sim.old]
    for _ in range(4):
        if not (out.stopped if state is State.PARKING else sim.old not in sim.provider.in_service("web")):
            sim.tick()
    assert sim.old not in sim.provider.in_service("web")
    put_back(sim, copy)
    sim.provider.make_sick(sim.provider.alive()[-1])
    last = sim.run(rid)
    assert last.state is State.FAILED_CLEAN, last.note
    assert sim.old in sim.provider.in_service("web")
    sim.check(rid)


def test_a_store_put_back_does_not_end_what_may_be_all_that_is_left(sim):
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, State.BOOTING)
    copy = sim.record(rid)
    assert sim.stop_in(rid, State.SETTLING)
    put_back(sim, copy)
    newcomer = copy.new_id or sim.provider.alive()[-1]
    sim.provider.make_sick(newcomer)
    last = sim.run(rid)
    assert last.state is State.STUCK, last.note
    assert "cannot say whether" in last.note
    assert newcomer in sim.provider.alive()


def test_a_store_put_back_starts_what_it_brought_to_rest_once(tmp_path):
    sim = Simulation(tmp_path, owning=True)
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, State.BOOTING)
    copy = sim.record(rid)
    assert sim.stop_in(rid, State.SNAPSHOTTING)
    put_back(sim, copy)
    sim.replacer.cancel(rid, "ann")
    last = sim.run(rid, 2000)
    assert last.state is State.CANCELLED, last.note
    assert sim.old in sim.provider.in_service("web")
    sim.check(rid)


def test_a_store_from_before_it_began_finds_what_was_done_and_can_undo_it(sim):
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, State.ADMITTING)
    copy = sim.record(rid)
    assert sim.stop_in(rid, State.SOAKING)
    newcomer = sim.record(rid).new_id
    put_back(sim, copy)
    assert sim.stop_in(rid, State.ENROLLING)
    assert sim.record(rid).new_id == newcomer
    sim.provider.make_sick(newcomer)
    last = sim.run(rid)
    assert last.state is State.FAILED_CLEAN, last.note
    assert sim.old in sim.provider.in_service("web")


def test_a_store_from_before_it_began_leaves_an_old_one_that_was_let_go_to_a_person(sim):
    """By whom it was stopped, and what moved since, the store cannot say."""
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, State.ADMITTING)
    copy = sim.record(rid)
    assert sim.stop_in(rid, State.PARKING)
    sim.tick()
    exist = sim.provider.alive("web")
    put_back(sim, copy)
    last = sim.run(rid)
    assert last.state is State.STUCK
    assert "the store, put back from a copy, knows nothing of what was done for it since" in last.note
    assert sim.provider.alive("web") == exist
