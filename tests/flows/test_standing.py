"""How a group stands: from the store and the load balancer, once for all of its replacements."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from driftd.core.breakers.facts import Pass
from driftd.core.facts import Session
from driftd.core.findings import Action, Verdict
from driftd.core.guards.case import Failures, GroupRules, Held, Presence, Retired
from driftd.core.holds import Hold
from driftd.core.memory import InstanceRow
from driftd.core.ports import Target, TargetState
from driftd.core.replacement import Record, State
from driftd.edges.store import open_store
from driftd.flows.groups import Group
from driftd.flows.standing import Standings, standing
from driftd.flows.survey import Survey
from driftd.testing import FakeClock, FakeProvider

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
CLOCK = FakeClock()
NOW = CLOCK()


@pytest.fixture
def store(tmp_path):
    made = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    with made.write() as tx:
        for number in range(5):
            tx.put_instance(row(f"i-{number}", f"web/{number}"))
        tx.put_instance(row("d-0", "db/0", "db"))
    yield made
    made.close()


@pytest.fixture
def group():
    return Group("web", FakeProvider(CLOCK), GroupRules("web", enforce=Action.REPLACE))


def row(name: str, slot: str, group: str = "web", **more) -> InstanceRow:
    values = {"state": "running", "verdict": Verdict.DRIFTED, "action": Action.REPLACE} | more
    return InstanceRow(
        name, group, slot, "golden", "", values.pop("state"), values.pop("verdict"), "1 finding", "", NOW,
        values.pop("looked_at", NOW), NOW, **values,
    )  # fmt: skip


def record(number: int, state: State, entered=NOW, group: str = "web", **more) -> Record:
    return Record(
        f"R{group}{number}",
        group,
        f"{group}/{number}",
        "golden",
        f"i-{number}",
        "drift",
        state,
        NOW - 9 * HOUR,
        entered,
        **more,
    )


TARGETS = {f"i-{number}": Target(f"i-{number}", TargetState.HEALTHY) for number in range(5)}


def facts(store, group, targets=TARGETS):
    with store.read() as tx:
        return standing(tx, group, targets, NOW)


def test_a_slot_that_is_filled_again_counts_once(store, group):
    with store.write() as tx:
        tx.add_replacement(record(0, State.SOAKING, new_id="n-0"))
        tx.put_instance(row("n-0", "web/0"))
    both = TARGETS | {"n-0": Target("n-0", TargetState.HEALTHY)}
    assert (facts(store, group, both).size, facts(store, group, both).in_service) == (5, 6)
    # The old one is gone, from the load balancer and from the store.
    with store.write() as tx:
        tx.put_instance(replace(tx.instance("i-0"), gone_at=NOW))
    del both["i-0"]
    assert facts(store, group, both).size == 5


def test_a_store_that_knows_nobody_takes_the_load_balancers_word(tmp_path, group):
    empty = open_store(f"sqlite:///{tmp_path / 'empty.db'}")
    with empty.write() as tx:
        tx.add_replacement(record(0, State.DRAINING, new_id="n-0"))
    targets = {name: target for name, target in TARGETS.items() if name != "i-0"} | {
        "n-0": Target("n-0", TargetState.HEALTHY)
    }
    assert facts(empty, group, targets).size == 5
    empty.close()


def test_who_is_not_ready_and_who_is_ending(store, group):
    with store.write() as tx:
        tx.put_instance(row("i-3", "web/3", state="shutting-down"))
        tx.put_instance(row("i-4", "web/4", state="stopped"))
        tx.add_replacement(record(4, State.PARKING, new_id="n-4"))
    targets = TARGETS | {"i-2": Target("i-2", TargetState.UNHEALTHY), "i-4": Target("i-4", TargetState.DRAINING)}
    seen = facts(store, group, targets)
    assert (seen.unready, seen.ending) == ({"i-2"}, {"i-3"})
    assert [(one.rid, one.old_id, one.new_id) for one in seen.flights] == [("Rweb4", "i-4", "n-4")]


def test_what_ended_lately_counts_for_pace_and_back_off(store, group):
    with store.write() as tx:
        for one in (
            record(0, State.SUCCEEDED, NOW - 30 * MINUTE, manual=True, committed=True),
            record(1, State.SUCCEEDED, NOW - 23 * HOUR, committed=True),
            record(2, State.SUCCEEDED, NOW - 25 * HOUR, committed=True),
            record(3, State.FAILED_CLEAN, NOW - 20 * MINUTE, signature="s"),
            record(4, State.ABORTED_SAFE, NOW - 10 * MINUTE, signature="s"),
            record(5, State.FAILED_CLEAN, NOW - 5 * MINUTE, group="db", signature="s"),
            record(6, State.CANCELLED, NOW - MINUTE),
            record(7, State.ADMITTING, NOW),
            record(8, State.LAUNCHING, NOW, group="db"),
        ):
            tx.add_replacement(one)
    seen = facts(store, group)
    assert set(seen.retired) == {Retired(NOW - 30 * MINUTE, attended=True), Retired(NOW - 23 * HOUR)}
    assert seen.failures == Failures(2, NOW - 10 * MINUTE)
    assert seen.signatures == {"s": Failures(3, NOW - 5 * MINUTE)}
    assert (seen.fleet, seen.flights) == (1, ())


def test_stuck_holds_until_one_that_was_asked_for_after_it_succeeded(store, group):
    with store.write() as tx:
        tx.add_replacement(record(0, State.STUCK, NOW - 9 * HOUR))
        tx.add_replacement(record(1, State.SUCCEEDED, NOW - 10 * HOUR))
        tx.add_replacement(replace(record(2, State.SUCCEEDED, NOW - 8 * HOUR), created_at=NOW - 10 * HOUR))
    assert facts(store, group).stuck == "Rweb0"
    with store.write() as tx:
        tx.add_replacement(replace(record(3, State.SUCCEEDED, NOW - HOUR), created_at=NOW - 2 * HOUR))
    assert facts(store, group).stuck == ""


def test_holds_and_people_are_found_by_instance(store, group):
    session = Session("ssh", "mallory", "203.0.113.9", NOW - 3 * HOUR, live=True)
    with store.write() as tx:
        tx.put_hold(Hold(0, "i-1", "web", "ann", "a crash", NOW - HOUR, NOW + HOUR))
        tx.put_hold(Hold(0, "i-2", "web", "ann", "over", NOW - 2 * HOUR, NOW - HOUR))
        tx.add_session("i-1", session, own=False, now=NOW - 2 * HOUR)
        tx.add_session("i-1", replace(session, port=2), own=False, now=NOW - HOUR)
        tx.add_session("i-2", replace(session, live=False, ended_at=NOW - 5 * MINUTE), own=False, now=NOW - HOUR)
        tx.add_session("i-3", replace(session, live=False, ended_at=NOW + 99 * HOUR), own=False, now=NOW)
        tx.add_session("i-4", session, own=True, now=NOW)
        tx.add_session("i-4", replace(session, door="service"), own=False, now=NOW)
    seen = facts(store, group)
    assert seen.holds == {"i-1": Held("ann", "a crash", NOW + HOUR)}
    assert seen.present == {
        "i-1": Presence(2, NOW - 2 * HOUR),
        "i-2": Presence(0, NOW - HOUR, NOW - 5 * MINUTE),
        "i-3": Presence(0, NOW, NOW),
    }


def test_it_is_made_once_a_round_and_anew_for_each_survey(store, group):
    standings = Standings(store, {"web": group})
    first = Survey({}, TARGETS)
    made = standings.of(group, first, NOW)
    with store.write() as tx:
        tx.put_hold(Hold(0, "i-1", "web", "ann", "a crash", NOW, NOW + HOUR))
    assert standings.of(group, first, NOW) is made
    assert standings.of(group, Survey({}, TARGETS), NOW).facts.holds, "who acts reads again, live"
    made = standings.of(group, first, NOW)
    standings.begin([])
    assert standings.of(group, first, NOW) is not made


def test_what_one_takes_the_next_does_not_have(store, group):
    waits, flies = record(1, State.ADMITTING), record(2, State.ADMITTING)
    standings, seen = Standings(store, {"web": group}), Survey({}, TARGETS)
    standings.begin([waits, flies])
    assert not standings.of(group, seen, NOW).facts.flights
    standings.moved(replace(flies, state=State.PLANNING))
    assert [one.rid for one in standings.of(group, seen, NOW).facts.flights] == [flies.rid]
    ended = replace(flies, state=State.FAILED_CLEAN, entered_at=NOW)
    with store.write() as tx:
        tx.add_replacement(ended)
    standings.moved(ended)
    stand = standings.of(group, seen, NOW)
    assert not stand.facts.flights
    assert stand.facts.failures.count == 1, "what ended is read again"


def test_what_the_store_remembers_of_those_that_wait(store, group):
    with store.write() as tx:
        tx.add_replacement(record(1, State.ADMITTING))
        tx.add_replacement(record(2, State.SOAKING))
    stand = Standings(store, {"web": group}).of(group, Survey({}, TARGETS), NOW)
    assert stand.remembered.keys() == {"i-1"}
    assert (stand.remembered["i-1"].verdict, stand.remembered["i-1"].taint) == (Verdict.DRIFTED, "")


# --- a daemon that has just begun ------------------------------------------------------------------------------------


def cold(store, group, standings) -> str:
    with store.read() as tx:
        standings.begin(tx.open_replacements())
    return standings.of(group, Survey({}, TARGETS), NOW).facts.cold


def test_nothing_is_let_in_before_the_whole_group_was_seen_again(store, group):
    standings = Standings(store, {"web": group}, since=NOW)
    with store.write() as tx:
        tx.add_pass(Pass("web", NOW - MINUTE, 5, 5))
        tx.add_pass(Pass("db", NOW + MINUTE, 5, 5))
        for number in range(5):
            tx.put_instance(row(f"i-{number}", f"web/{number}", looked_at=NOW - MINUTE))
    assert "has not read the inventory of web since; nothing is changed" in cold(store, group, standings)
    with store.write() as tx:
        tx.add_pass(Pass("web", NOW + MINUTE, 0, 5, unseen="no answer in 10 s"))
    assert "of web since (no answer in 10 s)" in cold(store, group, standings)
    with store.write() as tx:
        tx.add_pass(Pass("web", NOW + 2 * MINUTE, 5, 5))
        tx.put_instance(row("i-0", "web/0", looked_at=NOW + MINUTE))
    said = cold(store, group, standings)
    assert "has looked at 1 of 5 instances of web since, not at i-1, i-2, i-3 and 1 more" in said
    with store.write() as tx:
        for number in range(5):
            tx.put_instance(row(f"i-{number}", f"web/{number}", looked_at=NOW + MINUTE, verdict=Verdict.UNKNOWN))
        tx.put_instance(row("n-0", "web/0", looked_at=None))
        tx.add_replacement(record(0, State.BOOTING, new_id="n-0"))
    assert cold(store, group, standings) == "", "a newcomer is looked at by its replacement"
    with store.write() as tx:
        tx.put_instance(row("i-9", "web/9", looked_at=None))
    assert cold(store, group, standings) == "", "once is enough"


@pytest.mark.parametrize(
    "more",
    [{"state": State.PARKING, "drain_sent": True, "drain_seen": True}, {"state": State.RETIRING}],
    ids=["drained", "was no target, and is ended"],
)
def test_an_old_one_that_is_out_of_service_already_is_not_waited_for(store, group, more):
    """It may be stopped, and never be looked at again: waiting for that would leave its replacement half done."""
    standings = Standings(store, {"web": group}, since=NOW)
    with store.write() as tx:
        tx.add_pass(Pass("web", NOW + MINUTE, 5, 5))
        for number in range(5):
            tx.put_instance(row(f"i-{number}", f"web/{number}", looked_at=NOW + MINUTE))
        tx.put_instance(row("i-1", "web/1", looked_at=NOW - MINUTE))
        tx.add_replacement(replace(record(1, State.SOAKING), new_id="n-1"))
    assert "not at i-1" in cold(store, group, standings)
    with store.write() as tx:
        left = tx.open_replacements("web")[0]
        tx.save_replacement(replace(left, **more))
    assert cold(store, group, standings) == ""


def test_an_empty_inventory_is_no_pass(store, group):
    standings = Standings(store, {"web": group}, since=NOW)
    with store.write() as tx:
        tx.add_pass(Pass("web", NOW + MINUTE, 0, 5))
    assert "the inventory of web since (it was empty)" in cold(store, group, standings)


# --- zones -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def zoned(store):
    """web/0 to web/3 in a and b by turns, web/4 nobody told of; db/0 in a, too."""
    with store.write() as tx:
        for number in range(4):
            tx.put_instance(row(f"i-{number}", f"web/{number}", zone="ab"[number % 2]))
        tx.put_instance(row("d-0", "db/0", "db", zone="a"))
    return store


def test_zones_are_known_by_instance_and_by_slot(zoned, group):
    with zoned.write() as tx:
        tx.add_replacement(record(0, State.SOAKING, new_id="n-0"))
        tx.add_replacement(record(4, State.SOAKING, new_id="n-4"))
    seen = facts(zoned, group)
    assert {one.slot: one.zone for one in seen.flights} == {"web/0": "a", "web/4": ""}
    assert (seen.zones["i-1"], seen.zones["web/1"], "web/4" in seen.zones) == ("b", "b", False)


@pytest.mark.parametrize(("gone", "zone"), [(timedelta(0), "a"), (23 * HOUR, "a"), (25 * HOUR, "")])
def test_a_slot_whose_instance_is_gone_stays_in_its_zone_for_a_day(zoned, group, gone, zone):
    with zoned.write() as tx:
        tx.put_instance(replace(tx.instance("i-0"), gone_at=NOW - gone))
        tx.add_replacement(record(0, State.LAUNCHING))
    (flight,) = facts(zoned, group).flights
    assert flight.zone == zone


def test_who_is_there_tells_the_slots_zone(zoned, group):
    with zoned.write() as tx:
        tx.put_instance(replace(tx.instance("i-0"), gone_at=NOW))
        tx.put_instance(row("n-0", "web/0", zone="b"))
        tx.add_replacement(record(0, State.SETTLING, new_id="n-0"))
    (flight,) = facts(zoned, group).flights
    assert flight.zone == "b"


def test_slow_start_counts_a_zone_over_all_groups(zoned, group):
    flies, waits, elsewhere = (
        record(0, State.SOAKING, group="db"),
        record(2, State.ADMITTING),
        record(1, State.ADMITTING),
    )
    standings = Standings(zoned, {"web": group})
    standings.begin([flies, waits, elsewhere])
    allowed = standings.of(group, Survey({}, TARGETS), NOW).facts.widths
    assert allowed.refusal(waits).startswith("zone a has 1 under way, and slow start allows 1")
    assert allowed.refusal(elsewhere) == ""


def test_zones_are_read_once_a_round(zoned, group):
    flies = record(0, State.ADMITTING)
    standings, seen = Standings(zoned, {"web": group}), Survey({}, TARGETS)
    standings.begin([flies])
    assert standings.of(group, seen, NOW).facts.zones["i-0"] == "a"
    with zoned.write() as tx:
        tx.put_instance(row("i-0", "web/0", zone="c"))
    standings.moved(replace(flies, state=State.PLANNING))
    assert standings.of(group, seen, NOW).facts.zones["i-0"] == "a"
    standings.begin([flies])
    assert standings.of(group, seen, NOW).facts.zones["i-0"] == "c"
