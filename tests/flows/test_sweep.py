"""Sweeping, on the real store: what is written, what is planned, what is said, and what is not."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sweeping import CLEAN, EDITED, MALLORY, UNKNOWN, VISITED, drifted, finding

from driftd.core.errors import Unavailable
from driftd.core.findings import Action, Verdict
from driftd.core.looks import Look
from driftd.core.memory import StoreUnavailable, Suppression
from driftd.core.ports import LaunchRequest
from driftd.core.replacement import State
from driftd.core.sessions import differences
from driftd.flows.replace import Replacer
from driftd.flows.visit import Visitor
from driftd.testing import FakeProvider


def test_every_instance_is_discovered_and_looked_at_in_its_time(fleet):
    fleet.sweeper.tick()
    assert sorted(fleet.looked) == ["i-0001", "i-0002", "i-0003"]
    assert {row.verdict for row in fleet.read("instances")} == {Verdict.CLEAN}
    fleet.clock.advance(5)
    fleet.sweeper.tick()
    assert len(fleet.looked) == 3
    fleet.clock.advance(5)
    fleet.sweeper.tick()
    assert len(fleet.looked) == 6
    fleet.restart()
    fleet.clock.advance(10)
    fleet.sweeper.tick()
    assert len(fleet.looked) == 9


def test_one_that_has_just_begun_looks_at_all_of_them_whatever_was_seen_before(fleet):
    fleet.group = replace(fleet.group, every=timedelta(minutes=5))
    fleet.groups["web"] = fleet.group
    fleet.sweeper.tick()
    fleet.looked.clear()
    fleet.clock.advance(20)
    fleet.sweeper.tick()
    assert not fleet.looked
    fleet.restart()
    fleet.sweeper.tick()
    assert sorted(fleet.looked) == sorted(fleet.provider.servers)
    fleet.clock.advance(20)
    fleet.sweeper.tick()
    assert len(fleet.looked) == 3


def test_a_look_that_confirms_adds_no_journal_line_and_says_nothing(fleet):
    fleet.one(drifted(EDITED))
    lines, messages = len(fleet.read("journal_lines")), len(fleet.read("unsent"))
    row = fleet.one(drifted(EDITED))
    assert len(fleet.read("journal_lines")) == lines
    assert len(fleet.read("unsent")) == messages
    assert row.looked_at == fleet.clock()
    assert row.verdict_since == fleet.clock() - timedelta(seconds=10)


def test_drift_is_written_planned_and_said_at_once(fleet):
    row = fleet.one(drifted(EDITED))
    assert (row.verdict, row.action) == (Verdict.DRIFTED, Action.REPLACE)
    [found] = fleet.read("open_findings", "i-0002")
    assert found.finding == EDITED
    [record] = fleet.read("open_replacements")
    assert (record.old_id, record.slot, record.image, record.state) == ("i-0002", "web/1", "golden", State.CONFIRMING)
    assert (record.manual, record.quarantine) == (False, False)
    assert [m.code for m in fleet.read("unsent")] == ["drift", "replacement-confirming"]
    fleet.one(drifted(EDITED))
    assert len(fleet.read("open_replacements")) == 1


def test_a_finding_that_asks_for_quarantine_keeps_the_old_one(fleet):
    other = replace(VISITED, action=Action.QUARANTINE)
    row = fleet.one(drifted(EDITED, other))
    assert row.action is Action.QUARANTINE
    [record] = fleet.read("open_replacements")
    assert record.quarantine


def test_a_group_that_only_observes_plans_nothing_and_says_why(observing):
    observing.one(drifted(EDITED))
    assert not observing.read("open_replacements")
    [line] = observing.read("journal_lines", "i-0002")
    assert "only observes" in line.body["not_replaced"]


def test_a_finding_that_only_alerts_plans_nothing(fleet):
    fleet.one(drifted(replace(EDITED, action=Action.ALERT)))
    assert not fleet.read("open_replacements")
    assert [m.code for m in fleet.read("unsent")] == ["drift"]


def test_who_could_not_be_seen_keeps_what_is_known_and_is_not_replaced(observing, fleet):
    observing.one(drifted(EDITED))
    row = observing.one(UNKNOWN)
    assert row.verdict is Verdict.UNKNOWN
    assert row.root == ("01" * 32)
    assert len(observing.read("open_findings", "i-0002")) == 1


def test_unknown_replaces_nobody_even_where_policy_would(fleet):
    fleet.one(UNKNOWN)
    assert not fleet.read("open_replacements")


def test_unknown_for_long_is_said_once(fleet):
    fleet.one(UNKNOWN)
    for _ in range(3):
        fleet.clock.advance(1800)
        fleet.one(UNKNOWN)
    assert [m.code for m in fleet.read("unsent")] == ["unknown"]


def test_what_is_gone_is_resolved_and_said(observing):
    observing.one(drifted(EDITED))
    row = observing.one(CLEAN)
    assert row.verdict is Verdict.CLEAN
    assert row.action is Action.IGNORE
    assert not observing.read("open_findings", "i-0002")
    assert [m.code for m in observing.read("unsent")] == ["drift", "resolved"]


def test_a_taint_is_sticky_and_asks_for_the_replacement_on_its_own(observing):
    row = observing.one(drifted(VISITED), (MALLORY,))
    assert "mallory" in row.taint
    assert [m.code for m in observing.read("unsent")] == ["session"]
    since = row.taint_since
    row = observing.one(CLEAN)
    assert row.verdict is Verdict.CLEAN
    assert (row.taint_since, row.action) == (since, Action.REPLACE)
    assert "mallory" in row.taint
    observing.groups["web"] = replace(observing.group, rules=replace(observing.group.rules, enforce=Action.REPLACE))
    observing.one(CLEAN)
    [record] = observing.read("open_replacements")
    assert "mallory" in record.why


def test_a_taint_alone_asks_for_no_replacement_where_nobody_vouches_for_the_manifest(fleet):
    look = fleet.look(fleet.provider.compute.describe("i-0002"))
    fleet.sweeper._look = lambda _instance: replace(
        look, judgement=drifted(VISITED), others=(MALLORY,), enforceable=False
    )
    fleet.sweeper.sweep_one(look.instance)
    row = fleet.read("instance", "i-0002")
    assert ("mallory" in row.taint, row.action) == (True, Action.ALERT)
    assert not fleet.read("open_replacements")


def test_only_a_person_lifts_a_taint(observing):
    observing.one(drifted(VISITED), (MALLORY,))
    with observing.store.write() as tx:
        later = observing.clock() + timedelta(days=1)
        tx.add_suppression(Suppression(0, VISITED.signature, "web", "ann", "that was me", observing.clock(), later))
    row = observing.one(CLEAN)
    assert (row.taint, row.action) == ("", Action.IGNORE)


def test_an_own_visit_is_kept_and_taints_nothing(fleet):
    look = fleet.look(fleet.provider.compute.describe("i-0002"))
    fleet.sweeper._look = lambda _instance: replace(look, own=(replace(MALLORY, user="root"),))
    fleet.sweeper.sweep_one(look.instance)
    [row] = fleet.read("sessions", "i-0002")
    assert row.own
    assert not fleet.read("instance", "i-0002").taint


def test_a_confirmed_taint_replaces_even_when_the_files_are_as_baked(fleet):
    fleet.one(drifted(VISITED), (MALLORY,))
    fleet.said["i-0002"] = (CLEAN, ())
    replacer = Replacer(fleet.store, fleet.groups, fleet.look, clock=fleet.clock)
    fleet.clock.advance(60)
    replacer.tick()
    [record] = fleet.read("open_replacements")
    assert record.state not in {State.CONFIRMING, State.CANCELLED}


def test_after_a_cancel_by_hand_the_same_instance_is_left_alone_for_a_while(fleet):
    fleet.one(drifted(EDITED))
    replacer = Replacer(fleet.store, fleet.groups, fleet.look, clock=fleet.clock)
    replacer.cancel("web/1", "ann")
    replacer.tick()
    fleet.one(drifted(EDITED))
    assert not fleet.read("open_replacements")
    fleet.clock.advance(1800)
    fleet.one(drifted(EDITED))
    assert len(fleet.read("open_replacements")) == 1


def test_the_newcomer_of_an_open_replacement_is_left_alone_until_it_is_verified(fleet):
    fleet.one(drifted(EDITED))
    with fleet.store.write() as tx:
        [record] = tx.open_replacements()
        tx.save_replacement(replace(record, state=State.BOOTING, new_id="i-0004"))
    made = fleet.provider.compute.launch(LaunchRequest("web", "web/1", "golden", "n", {"driftd:rid": record.rid}))
    fleet.said[made.id] = (drifted(EDITED), ())
    fleet.looked.clear()
    fleet.sweeper.sweep_one(made)
    assert not fleet.looked


def test_who_is_missing_twice_is_gone_and_nothing_about_it_stays_open(fleet):
    fleet.sweeper.tick()
    fleet.one(drifted(EDITED))
    fleet.provider.vanish("i-0002")
    fleet.sweeper.discover("web")
    assert fleet.read("instance", "i-0002").gone_at is None
    assert "i-0002 in web is gone, and driftd did not end it" in fleet.sweeper.discover("web")
    assert [m.code for m in fleet.read("unsent")][-1] == "gone"
    assert fleet.read("instance", "i-0002").gone_at == fleet.clock()
    assert not fleet.read("open_findings", "i-0002")


def test_an_empty_inventory_marks_nobody(fleet):
    fleet.sweeper.tick()
    for name in list(fleet.provider.servers):
        fleet.provider.vanish(name)
    for _ in range(3):
        [said] = fleet.sweeper.discover("web")
        assert "is empty where 3 instances were known" in said
    assert len(fleet.read("instances")) == 3
    assert [m.code for m in fleet.read("unsent")] == ["inventory-empty"]


def test_a_provider_that_breaks_its_promises_blinds_its_own_group_alone(fleet):
    broken = FakeProvider(fleet.clock)
    broken.fail_next("inventory.find", ZeroDivisionError("no promise kept"), times=5)
    fleet.groups["bad"] = replace(fleet.group, name="bad", provider=broken)
    fleet.groups["web"] = fleet.groups.pop("web")  # the broken one comes first
    said = fleet.sweeper.tick()
    assert any("the inventory of bad cannot be read" in sentence for sentence in said)
    assert {row.id for row in fleet.read("instances", "web")} == {"i-0001", "i-0002", "i-0003"}


def test_an_inventory_that_cannot_be_read_changes_nothing(fleet):
    fleet.sweeper.tick()
    fleet.provider.fail_next("inventory.find", Unavailable("503"))
    [said] = fleet.sweeper.discover("web")
    assert "cannot be read" in said
    assert len(fleet.read("instances")) == 3


def test_one_look_that_breaks_does_not_stop_the_others(fleet, caplog):
    usual = fleet.sweeper._look

    def look(instance):
        if instance.id == "i-0001":
            raise RuntimeError("nobody foresaw this")
        return usual(instance)

    fleet.sweeper._look = look
    said = fleet.sweeper.tick()
    assert "i-0001: RuntimeError in a look; it is tried again" in said
    assert sorted(fleet.looked) == ["i-0002", "i-0003"]
    assert "nobody foresaw this" in caplog.text


def test_a_look_that_takes_long_keeps_no_other_waiting(fleet):
    go_on = threading.Event()
    usual = fleet.look

    def look(instance):
        if instance.id == "i-0001":
            assert go_on.wait(30)
        return usual(instance)

    fleet.look = look
    sweeper = fleet.another(lookers=2, patience_s=0.2)
    try:
        for _ in range(3):
            sweeper.tick()
            fleet.clock.advance(10)
        assert (fleet.looked.count("i-0001"), fleet.looked.count("i-0002"), fleet.looked.count("i-0003")) == (0, 3, 3)
    finally:
        go_on.set()
    assert sweeper.tick()
    assert fleet.looked.count("i-0001") >= 1


def test_what_a_crash_or_a_full_disk_left_leased_is_looked_at_at_once(fleet, monkeypatch):
    fleet.sweeper.discover("web")
    assert len(fleet.queue.take("look", 2, 900, fleet.clock())) == 2  # and then it is killed
    fleet.restart()
    fleet.sweeper.tick()
    assert len(fleet.looked) == 3

    def full(job, due):
        raise StoreUnavailable("the disk is full")

    fleet.clock.advance(10)
    with monkeypatch.context() as patch:
        patch.setattr(fleet.queue, "retry", full)
        with pytest.raises(StoreUnavailable):
            fleet.sweeper.tick()
    looked = len(fleet.looked)
    fleet.sweeper.tick()
    assert len(fleet.looked) >= looked + 2


def test_who_was_ended_while_driftd_looked_stays_gone(fleet):
    fleet.one(CLEAN)
    instance = fleet.provider.compute.describe("i-0002")

    def ended():
        with fleet.store.write() as tx:
            tx.put_instance(replace(tx.instance("i-0002"), gone_at=fleet.clock(), state="terminated"))
        return Look(instance, fleet.clock(), 0.1, UNKNOWN, b"")

    fleet.sweeper._look = lambda _instance: ended()
    fleet.sweeper.sweep_one(instance)
    assert fleet.read("instance", "i-0002").gone_at is not None
    fleet.looked.clear()
    fleet.sweeper._look = fleet.look
    fleet.sweeper.sweep_one(instance)
    assert not fleet.looked
    fleet.sweeper.tick()
    assert fleet.read("instance", "i-0002").gone_at is None, "the inventory has it again"


def test_a_look_that_was_cut_off_by_a_stop_is_no_news(fleet):
    fleet.one(CLEAN)

    def cut(instance):
        fleet.stopping = True
        return Look(instance, fleet.clock(), 0.1, UNKNOWN, b"")

    fleet.sweeper._look = cut
    fleet.sweeper.sweep_one(fleet.provider.compute.describe("i-0002"))
    assert fleet.read("instance", "i-0002").verdict is Verdict.CLEAN


def test_who_put_the_old_one_back_in_service_is_left_alone_for_a_while(fleet):
    fleet.one(drifted(EDITED))
    with fleet.store.write() as tx:
        [record] = tx.open_replacements()
        tx.save_replacement(
            replace(record, state=State.CANCELLED, fault="somebody put it back", entered_at=fleet.clock())
        )
    fleet.one(drifted(EDITED))
    assert not fleet.read("open_replacements")
    fleet.clock.advance(1800)
    fleet.one(drifted(EDITED))
    assert len(fleet.read("open_replacements")) == 1


def test_what_to_do_about_unknown_stands_in_the_reason(fleet):
    fleet.sweeper._look = lambda i: Look(i, fleet.clock(), 0.1, UNKNOWN, b"", hint="mend it with: true")
    fleet.sweeper.sweep_one(fleet.provider.compute.describe("i-0002"))
    assert fleet.read("instance", "i-0002").reason == "no answer in 10 s; mend it with: true"


def test_a_visit_is_open_while_driftd_looks_and_closed_after(fleet):
    seen = []

    def audit(instance, visits, suppressions) -> Look:
        seen.append(fleet.read("visits", instance.id)[0])
        return fleet.look(instance)

    visitor = Visitor(fleet.store, audit, lambda _instance: "SHA256:ours", clock=fleet.clock)
    visitor(fleet.provider.compute.describe("i-0002"))
    assert seen[0].key == "SHA256:ours"
    assert seen[0].closed_at is None
    assert len(seen[0].trace.scan) == 32
    assert fleet.read("visits", "i-0002")[0].closed_at == fleet.clock()


def test_a_visit_that_a_crash_left_open_does_not_last_for_ever(fleet):
    with fleet.store.write() as tx:
        tx.open_visit("i-0002", "SHA256:ours", fleet.clock())
    opened = fleet.clock()
    given = []

    def audit(instance, visits, suppressions) -> Look:
        given.extend(visits())
        return fleet.look(instance)

    fleet.clock.advance(86400)
    Visitor(fleet.store, audit, lambda _i: "SHA256:ours", clock=fleet.clock)(fleet.provider.compute.describe("i-0002"))
    assert given[-1].closed == opened + timedelta(minutes=10)


def observed(session, action):
    return finding(differences([session])[0], action)


@pytest.mark.parametrize("action", [Action.OBSERVE, Action.ALERT, Action.REPLACE])
def test_a_session_taints_whatever_the_answer_and_is_told_and_acted_upon_as_that_says(fleet, action):
    row = fleet.one(drifted(observed(MALLORY, action)), (MALLORY,))
    assert ("mallory" in row.taint, row.action) == (True, action)
    assert ("session" in {m.code for m in fleet.read("unsent")}) == (action is not Action.OBSERVE)
    assert bool(fleet.read("open_replacements")) == (action is Action.REPLACE)
    row = fleet.one(CLEAN)
    assert ("mallory" in row.taint, row.action) == (True, action)


def test_what_the_server_began_by_itself_is_kept_and_taints_nothing(fleet):
    cron = replace(MALLORY, door="service", user="root", source="")
    row = fleet.one(replace(CLEAN, explained=(observed(cron, Action.EXPLAIN),)), (cron,))
    assert row.taint == ""
    assert [one.session.door for one in fleet.read("sessions", "i-0002")] == ["service"]
    row = fleet.one(drifted(observed(MALLORY, Action.ALERT)), (cron, MALLORY))
    assert "mallory" in row.taint
    assert "others" not in row.taint


def test_who_is_seen_no_more_has_left(fleet):
    live = replace(MALLORY, live=True)
    fleet.one(drifted(VISITED), (live,))
    assert [one.session.live for one in fleet.read("sessions", "i-0002")] == [True]
    fleet.one(UNKNOWN)
    assert [one.session.live for one in fleet.read("sessions", "i-0002")] == [True]
    fleet.one(drifted(VISITED))
    (left,) = fleet.read("sessions", "i-0002")
    assert (left.session.live, left.session.ended_at) == (False, fleet.clock())
