"""What a slot owns: it changes hands with one writer at most, and comes back whole when something goes wrong."""

from __future__ import annotations

import math

import pytest
from simulation import Simulation

from driftd.core.errors import Refused, Unavailable
from driftd.core.facts import InstanceState
from driftd.core.ports import HookName
from driftd.core.replacement import State
from driftd.core.variants import DELETE_FIRST, MOVE
from driftd.core.world import Manner
from driftd.testing import Crash, Distortion

GAP = Manner(delete_first=True, allow_gap=True)
MOVING = MOVE.forward[3 : MOVE.forward.index(State.RETIRING)]
CHANGES = [
    "launch",
    "drain",
    "deregister",
    "stop",
    "snapshot",
    "detach",
    "attach",
    "associate",
    "register",
    "terminate",
    "tag",
]


@pytest.fixture
def sim(tmp_path):
    return Simulation(tmp_path, owning=True)


def calls(sim: Simulation) -> list[str]:
    wanted = {f"{port}.{name}" for name in CHANGES for port in ("compute", "traffic", "volumes", "addresses")}
    return [event.call.partition(".")[2] for event in sim.provider.events[sim.first_event :] if event.call in wanted]


def until(sim: Simulation, rid: str, state: State):
    assert sim.stop_in(rid, state), sim.record(rid)
    return sim.record(rid)


def test_a_slot_that_owns_something_moves_it(sim):
    rid = sim.request(manual=False)
    assert sim.run(rid).state is State.SUCCEEDED
    assert sim.story(rid) == [*MOVE.forward, State.SUCCEEDED]
    assert calls(sim) == CHANGES
    sim.check(rid)


def test_what_stands_in_the_journal_says_who_has_what(sim):
    rid = sim.request(manual=False)
    sim.run(rid)
    with sim.store.read() as tx:
        intents = {line.body["call"]: line.body for line in tx.journal_lines(rid) if line.kind == "intent"}
    assert intents["stop"]["guards"]["volumes"] == {"vol-1": sim.old}
    assert intents["attach"]["guards"]["volumes"] == {"vol-1": ""}
    assert intents["attach"]["guards"]["old"]["state"] == "stopped"


@pytest.mark.parametrize("state", MOVING)
def test_cancelled_in_any_state_everything_is_as_before(sim, state):
    rid = sim.request(manual=False)
    until(sim, rid, state)
    sim.replacer.cancel(rid, "ann")
    assert sim.run(rid).state is State.CANCELLED
    assert sim.old in sim.provider.in_service("web")
    sim.tidy()
    sim.check(rid)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(len(CHANGES) + 2), ids=str)
def test_a_crash_at_each_change(sim, number, after):
    rid = sim.request()
    sim.provider.fail_next("changes", Crash(), after_effect=after, skip=number)
    assert sim.run(rid).state is State.SUCCEEDED
    assert sim.crashes == 1
    sim.tidy()
    sim.check(rid)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(20))
def test_a_crash_at_each_change_of_an_undo(sim, number, after):
    """Cancelled under traffic, when there is the most to undo; driftd dies once on the way there or back."""
    rid = sim.request()
    sim.provider.fail_next("changes", Crash(), after_effect=after, skip=number)
    for record in sim.steps(rid):
        if record.state is State.SOAKING and not record.cancel_requested:
            sim.replacer.cancel(rid, "ann")
    assert record.state is State.CANCELLED, record.note
    assert sim.old in sim.provider.in_service("web")
    sim.tidy()
    sim.check(rid)


MOVES = ["compute.stop", "volumes.snapshot", "volumes.attach", "addresses.associate"]


@pytest.mark.parametrize("call", MOVES)
def test_a_call_that_is_refused_is_undone(sim, call):
    sim.provider.fail_next(call, Refused("no"))
    undone(sim)


@pytest.mark.parametrize("call", MOVES)
def test_a_call_that_is_never_answered_is_undone(sim, call):
    """So many tries take longer than the step may; by the time of the undo the provider is back."""
    sim.provider.fail_next(call, Unavailable("503"), times=20)
    undone(sim)


def undone(sim: Simulation) -> None:
    rid = sim.request(manual=False)
    last = sim.run(rid)
    assert last.state in {State.FAILED_CLEAN, State.ABORTED_SAFE}, last.note
    assert sim.old in sim.provider.in_service("web")
    sim.check(rid)


def test_a_stop_that_is_answered_and_not_done_is_asked_for_ever_more_rarely(sim):
    sim.provider.pretend_next("compute.stop", times=math.inf)
    rid = sim.request(manual=False)
    last = sim.run(rid)
    assert last.state is State.ABORTED_SAFE
    assert sim.provider.calls.count("compute.stop") < 12
    sim.check(rid)


def test_one_that_says_it_is_stopped_and_still_writes_loses_no_volume(sim):
    """A lie that nobody can see through; the provider itself refuses to take a volume off who uses it."""
    sim.provider.hooked.clear()
    sim.provider.pretend_next("compute.stop", claim=True)
    rid = sim.request(manual=False)
    last = sim.run(rid, 2000)
    sim.check_events()
    assert sim.owners("web/1") == {sim.old}
    assert last.state is not State.SUCCEEDED


@pytest.mark.parametrize("call", ["volumes.list", "addresses.list"])
@pytest.mark.parametrize("also", [(), ("volumes.list", "addresses.list")])
def test_what_a_list_lacked_when_it_was_planned_is_not_left_behind(sim, call, also):
    rid = sim.request(manual=False)
    until(sim, rid, State.PLANNING)
    for one in {call, *also}:
        sim.provider.distort(one, Distortion.EMPTY)
    until(sim, rid, State.LAUNCHING)
    sim.provider.clear_faults()
    last = sim.run(rid, 2000)
    # Without both it would be planned as if nothing had to move, and no newcomer answers without its data.
    assert last.state is (State.FAILED_CLEAN if also else State.ABORTED_SAFE)
    assert also or "belongs to slot web/1, and the plan was made without it" in last.fault
    assert sim.owners("web/1") == {sim.old}
    assert sim.provider.compute.describe(sim.old).state is InstanceState.RUNNING


def test_a_volume_that_somebody_else_has_is_a_persons(sim):
    other = sim.servers[0]
    rid = sim.request(manual=False)
    until(sim, rid, State.ATTACHING)
    with sim.provider.by_hand():
        sim.provider.volumes.attach("vol-1", other)
    last = sim.run(rid, 2000)
    assert last.state is State.STUCK
    assert f"volume vol-1 is {other}'s" in last.note
    assert sim.provider.compute.describe(sim.old).state is InstanceState.STOPPED


def test_another_file_system_is_not_the_volume_that_was(sim):
    rid = sim.request(manual=False)
    until(sim, rid, State.ATTACHING)
    sim.provider.reformat("vol-1", "ffffffff-0000-4000-8000-000000000000")
    last = sim.run(rid)
    assert last.state is State.FAILED_CLEAN
    assert "carries file system ffffffff" in last.note
    sim.check(rid)


@pytest.mark.parametrize("state", [State.ATTACHING, State.SERVING, State.SOAKING])
def test_a_newcomer_that_fails_once_it_has_the_volume_gives_it_back(sim, state):
    rid = sim.request(manual=False)
    record = until(sim, rid, state)
    sim.provider.make_sick(record.new_id)
    last = sim.run(rid, 2000)
    assert last.state is State.FAILED_CLEAN
    assert sim.old in sim.provider.in_service("web")
    sim.check(rid)


@pytest.mark.parametrize("state", [State.SNAPSHOTTING, State.SOAKING, State.PARKING])
def test_somebody_who_starts_the_old_one_again_has_called_it_off(sim, state):
    rid = sim.request(manual=False)
    until(sim, rid, state)
    with sim.provider.by_hand():
        sim.provider.compute.start(sim.old)
    last = sim.run(rid, 2000)
    assert last.state in {State.CANCELLED, State.FAILED_CLEAN}, last.note
    assert sim.old in sim.provider.in_service("web")
    sim.check(rid)


@pytest.mark.parametrize("state", [*MOVING[1:], State.RETIRING])
def test_the_old_one_vanishes_by_itself(sim, state):
    sim.provider.load = 0
    rid = sim.request(manual=False)
    until(sim, rid, state)
    sim.provider.vanish(sim.old)
    last = sim.run(rid, 2000)
    if state is State.BOOTING:
        assert last.state is not State.STUCK
    else:
        assert last.state is State.SUCCEEDED, last.note
        assert sim.owners("web/1") == {last.new_id}


@pytest.mark.parametrize("state", [State.ATTACHING, State.ENROLLING, State.SOAKING, State.RETIRING])
def test_a_list_that_lacks_the_newcomer_for_a_while_undoes_nothing(sim, state):
    rid = sim.request(manual=False)
    record = until(sim, rid, state)
    sim.provider.hide(record.new_id, 6)
    last = sim.run(rid, 2000)
    assert last.state is State.SUCCEEDED, last.note
    assert sim.owners("web/1") == {last.new_id}
    sim.check(rid)


def test_an_undo_takes_nothing_off_a_newcomer_that_a_list_lacks(sim):
    rid = sim.request(manual=False)
    record = until(sim, rid, State.SOAKING)
    began = sim.provider.now()
    sim.provider.hide(record.new_id, 6)
    sim.replacer.cancel(rid, "ann")
    last = sim.run(rid, 2000)
    assert last.state is State.CANCELLED, last.note
    with sim.store.read() as tx:
        asked = [line.body["call"] for line in tx.journal_lines(rid) if line.kind == "intent" and line.at >= began]
    first = next(one for one in asked if one.startswith(("stop", "detach")))
    assert first == "stop", "it is stopped before anything is taken off it"
    assert sim.owners("web/1") == {sim.old}
    sim.check(rid)


def test_a_newcomer_that_cannot_serve_while_there_is_no_way_back_is_a_persons(sim):
    sim.provider.load = 0
    rid = sim.request(manual=False)
    until(sim, rid, State.ENROLLING)
    sim.provider.vanish(sim.old)
    sim.provider.make_sick(sim.record(rid).new_id)
    last = sim.run(rid, 3000)
    assert last.state is State.STUCK, last.note
    assert "does not serve" in last.note
    assert sim.owners("web/1") == {last.new_id}


def test_without_room_the_old_one_goes_first_by_permission(tmp_path):
    sim = Simulation(tmp_path, owning=True, manner=GAP)
    sim.provider.quota, sim.provider.quota_counts_stopped = 3, False
    rid = sim.request(manual=False)
    assert sim.run(rid).state is State.SUCCEEDED
    assert sim.story(rid) == [*DELETE_FIRST.forward, State.SUCCEEDED]
    sim.check(rid)


def test_without_permission_nothing_goes_first(tmp_path):
    sim = Simulation(tmp_path, manner=Manner(delete_first=True))
    rid = sim.request(manual=False)
    for _ in range(60):
        sim.tick()
    assert "allow_gap does not allow one" in sim.record(rid).note
    assert len(sim.provider.events) == sim.first_event


def test_the_last_in_service_never_goes_first(tmp_path):
    sim = Simulation(tmp_path, min_healthy=0, manner=GAP)
    for other in (sim.servers[0], sim.servers[2]):
        sim.provider.make_sick(other)
    rid = sim.request(manual=True)
    for _ in range(60):
        sim.tick()
    assert "the last of web in service" in sim.record(rid).note
    assert len(sim.provider.events) == sim.first_event


def test_one_that_came_to_be_the_last_since_it_was_planned_stays(tmp_path):
    sim = Simulation(tmp_path, min_healthy=0, manner=GAP)
    rid = sim.request(manual=True)
    until(sim, rid, State.DRAINING)
    for other in (sim.servers[0], sim.servers[2]):
        sim.provider.make_sick(other)
    last = sim.run(rid)
    assert last.state is State.ABORTED_SAFE
    assert "the last of web in service" in last.note
    assert "drain" not in calls(sim)


def test_a_volume_that_somebody_took_off_is_not_given_to_anybody(sim):
    with sim.provider.by_hand():
        sim.provider.compute.stop(sim.old)
        sim.provider.volumes.detach("vol-1")
        sim.provider.compute.start(sim.old)
    rid = sim.request(manual=True)
    for _ in range(30):
        sim.tick()
    assert "volume vol-1 belongs to slot web/1 and is nobody's" in sim.record(rid).note
    assert "launch" not in calls(sim)


def test_a_leader_steps_down_also_where_that_is_all_that_its_owner_wrote(sim):
    sim.provider.hooked = {HookName.STEP_DOWN}
    rid = sim.request(manual=False)
    assert sim.run(rid).state is State.SUCCEEDED
    told = [event.call for event in sim.provider.events]
    assert told.index("hooks.step_down") < told.index("compute.stop")


def test_a_refused_launch_after_the_old_one_went_first_starts_it_again(tmp_path):
    sim = Simulation(tmp_path, owning=True, manner=GAP)
    sim.provider.fail_next("compute.launch", Refused("no capacity"), times=math.inf)
    rid = sim.request(manual=False)
    last = sim.run(rid)
    assert last.state is State.FAILED_CLEAN
    assert sim.old in sim.provider.in_service("web")
    sim.check(rid)
