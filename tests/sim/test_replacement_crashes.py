"""driftd dies at every call and at every commit of a replacement, before and after its effect; each one a case."""

from __future__ import annotations

import pytest
from simulation import Simulation

from driftd.core.errors import Unavailable
from driftd.core.replacement import TERMINAL, State
from driftd.testing import Crash

CHANGES = ["launch", "register", "drain", "deregister", "stop", "terminate", "tag"]
UNDO_CHANGES = ["launch", "register", "drain", "register the old one", "drain", "deregister", "terminate"]
CALLS = 178
COMMITS = 40


def test_the_numbers_above_are_those_of_a_run_without_a_fault(tmp_path):
    sim = Simulation(tmp_path)
    assert sim.run(sim.request(manual=False)).state is State.SUCCEEDED
    assert (len(sim.provider.calls), sim.store.commits) == (CALLS + 1, COMMITS)  # the request itself describes once


def succeeds(sim: Simulation, rid: str) -> None:
    last = sim.run(rid)
    assert last.state is State.SUCCEEDED, last.note
    sim.tidy()
    sim.check(rid)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(len(CHANGES)), ids=CHANGES)
def test_a_crash_at_each_change(tmp_path, number, after):
    sim = Simulation(tmp_path)
    rid = sim.request()
    sim.provider.fail_next("changes", Crash(), after_effect=after, skip=number)
    succeeds(sim, rid)
    assert sim.crashes == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(len(CHANGES)), ids=CHANGES)
def test_a_lost_answer_or_an_outage_at_each_change(tmp_path, number, after):
    sim = Simulation(tmp_path)
    rid = sim.request()
    sim.provider.fail_next("changes", Unavailable("503"), after_effect=after, skip=number)
    succeeds(sim, rid)


@pytest.mark.parametrize("number", range(0, CALLS, 5))
def test_a_crash_at_any_call(tmp_path, number):
    sim = Simulation(tmp_path)
    rid = sim.request(manual=False)
    sim.provider.fail_next("*", Crash(), skip=number)
    succeeds(sim, rid)
    assert sim.crashes == 1


@pytest.mark.parametrize("when", ["die_before", "die_after"])
@pytest.mark.parametrize("number", range(1, COMMITS))
def test_a_crash_at_each_commit(tmp_path, number, when):
    sim = Simulation(tmp_path)
    rid = sim.request(manual=False)
    setattr(sim.store, when, number)
    succeeds(sim, rid)
    assert sim.crashes == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(len(UNDO_CHANGES)), ids=[f"{i}-{c}" for i, c in enumerate(UNDO_CHANGES)])
def test_a_crash_at_each_change_of_an_undo(tmp_path, number, after):
    sim = Simulation(tmp_path)
    rid = sim.request()
    sim.provider.fail_next("changes", Crash(), after_effect=after, skip=number)
    with sim.provider.hold_connection(sim.old):
        for record in sim.steps(rid):
            if record.state is State.DRAINING and not record.cancel_requested and record.drain_sent:
                sim.replacer.cancel(rid, "ann")
    assert record.state is State.CANCELLED, record.note
    assert sim.old in sim.provider.in_service("web")
    assert sim.crashes == 1
    sim.tidy()
    sim.check(rid)


@pytest.mark.parametrize("state", [s for s in State if s not in TERMINAL and s is not State.UNDOING])
def test_a_new_process_after_each_state(tmp_path, state):
    """Every beat another process: nothing that matters lives in memory."""
    sim = Simulation(tmp_path)
    rid = sim.request(manual=False)
    for record in sim.steps(rid):
        if record.state is state:
            sim.restart()
    assert record.state is State.SUCCEEDED
    sim.check(rid)
