"""A slot that owns a name and nothing else: the newcomer serves, the name moves, and the old one serves on until nobody
can have resolved the name to it any more.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from simulation import Simulation

from driftd.core.errors import Refused, Unavailable
from driftd.core.replacement import State
from driftd.core.variants import HANDOVER, MOVE
from driftd.testing import Crash

TTL = timedelta(seconds=60)
CHANGES = ["launch", "register", "associate", "drain", "deregister", "stop", "terminate", "tag"]


@pytest.fixture
def sim(tmp_path):
    return Simulation(tmp_path, named=TTL)


def changed(sim: Simulation) -> list[str]:
    wanted = {f"{port}.{name}" for name in CHANGES for port in ("compute", "traffic", "addresses")}
    return [event.call.partition(".")[2] for event in sim.provider.events[sim.first_event :] if event.call in wanted]


def at(sim: Simulation, call: str, subject: str):
    found = [one.at for one in sim.provider.events[sim.first_event :] if (one.call, one.subject) == (call, subject)]
    return found[0]


def test_the_newcomer_serves_before_the_name_moves_and_the_old_one_until_nobody_asks_it(sim):
    rid = sim.request(manual=False)
    assert sim.run(rid, 2000).state is State.SUCCEEDED
    assert sim.story(rid) == [*HANDOVER.forward, State.SUCCEEDED]
    seen = changed(sim)
    assert seen[:5] == ["launch", "register", "associate", "drain", "deregister"]
    moved, drained = at(sim, "addresses.associate", sim.addresses["web/1"]), at(sim, "traffic.drain", sim.old)
    assert drained - moved >= TTL
    sim.check(rid)


def under_way(sim: Simulation, *, yes: bool) -> None:
    for name, one in sim.provider.address_table.items():
        sim.provider.address_table[name] = replace(one, underway=yes)


def nobodys(sim: Simulation) -> str:
    """The slot's name, which nobody has now; whoever gets it has it made."""
    name = sim.addresses["web/1"]
    sim.provider.addresses.release(name, sim.old)
    sim.provider.address_table[name] = replace(sim.provider.address_table[name], made=True)
    return name


def test_the_time_begins_when_everybody_knows_of_the_move(sim):
    rid = sim.request(manual=False)
    under_way(sim, yes=True)
    for record in sim.steps(rid):
        if record.state is State.ADDRESSING and "not everybody knows" in record.note:
            known = sim.clock()
            under_way(sim, yes=False)
    assert record.state is State.SUCCEEDED
    assert at(sim, "traffic.drain", sim.old) - known >= TTL


def test_what_is_undone_while_it_is_under_way_goes_back_and_the_newcomer_stays_until_everybody_knows(sim):
    rid = sim.request(manual=False)
    under_way(sim, yes=True)
    waited = False
    for record in sim.steps(rid):
        if record.state is State.ADDRESSING and "not everybody knows" in record.note:
            sim.replacer.cancel(rid, "ann")
        if record.state is State.UNDOING and "given back" in record.note and "not everybody" in record.note:
            waited = True
            assert sim.owners("web/1") == {sim.old}
            assert len(sim.provider.alive("web")) == 4
            under_way(sim, yes=False)
    assert (record.state, waited) == (State.CANCELLED, True)
    sim.check(rid)


def test_one_that_never_arrives_is_undone(sim):
    rid = sim.request(manual=False)
    under_way(sim, yes=True)
    for record in sim.steps(rid):
        if record.state is State.UNDOING:
            under_way(sim, yes=False)
    assert record.state is State.FAILED_CLEAN
    assert "not everybody knows of it yet, and the limit" in record.fault
    sim.check(rid)


def test_why_it_waits_is_said(sim):
    rid = sim.request(manual=False)
    said = set()
    for record in sim.steps(rid):
        if record.state is State.ADDRESSING:
            said.add(record.note)
    assert any("60 s after 198.51.100.1 has moved a resolver may still answer" in one for one in said), said


@pytest.mark.parametrize("state", HANDOVER.forward[3 : HANDOVER.forward.index(State.RETIRING)])
def test_cancelled_in_any_state_everything_is_as_before(sim, state):
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, state), sim.record(rid)
    sim.replacer.cancel(rid, "ann")
    assert sim.run(rid, 2000).state is State.CANCELLED
    assert sim.old in sim.provider.in_service("web")
    sim.tidy()
    sim.check(rid)


@pytest.mark.parametrize("state", [State.ADDRESSING, State.DRAINING, State.PARKING])
def test_a_name_that_was_made_is_gone_again_before_the_newcomer_ends(sim, state):
    """It would go on pointing at whoever has that address next."""
    name = nobodys(sim)
    rid = sim.request(manual=False)
    for record in sim.steps(rid):
        if record.state is state and sim.owners("web/1") == {record.new_id}:
            break
    newcomer = record.new_id
    under_way(sim, yes=True)
    sim.replacer.cancel(rid, "ann")
    waited = False
    for record in sim.steps(rid):
        if "nobody's again, and not everybody" in record.note:
            waited = True
            assert newcomer in sim.provider.in_service("web")
            under_way(sim, yes=False)
    assert (record.state, waited) == (State.CANCELLED, True), record.note
    assert sim.owners("web/1") == {""}
    assert at(sim, "addresses.release", name) < at(sim, "compute.terminate", newcomer)


@pytest.mark.parametrize("error", [Refused("no"), Unavailable("503")], ids=["refused", "no answer"])
def test_a_name_that_cannot_be_released_keeps_nobody_out_of_service(tmp_path, error):
    sim = Simulation(tmp_path, owning=True, named=TTL)
    nobodys(sim)
    sim.provider.fail_next("addresses.release", error, times=1000)
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, State.SOAKING)
    sim.replacer.cancel(rid, "ann")
    last = sim.run(rid, 4000)
    assert last.state is State.STUCK, last.note
    assert sim.old in sim.provider.in_service("web")


def test_what_was_found_ill_is_not_put_in_service_again_though_the_old_one_ends(sim):
    sim.provider.terminate_s = 90
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, State.SOAKING)
    newcomer = sim.record(rid).new_id
    sim.provider.servers[newcomer].healthy = False
    for record in sim.steps(rid):
        if record.state is State.UNDOING:
            break
    sim.provider.compute.terminate(sim.old)
    last = sim.run(rid, 4000)
    assert last.state is State.FAILED_CLEAN, last.note
    assert newcomer not in sim.provider.alive("web")


@pytest.mark.parametrize("state", HANDOVER.forward[HANDOVER.forward.index(State.SOAKING) : -2])
def test_where_the_old_one_ends_while_it_is_undone_the_newcomer_serves_and_has_the_name(sim, state):
    """Also where the newcomer is out of service by then, and the name is back with the old one."""
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, state), sim.record(rid)
    sim.replacer.cancel(rid, "ann")
    for record in sim.steps(rid):
        if record.state is State.UNDOING:
            break
    sim.provider.compute.terminate(sim.old)
    last = sim.run(rid, 4000)
    assert last.state is State.SUCCEEDED, last.note
    assert last.new_id in sim.provider.in_service("web")
    assert sim.owners("web/1") == {last.new_id}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(len(CHANGES) + 2), ids=str)
def test_a_crash_at_each_change(sim, number, after):
    rid = sim.request()
    sim.provider.fail_next("changes", Crash(), after_effect=after, skip=number)
    assert sim.run(rid, 2000).state is State.SUCCEEDED
    sim.tidy()
    sim.check(rid)


@pytest.mark.parametrize("error", [Refused("no"), Unavailable("503")], ids=["refused", "no answer"])
def test_a_name_that_cannot_be_moved_is_undone_and_the_old_one_was_never_drained(sim, error):
    sim.provider.fail_next("addresses.associate", error, times=20)
    rid = sim.request(manual=False)
    last = sim.run(rid, 2000)
    assert last.state is State.FAILED_CLEAN, last.note
    drained = [one.subject for one in sim.provider.events[sim.first_event :] if one.call == "traffic.drain"]
    assert sim.old not in drained
    sim.check(rid)


def test_one_with_a_volume_is_moved_and_the_old_one_is_kept_as_long_as_its_address_is_asked_for(tmp_path):
    """Nobody else may get its address meanwhile, however short the parking time is."""
    sim = Simulation(tmp_path, owning=True, named=timedelta(minutes=40))
    rid = sim.request(manual=False)
    assert sim.run(rid, 4000).state is State.SUCCEEDED
    assert sim.story(rid) == [*MOVE.forward, State.SUCCEEDED]
    moved = at(sim, "addresses.associate", sim.addresses["web/1"])
    assert at(sim, "compute.terminate", sim.old) - moved >= timedelta(minutes=40)
    sim.check(rid)
