"""What goes wrong in a replacement, told one by one: each ends well or is undone, and nothing is left behind."""

from __future__ import annotations

import pytest
from simulation import BEAT_S, Simulation

from driftd.core.errors import BadInput, Refused, Unavailable
from driftd.core.ports import LaunchRequest
from driftd.core.replacement import TERMINAL, UNSTARTED, State
from driftd.core.variants import SURGE
from driftd.core.world import ROLE, TAG_RID, TAG_ROLE, TAG_SLOT
from driftd.flows.replace import Replacer

BEFORE_THE_POINT = SURGE.forward[: SURGE.forward.index(State.RETIRING)]
FORWARD = SURGE.forward


@pytest.fixture
def sim(tmp_path):
    return Simulation(tmp_path)


def test_it_succeeds_and_says_so(sim):
    rid = sim.request(manual=False)
    assert sim.run(rid).state is State.SUCCEEDED
    sim.check(rid)
    with sim.store.read() as tx:
        assert [m.code for m in tx.unsent()] == [
            "replacement-confirming",
            "replacement-launching",
            "replacement-succeeded",
        ]


def test_a_drift_that_is_gone_at_the_second_look_changes_nothing(sim):
    rid = sim.request(manual=False)
    sim.drifted.clear()
    last = sim.run(rid)
    assert last.state is State.CANCELLED
    assert "drift is gone" in last.note
    assert len(sim.provider.events) == sim.first_event


def test_nobody_is_replaced_because_nobody_could_look(sim):
    rid = sim.request(manual=False)
    sim.unseen.add(sim.old)
    last = sim.run(rid)
    assert last.state is State.CANCELLED
    assert "could not look" in last.note
    assert len(sim.provider.events) == sim.first_event


def test_a_sick_newcomer_is_undone(sim):
    sim.provider.sick_launches = 1
    rid = sim.request()
    last = sim.run(rid)
    assert last.state is State.FAILED_CLEAN
    assert "did not boot" in last.note
    sim.check(rid)


def test_a_drifted_newcomer_never_gets_traffic(sim):
    sim.drifted_newcomers = True
    rid = sim.request()
    last = sim.run(rid)
    assert last.state is State.FAILED_CLEAN
    assert "the newcomer i-0004 is drifted" in last.note
    assert not [e for e in sim.provider.events[sim.first_event :] if e.call == "traffic.register"]
    sim.check(rid)


def test_a_newcomer_that_nobody_can_look_at_never_gets_traffic(sim):
    sim.unseen |= {f"i-{number:04d}" for number in range(4, 10)}
    rid = sim.request()
    assert sim.run(rid).state is State.FAILED_CLEAN
    assert not [e for e in sim.provider.events[sim.first_event :] if e.call == "traffic.register"]
    sim.check(rid)


@pytest.mark.parametrize("state", [State.SOAKING, State.DRAINING])
def test_a_newcomer_that_falls_ill_under_traffic_is_undone(sim, state):
    rid = sim.request()
    for record in sim.steps(rid):
        if record.state is state:
            sim.provider.make_sick(record.new_id)
    assert record.state is State.FAILED_CLEAN
    assert sim.old in sim.provider.in_service("web")
    sim.check(rid)


def test_no_capacity_is_known_before_anything_is_changed_and_waited_for(sim):
    sim.provider.quota = 3
    rid = sim.request()
    for _ in range(60):
        sim.tick()
    assert sim.record(rid).state is State.ADMITTING
    assert "it cannot be done now: the quota of 3 instances is used up" in sim.record(rid).note
    assert len(sim.provider.events) == sim.first_event
    sim.provider.quota = None
    assert sim.run(rid).state is State.SUCCEEDED


def test_a_refused_launch_is_a_clean_failure(sim):
    sim.provider.fail_next("compute.launch", Refused("no capacity in this zone"))
    rid = sim.request()
    last = sim.run(rid)
    assert last.state is State.FAILED_CLEAN
    assert "no capacity in this zone" in last.note
    sim.check(rid)


def test_a_failure_holds_the_group_back_and_says_until_when(sim):
    sim.provider.fail_next("compute.launch", Refused("no capacity in this zone"))
    sim.run(sim.request(manual=False))
    rid = sim.request(manual=False)
    for _ in range(60):
        sim.tick()
    record = sim.record(rid)
    assert record.state is State.ADMITTING
    assert "1 replacement in web failed in a row" in record.note
    sim.clock.advance(1800)
    assert sim.run(rid).state is State.SUCCEEDED


@pytest.mark.parametrize("state", BEFORE_THE_POINT)
def test_cancelled_in_any_state_before_the_point_of_no_return(sim, state):
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, state)
    sim.replacer.cancel(rid, "ann")
    assert sim.run(rid).state is State.CANCELLED
    assert sim.old in sim.provider.in_service("web")
    sim.check(rid)


def test_after_the_point_of_no_return_a_cancel_is_refused(sim):
    rid = sim.request()
    for record in sim.steps(rid):
        if record.committed:
            break
    with pytest.raises(BadInput, match="point of no return"):
        sim.replacer.cancel(rid, "ann")
    assert sim.run(rid).state is State.SUCCEEDED


def test_a_drain_that_never_ends_puts_the_old_one_back(sim):
    rid = sim.request()
    with sim.provider.hold_connection(sim.old):
        last = sim.run(rid)
        assert last.state is State.ABORTED_SAFE
        assert "1 connections left" in last.note
        assert sim.old in sim.provider.in_service("web")
        sim.check(rid)


def test_somebody_puts_the_old_one_back_in_service(sim):
    rid = sim.request()
    with sim.provider.hold_connection(sim.old):
        for record in sim.steps(rid):
            if record.drain_seen and record.state is State.DRAINING:
                sim.provider.traffic.register("web", sim.provider.compute.describe(sim.old))
    assert record.state is State.CANCELLED
    assert "somebody put" in record.note
    sim.check(rid)


@pytest.mark.parametrize("state", FORWARD)
def test_the_old_one_vanishes_by_itself(sim, state):
    sim.provider.load = 0  # what it served is lost with it, and that is not ours to judge
    rid = sim.request(manual=False)
    assert sim.stop_in(rid, state)
    if sim.old in sim.provider.alive():
        sim.provider.vanish(sim.old)
    last = sim.run(rid)
    assert last.state is (State.CANCELLED if state in UNSTARTED else State.SUCCEEDED), last.note
    if last.state is State.SUCCEEDED:
        sim.check(rid)


def test_below_the_minimum_nothing_is_begun(sim):
    sim.provider.make_sick(sim.servers[0])
    sim.provider.make_sick(sim.servers[2])
    rid = sim.request(manual=False)
    for _ in range(60):
        sim.tick()
    record = sim.record(rid)
    assert record.state is State.ADMITTING
    assert "minimum" in record.note
    assert len(sim.provider.events) == sim.first_event


def test_a_group_that_falls_ill_while_draining_gets_the_old_one_back(tmp_path):
    sim = Simulation(tmp_path, min_healthy=3)
    rid = sim.request()
    with sim.provider.hold_connection(sim.old):
        for record in sim.steps(rid):
            if record.state is State.DRAINING and record.drain_seen:
                sim.provider.make_sick(sim.servers[0])
            if record.state is State.UNDOING and sim.old in sim.provider.in_service("web"):
                sim.provider.make_sick(sim.servers[0], healthy=True)
    assert record.state is State.ABORTED_SAFE, record.note
    sim.check(rid)


def test_a_group_that_falls_ill_before_the_drain_keeps_the_old_one_in_service(tmp_path):
    sim = Simulation(tmp_path, min_healthy=3)
    rid = sim.request()
    held = 0
    for record in sim.steps(rid):
        if record.state is State.SOAKING:
            sim.provider.make_sick(sim.servers[0])
        if record.state is State.DRAINING and "stays in service" in record.note:
            held += 1
            assert sim.old in sim.provider.in_service("web")
            assert "would have 2 in service without i-0002, and its minimum is 3" in record.note
            sim.provider.make_sick(sim.servers[0], healthy=held > 5)
    assert held > 5
    assert record.state is State.SUCCEEDED, record.note
    sim.check(rid)


def test_one_at_a_time_in_a_group(sim):
    first = sim.request()
    second = sim.replacer.request(sim.provider.compute.describe(sim.servers[0]), "the next")
    for _ in sim.steps(first):
        if sim.record(first).state not in {State.CONFIRMING, State.ADMITTING, *TERMINAL}:
            assert sim.record(second).state in {State.CONFIRMING, State.ADMITTING}
    assert sim.run(second).state is State.SUCCEEDED
    assert len(sim.provider.in_service("web")) == 3


def test_an_instance_is_never_replaced_twice_at_once(sim):
    sim.request()
    with pytest.raises(BadInput, match="already"):
        sim.request()


def test_a_newcomer_that_stays_hidden_is_adopted_or_ended(sim):
    sim.provider.hide_s = 15
    sim.provider.fail_next("compute.launch", Unavailable("504"), after_effect=True)
    rid = sim.request()
    assert sim.run(rid).state is State.SUCCEEDED
    sim.check(rid)


@pytest.mark.parametrize("answered", [False, True])
def test_cancelled_while_the_newcomer_is_still_hidden(sim, answered):
    sim.provider.hide_s = 15
    if not answered:
        sim.provider.fail_next("compute.launch", Unavailable("504"), after_effect=True)
    rid = sim.request()
    for record in sim.steps(rid):
        if record.state is State.LAUNCHING and sim.provider.alive() != sim.servers and not record.cancel_requested:
            sim.replacer.cancel(rid, "ann")
    assert record.state is State.CANCELLED
    sim.check(rid)


def test_a_newcomer_that_appears_after_everything_is_over_is_the_janitors(sim):
    sim.provider.hide_s = 300
    sim.provider.fail_next("compute.launch", Unavailable("504"), after_effect=True, times=1)
    sim.provider.fail_next("compute.launch", Refused("no capacity"))
    rid = sim.request()
    assert sim.run(rid).state is State.FAILED_CLEAN
    sim.clock.advance(300)
    assert len(sim.provider.alive("web")) == 4
    sim.tidy()
    sim.check(rid)
    assert len(sim.provider.alive("web")) == 3


def test_two_answers_to_one_launch(sim):
    sim.provider.twin_launches = 1
    rid = sim.request()
    assert sim.run(rid).state is State.SUCCEEDED
    sim.clock.advance(10)
    assert len(sim.provider.alive("web")) == 3


def test_a_refused_end_is_a_persons(sim):
    rid = sim.request()
    sim.provider.fail_next("compute.terminate", Refused("termination protection is on"))
    last = sim.run(rid)
    assert last.state is State.STUCK
    assert "end the old one by hand" in last.note
    assert len(sim.provider.in_service("web")) == 3
    blocked = sim.replacer.request(sim.provider.compute.describe(sim.servers[0]), "drift", manual=False)
    sim.drifted.add(sim.servers[0])
    for _ in range(60):
        sim.tick()
    assert "stuck" in sim.record(blocked).note


def test_a_provider_that_is_away_changes_nothing_and_is_asked_again(sim):
    rid = sim.request()
    sim.provider.fail_next("*", Unavailable("503"), times=200)
    for _ in range(20):
        sim.tick()
    assert "cannot be asked" in sim.record(rid).note
    assert sim.run(rid).state is State.SUCCEEDED
    sim.check(rid)


def test_the_last_of_its_group_is_replaced_without_a_gap(tmp_path):
    sim = Simulation(tmp_path, servers=2, min_healthy=2)
    rid = sim.request()
    assert sim.run(rid).state is State.SUCCEEDED
    sim.check(rid)


def test_a_host_that_answers_late_keeps_no_replacement_under_way_waiting(sim):
    looked, usual = [], sim.look

    def slow(instance):
        if instance.id in sim.servers and instance.id != sim.old:
            looked.append(instance.id)
            sim.clock.advance(30)
        return usual(instance)

    sim.look = slow
    sim.restart()
    rid = sim.request()
    assert sim.stop_in(rid, State.SOAKING)
    for name in (sim.servers[0], sim.servers[2]):
        sim.drifted.add(name)
        sim.unseen.add(name)
        sim.replacer.request(sim.provider.compute.describe(name), "drift", manual=False)
    sim.clock.advance(10)
    for _ in range(2):
        sim.replacer.tick()
        sim.clock.advance(BEAT_S)
    assert sorted(looked) == [sim.servers[0], sim.servers[2]], "one a beat, in turns"
    assert sim.run(rid).state is State.SUCCEEDED


def test_a_stop_begins_no_further_step(sim):
    rid = sim.request()
    assert sim.stop_in(rid, State.BOOTING)
    calls = len(sim.provider.calls)
    replacer = Replacer(sim.store, {"web": sim.group}, sim.look, clock=sim.clock, stopping=lambda: True)
    for _ in range(5):
        assert replacer.tick() == []
        sim.clock.advance(BEAT_S)
    assert len(sim.provider.calls) == calls
    assert sim.run(rid).state is State.SUCCEEDED


def test_a_slot_with_a_newcomer_of_a_replacement_that_nobody_knows_waits_for_a_person(sim):
    tags = {"role": "web", TAG_ROLE: ROLE, TAG_SLOT: "web/1", TAG_RID: "01FORGOTTEN"}
    with sim.provider.by_hand():
        stray = sim.provider.compute.launch(LaunchRequest("web", "web/1", "golden", "forgotten", tags))
    rid = sim.request(manual=True)
    for _ in range(30):
        sim.tick()
    assert f"{stray.id} in slot web/1 carries the mark of another replacement" in sim.record(rid).note
    assert len(sim.provider.alive()) == 4
    with sim.provider.by_hand():
        sim.provider.compute.terminate(stray.id)
    assert sim.run(rid).state is State.SUCCEEDED
