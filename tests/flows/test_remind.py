"""What waits for people is said to people, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from driftd.core.findings import Action
from driftd.core.guards.case import GroupRules
from driftd.core.holds import Hold, released
from driftd.core.replacement import Record, State
from driftd.edges.store import open_store
from driftd.flows.groups import Group
from driftd.flows.remind import Reminder
from driftd.testing import FakeClock, FakeProvider

HOUR = 3600


class Office:
    def __init__(self, store) -> None:
        self.clock, self.store = FakeClock(), store
        rules = GroupRules("web", enforce=Action.REPLACE, approve=True)
        groups = {"web": Group("web", FakeProvider(self.clock), rules)}
        groups["free"] = replace(groups["web"], name="free", rules=replace(rules, name="free", approve=False))
        self.reminder = Reminder(store, groups, clock=self.clock)
        self.heard = 0

    def hold(self, hours: float, **more) -> Hold:
        span = timedelta(hours=hours)
        made = Hold(0, "i-1", "web", "ann", "a crash", self.clock(), self.clock() + span, **more)
        with self.store.write() as tx:
            return replace(made, id=tx.put_hold(made))

    def record(self, rid: str, group: str = "web", state: State = State.ADMITTING, **more) -> None:
        one = Record(
            rid, group, f"{group}/{rid}", "golden", f"i-{rid}", "drift", state, self.clock(), self.clock(), **more
        )
        with self.store.write() as tx:
            tx.add_replacement(one)

    def after(self, hours: float) -> list[str]:
        """What is said in the time that passes now."""
        self.clock.advance(hours * HOUR)
        assert self.reminder.tick() == []
        assert self.reminder.tick() == []
        with self.store.read() as tx:
            said = [message.text for message in tx.unsent(100)]
        fresh, self.heard = said[self.heard :], len(said)
        return fresh


@pytest.fixture
def office(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'driftd.db'}")
    yield Office(store)
    store.close()


def test_a_hold_that_ends_is_said_before_and_after(office):
    office.hold(3)
    assert office.after(1.9) == []
    (soon,) = office.after(0.2)
    assert soon.startswith(
        "ann's hold of i-1 ends at 2030-01-01 03:00 UTC (a crash): a second person can renew it once"
    )
    (over,) = office.after(1)
    assert over == "ann's hold of i-1 has run out (a crash): it may be replaced again"
    assert office.after(1) == []


def test_nothing_is_said_before_a_short_hold_ends_nor_of_a_renewed_or_released_one(office):
    office.hold(0.9)
    assert office.after(0.5) == []
    office.hold(3, renewed_by="bob")
    assert [text for text in office.after(2.5) if "ends at" in text] == []
    office.after(1)
    held = office.hold(2)
    with office.store.write() as tx:
        tx.put_hold(released(held, "bob", office.clock()))
    assert office.after(3) == []


def test_an_approval_is_asked_for_once_it_is_known_that_the_drift_stays(office):
    office.record("1", state=State.CONFIRMING)
    office.record("2")
    office.record("3", manual=True)
    office.record("4", approved_by="bob")
    office.record("5", group="free")
    (asked,) = office.after(0.1)
    assert asked == "i-2 in web is to be replaced and waits for a person: driftd approve 2, or driftd deny 2 (drift)"


def test_what_waits_long_is_said_after_a_day_and_after_a_week(office):
    office.record("5", group="free", note="web may spare 1 at once")
    assert office.after(23) == []
    (day,) = office.after(2)
    assert day == "the replacement of i-5 in free waits for 1 d 1 h now: web may spare 1 at once"
    assert office.after(24) == []
    (week,) = office.after(24 * 6)
    assert "waits for 8 d 1 h now" in week
