"""The janitor: orphans are said at once, and ended only where that is certain to be right."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from driftd.core.errors import Unavailable
from driftd.core.findings import Severity
from driftd.core.guards.case import GroupRules
from driftd.core.memory import Message, Pause
from driftd.core.ports import LaunchRequest
from driftd.core.replacement import Record, State
from driftd.core.world import ROLE, TAG_RID, TAG_ROLE
from driftd.edges.store import open_store
from driftd.flows.groups import Group
from driftd.flows.janitor import Janitor
from driftd.testing import FakeClock, FakeProvider


class House:
    def __init__(self, home) -> None:
        self.clock = FakeClock()
        self.provider = FakeProvider(self.clock)
        self.store = open_store(f"sqlite:///{home / 'driftd.db'}")
        groups = {"web": Group("web", self.provider, GroupRules("web"))}
        self.paused = ""
        self.janitor = Janitor(
            self.store, groups, clock=self.clock, pause=lambda _group: self.paused, keep=timedelta(days=90)
        )

    def orphan(self, state: State | None, *, verified: bool = False) -> str:
        """A marked instance, and its record when ``state`` is given."""
        tags = {TAG_RID: "R", TAG_ROLE: ROLE}
        made = self.provider.compute.launch(LaunchRequest("web", "web/1", "golden", "t", tags))
        if state is not None:
            now = self.clock()
            record = Record("R", "web", "web/1", "golden", "i-old", "drift", state, now, now, verified=verified)
            with self.store.write() as tx:
                tx.add_replacement(record)
        return made.id

    def hours(self, number: int = 3) -> list[str]:
        said = self.janitor.tick()
        for _ in range(number):
            self.clock.advance(3600)
            said += self.janitor.tick()
        return said


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.store.close()


@pytest.mark.parametrize("state", [State.CANCELLED, State.FAILED_CLEAN, State.ABORTED_SAFE])
def test_a_late_newcomer_of_an_undone_replacement_is_said_and_then_ended(house, state):
    name = house.orphan(state)
    [said] = house.janitor.tick()
    assert f"{name} in web carries driftd's mark" in said
    house.clock.advance(60)
    assert house.janitor.tick() == []
    house.clock.advance(1800)
    assert house.janitor.tick() == [f"the orphan {name} was ended"]
    assert house.provider.alive("web") == []
    with house.store.read() as tx:
        assert [line.kind for line in tx.journal_lines(f"orphan/{name}")] == ["observation", "intent", "result"]
        assert [m.code for m in tx.unsent()] == ["orphan"]


def test_a_replacement_that_ends_while_the_janitor_reads_leaves_no_orphan(house, monkeypatch):
    name = house.orphan(State.SUCCEEDED)
    listed = house.provider.compute.list({})
    house.provider.compute.tag(name, {TAG_ROLE: ""})
    monkeypatch.setattr(house.provider.compute, "list", lambda _tags: listed)
    assert house.janitor.tick() == []


@pytest.mark.parametrize("state", [None, State.SUCCEEDED, State.STUCK])
def test_what_may_be_in_use_is_said_and_left_to_a_person(house, state):
    name = house.orphan(state)
    assert len(house.hours()) == 1
    assert house.provider.alive("web") == [name]


def test_a_verified_newcomer_may_have_had_traffic_and_is_left(house):
    name = house.orphan(State.CANCELLED, verified=True)
    house.hours()
    assert house.provider.alive("web") == [name]


def test_what_a_load_balancer_knows_is_left(house):
    name = house.orphan(State.CANCELLED)
    house.provider.traffic.register("web", house.provider.compute.describe(name))
    house.hours()
    assert house.provider.alive("web") == [name]


def test_the_newcomer_of_an_open_replacement_is_no_orphan(house):
    house.orphan(State.BOOTING)
    assert house.hours() == []


@pytest.mark.parametrize("by", ["store", "file"])
def test_a_pause_holds_for_the_janitor_too(house, by):
    name = house.orphan(State.CANCELLED)
    if by == "file":
        house.paused = "a pause file"
    else:
        with house.store.write() as tx:
            tx.set_pause(Pause("web", "ann", "freeze", house.clock()))
    house.hours()
    assert house.provider.alive("web") == [name]


def test_a_restart_does_not_begin_the_waiting_again(house):
    house.orphan(State.CANCELLED)
    house.janitor.tick()
    house.clock.advance(1801)
    again = Janitor(house.store, house.janitor._groups, clock=house.clock)
    assert again.tick() == ["the orphan i-0001 was ended"]


def test_an_end_without_answer_is_tried_again(house):
    house.orphan(State.CANCELLED)
    house.janitor.tick()
    house.clock.advance(1801)
    house.provider.fail_next("compute.terminate", Unavailable("503"))
    assert house.janitor.tick() == ["the orphan i-0001 could not be ended: 503"]
    assert house.janitor.tick() == ["the orphan i-0001 was ended"]


def test_a_provider_that_is_away_is_passed_over(house):
    house.provider.fail_next("compute.list", Unavailable("503"))
    assert house.janitor.tick() == ["the janitor passed over web: 503"]


def test_what_was_over_long_ago_is_pruned(house):
    with house.store.write() as tx:
        tx.say(Message("k", "drift", Severity.LOW, "text"), house.clock())
        [message] = tx.unsent()
        tx.mark_sent(message.id, house.clock())
    assert house.janitor.tick() == []
    house.clock.advance(91 * 86400)
    assert house.janitor.tick() == ["no longer kept: 1 messages"]
    assert replace(message, id=0).key == "k"
