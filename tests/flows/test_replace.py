"""The loop around the decision: what it writes before it acts, and what it does when it may not or cannot act."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from simulation import Simulation
from store_rows import instance

from driftd.core.difference import Change
from driftd.core.errors import BadInput, Unavailable
from driftd.core.facts import Session
from driftd.core.findings import Action, Finding, Severity, Verdict
from driftd.core.guards.case import Grace
from driftd.core.memory import LeaseHeld, StoreUnavailable
from driftd.core.replacement import State
from driftd.flows import holding


@pytest.fixture
def sim(tmp_path):
    return Simulation(tmp_path)


def test_the_whole_request_is_durable_before_the_call(sim):
    rid = sim.request()
    usual, kept = sim.provider.compute.launch, []

    def launch(request):
        with sim.store.read() as tx:
            kept.append((tx.journal_lines(rid)[-1], tx.replacement(rid).intent, request))
        return usual(request)

    sim.provider.compute.launch = launch
    assert sim.run(rid).state is State.SUCCEEDED
    [(line, intent, request)] = kept
    assert line.kind == "intent"
    assert line.body["request"] == {
        "group": request.group,
        "slot": request.slot,
        "image": request.image,
        "token": request.token,
        "tags": dict(request.tags),
    }
    assert request.token in intent
    assert request.tags == {
        "driftd:rid": rid,
        "driftd:slot": "web/1",
        "driftd:role": "replacement",
        "driftd:attempt": "1",
    }


def test_the_end_of_the_old_one_carries_the_proof_of_its_guards(sim):
    rid = sim.request()
    assert sim.run(rid).state is State.SUCCEEDED
    with sim.store.read() as tx:
        [line] = [one for one in tx.journal_lines(rid) if one.kind == "intent" and one.body["call"] == "terminate"]
    assert line.body["guards"] == {
        "in_service": 3,
        "min_healthy": 2,
        "old": {"state": "stopped", "target": "", "connections": 0},
        "new": {"id": "i-0004", "target": "healthy", "verified": True},
    }


def test_what_happens_while_people_are_looked_for_is_seen_before_the_old_one_is_let_go(sim):
    rid = sim.request()
    look = sim.look

    def slow(instance):
        if instance.id == sim.old:
            sim.provider.make_sick(sim.record(rid).new_id)
        return look(instance)

    sim.replacer._look = slow
    assert sim.run(rid).state is State.FAILED_CLEAN
    drained = [e.subject for e in sim.provider.events[sim.first_event :] if e.call == "traffic.drain"]
    assert sim.old not in drained
    assert sim.old in sim.provider.in_service("web")


def test_while_the_store_is_away_nothing_is_changed(sim):
    rid = sim.request()
    events = len(sim.provider.events)

    @contextmanager
    def write():
        raise StoreUnavailable("the disk is full")
        yield

    sim.store.write = write
    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            sim.replacer.tick()
        sim.clock.advance(2)
    assert len(sim.provider.events) == events
    del sim.store.write
    assert sim.run(rid).state is State.SUCCEEDED


def test_an_outcome_that_could_not_be_written_is_observed_instead(sim):
    rid = sim.request()
    usual = sim.provider.compute.launch

    def launch(request):
        made = usual(request)
        sim.store.inner, sim.store.away = None, sim.store.inner
        return made

    sim.provider.compute.launch = launch
    with pytest.raises(AttributeError):
        sim.replacer.tick()
    sim.store.inner = sim.store.away
    sim.provider.compute.launch = usual
    assert sim.run(rid).state is State.SUCCEEDED
    with sim.store.read() as tx:
        assert "unknown" in [line.body.get("outcome") for line in tx.journal_lines(rid)]
    sim.check(rid)


def test_who_lost_the_lease_makes_no_call(sim):
    sim.request()
    events = len(sim.provider.events)

    def fence() -> None:
        raise LeaseHeld("another daemon runs on this store")

    sim.replacer._fence = fence
    with pytest.raises(LeaseHeld):
        sim.replacer.tick()
    assert len(sim.provider.events) == events


def test_a_group_that_is_no_longer_configured_is_held_and_said(sim):
    rid = sim.request()
    sim.replacer._groups = {}
    sim.replacer.tick()
    assert sim.record(rid).note == "group web is not configured"
    sim.restart()
    sim.clock.advance(60)
    assert sim.run(rid).state is State.SUCCEEDED


def test_a_provider_that_can_only_look_is_refused_at_once(sim):
    sim.provider.traffic = None
    with pytest.raises(BadInput, match="provider fake cannot drain them"):
        sim.request()


def test_one_broken_step_is_said_and_stops_nobody_else(sim, caplog):
    first = sim.request()
    usual = sim.replacer._look

    def look(instance):
        if instance.id == "i-0004":
            raise RuntimeError("nobody foresaw this")
        return usual(instance)

    sim.replacer._look = look
    said = []
    for _ in range(20):
        said += sim.replacer.tick()
        sim.clock.advance(2)
    assert f"replacement {first}: RuntimeError in a step; it is tried again" in said
    assert "a step failed in a way nobody foresaw: RuntimeError" in sim.record(first).note
    assert "nobody foresaw this" in caplog.text
    sim.replacer._look = usual
    assert sim.run(first).state is State.SUCCEEDED


def test_a_cancel_in_the_middle_of_a_call_is_not_lost(sim):
    rid = sim.request()
    usual = sim.provider.traffic.register

    def register(group, instance):
        usual(group, instance)
        sim.replacer.cancel("web/1", "ann")

    sim.provider.traffic.register = register
    for record in sim.steps(rid):
        if record.cancel_requested:
            sim.provider.traffic.register = usual
    assert record.state is State.CANCELLED
    sim.check(rid)


def test_cancel_knows_slot_instance_and_id_and_nothing_else(sim):
    rid = sim.request()
    for name in (rid, "web/1", "i-0002"):
        assert rid in sim.replacer.cancel(name, "ann")
    with pytest.raises(BadInput, match="no open replacement"):
        sim.replacer.cancel("web/7", "ann")


def test_a_provider_that_is_away_is_asked_once_a_round_whoever_waits_for_it(sim):
    for name in sim.servers:
        sim.drifted.add(name)
        sim.replacer.request(sim.provider.compute.describe(name), "drift was found", manual=True)
    sim.provider.fail_next("compute.list", Unavailable("no answer in 30 s"), times=math.inf)
    sim.provider.calls.clear()
    sim.tick()
    assert sim.provider.calls.count("compute.list") == 1
    with sim.store.read() as tx:
        assert all("no answer in 30 s" in one.note for one in tx.open_replacements())
    sim.clock.advance(60)
    sim.tick()
    assert sim.provider.calls.count("compute.list") == 2


def test_a_slot_that_is_filled_again_in_two_groups_is_named_by_its_id(sim):
    rid = sim.request()
    with sim.store.write() as tx:
        tx.add_replacement(replace(tx.replacement(rid), rid="01OTHER", group="db", old_id="d-1"))
    with pytest.raises(BadInput, match="web/1 is being filled again in 2 groups") as caught:
        sim.replacer.cancel("web/1", "ann")
    assert rid in caught.value.hint
    with pytest.raises(BadInput, match="in 2 groups"):
        holding.deny(sim.store, "web/1", "ann", "no", sim.clock())
    assert "i-0002" in sim.replacer.cancel("i-0002", "ann")
    with sim.store.read() as tx:
        assert not tx.replacement("01OTHER").cancel_requested


def test_a_live_session_is_waited_for_whatever_the_cap_and_then_its_grace(tmp_path):
    sim = Simulation(tmp_path)
    sim.group = replace(sim.group, rules=replace(sim.group.rules, grace=Grace(timedelta(seconds=30))))
    sim.restart()
    sim.live_sessions = 1
    with sim.store.write() as tx:
        tx.put_instance(replace(instance(sim.old), verdict=Verdict.DRIFTED, action=Action.REPLACE))
        live = Session("ssh", "mallory", "203.0.113.9", sim.clock(), live=True)
        tx.add_session(sim.old, live, own=False, now=sim.clock())
    rid = sim.request(manual=False)
    left, notes = None, set()
    for record in sim.steps(rid):
        notes.add(record.note)
        if left is None and sim.clock() >= live.started_at + timedelta(hours=30):
            left, sim.live_sessions = sim.clock(), 0
            with sim.store.write() as tx:
                tx.add_session(sim.old, replace(live, live=False, ended_at=left), own=False, now=left)
        elif left is None:
            assert sim.record(rid).state in {State.CONFIRMING, State.ADMITTING}
            sim.clock.advance(600)
    said = "1 live session on i-0002, and nobody is cut off: it waits until the last one ends"
    assert said in notes
    assert any("which takes longer than 1 d" in one for one in notes)
    assert sim.record(rid).state is State.SUCCEEDED


def test_who_logs_in_during_the_soak_is_not_drained_under(sim):
    rid = sim.request()
    for record in sim.steps(rid):
        if record.state is State.SOAKING:
            sim.live_sessions = 2
        if record.state is State.DRAINING and "2 live sessions on i-0002" in record.note:
            assert not record.drain_sent
            sim.live_sessions = 0
    assert record.state is State.SUCCEEDED
    assert sim.live_sessions == 0, "it was seen right before the drain"


def test_a_hold_on_what_is_being_replaced_makes_it_wait_and_is_said(sim):
    rid = sim.request()
    with sim.store.write() as tx:
        tx.put_instance(replace(instance(sim.old), verdict=Verdict.DRIFTED, action=Action.REPLACE))
    waited = 0
    for record in sim.steps(rid):
        if record.state is State.SOAKING and not waited:
            holding.hold(sim.store, sim.old, "ann", "look at it first", timedelta(hours=2), sim.clock())
            waited = 1
        if record.state is State.DRAINING and waited < 100:
            assert not record.drain_sent
            waited += 1
            if waited == 100:  # far longer than the step may take by itself
                assert record.note.startswith("ann holds i-0002 until 02:00:")
                holding.release(sim.store, sim.old, "bob", sim.clock())
    assert waited == 100
    assert record.state is State.SUCCEEDED
    sim.check(rid)


def test_a_held_one_can_still_be_cancelled_and_is_put_as_it_was(sim):
    rid = sim.request()
    with sim.store.write() as tx:
        tx.put_instance(replace(instance(sim.old), verdict=Verdict.DRIFTED, action=Action.REPLACE))
    held = False
    for record in sim.steps(rid):
        if record.state is State.SOAKING and not held:
            holding.hold(sim.store, sim.old, "ann", "look at it first", timedelta(hours=2), sim.clock())
            held = True
        if "ann holds" in record.note:
            sim.replacer.cancel(rid, "ann")
    assert record.state is State.CANCELLED
    sim.check(rid)


def test_a_denied_one_ends_before_anything_is_changed(sim):
    sim.group = replace(sim.group, rules=replace(sim.group.rules, approve=True))
    sim.restart()
    rid = sim.request(manual=False)
    for record in sim.steps(rid):
        if "enforce: approve" in record.note:
            holding.deny(sim.store, rid, "ann", "not today", sim.clock())
    assert (record.state, record.note) == (State.CANCELLED, "denied by ann before anything was changed")
    assert set(sim.provider.alive("web")) == set(sim.servers)


def test_an_approved_one_goes_on(sim):
    sim.group = replace(sim.group, rules=replace(sim.group.rules, approve=True))
    sim.restart()
    rid = sim.request(manual=False)
    for record in sim.steps(rid):
        if "enforce: approve" in record.note and not record.approved_by:
            holding.approve(sim.store, rid, "ann", sim.clock())
    assert record.state is State.SUCCEEDED
    with sim.store.read() as tx:
        let_in = [line for line in tx.journal_lines(rid) if line.body.get("from") == "admitting"]
    assert "and ann approved it" in let_in[0].body["why"]


def test_nothing_about_an_instance_that_was_replaced_stays_open(sim):
    rid = sim.request()
    old = sim.record(rid).old_id
    finding = Finding("file", b"/etc/x", Change.ADDED, Severity.HIGH, Action.REPLACE, "sig", "rule", "because")
    with sim.store.write() as tx:
        if tx.instance(old) is None:
            tx.put_instance(instance(old))
        tx.add_finding(old, finding, sim.clock())
    assert sim.run(rid).state is State.SUCCEEDED
    with sim.store.read() as tx:
        assert tx.open_findings(old) == []
        assert tx.instance(old).gone_at is not None


def test_who_only_goes_on_waiting_is_not_written_and_not_asked_before_its_time(sim):
    sim.group = replace(sim.group, limits=replace(sim.group.limits, soak=timedelta(seconds=30)))
    sim.restart()
    rid = sim.request()
    assert sim.stop_in(rid, State.SOAKING)
    sim.tick()
    before, begun, decided = sim.record(rid), sim.clock(), []
    usual = sim.replacer._decide
    sim.replacer._decide = lambda *words: decided.append(sim.clock()) or usual(*words)
    while sim.clock() < begun + timedelta(seconds=20):
        sim.replacer.tick()
        assert sim.record(rid) == before
        sim.clock.advance(0.25)
    assert 15 <= len(decided) <= 25, "as often as it polls, and with the slack of half of that"
    sim.replacer.cancel(rid, "ann")
    sim.replacer.tick()
    assert sim.record(rid).state is State.UNDOING
