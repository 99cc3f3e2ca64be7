"""The janitor: orphans are said at once, and ended only where that is certain to be right."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from driftd.core.errors import Unavailable
from driftd.core.findings import Severity
from driftd.core.guards.case import GroupRules
from driftd.core.leftovers import MARKS
from driftd.core.memory import Message, Pause
from driftd.core.ports import LaunchRequest
from driftd.core.replacement import Record, State
from driftd.core.world import ROLE, TAG_RID, TAG_ROLE
from driftd.edges.store import open_store
from driftd.flows.groups import Group
from driftd.flows.janitor import Janitor
from driftd.testing import Distortion, FakeClock, FakeProvider


class House:
    def __init__(self, home) -> None:
        self.clock = FakeClock()
        self.provider = FakeProvider(self.clock, volumes={"data-1": "web/1"}, addresses={"192.0.2.250": "web/1"})
        self.store = open_store(f"sqlite:///{home / 'driftd.db'}")
        groups = {"web": Group("web", self.provider, GroupRules("web"))}
        self.paused = ""
        self.member = ""
        self.janitor = Janitor(
            self.store, groups, clock=self.clock, pause=lambda _group: self.paused, keep=timedelta(days=90)
        )

    def left(self) -> list[str]:
        """Who exists beside the slot's own instance."""
        return [one for one in self.provider.alive("web") if one != self.member]

    def orphan(self, state: State | None, *, verified: bool = False, rid: str = "R") -> str:
        """A marked instance, and its record when ``state`` is given."""
        tags = {TAG_RID: rid, TAG_ROLE: ROLE}
        made = self.provider.compute.launch(LaunchRequest("web", "web/1", "golden", rid, tags))
        if not self.member:
            member = self.provider.compute.launch(LaunchRequest("web", "web/1", "golden", "member", {}))
            self.provider.traffic.register("web", member)
            self.member = member.id
        if state is not None:
            now = self.clock()
            record = Record(rid, "web", "web/1", "golden", f"i-{rid}", "drift", state, now, now, verified=verified)
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
    assert house.left() == []
    with house.store.read() as tx:
        assert [line.kind for line in tx.journal_lines(f"orphan/{name}")] == ["observation", "intent", "result"]
        assert [m.code for m in tx.unsent()] == ["orphan"]


def test_a_replacement_that_ends_while_the_janitor_reads_leaves_no_orphan(house, monkeypatch):
    name = house.orphan(State.SUCCEEDED)
    listed = house.provider.compute.list({})
    house.provider.compute.tag(name, {TAG_ROLE: "", TAG_RID: ""})
    monkeypatch.setattr(house.provider.compute, "list", lambda _tags: listed)
    assert house.janitor.tick() == []


@pytest.mark.parametrize("state", [None, State.SUCCEEDED, State.STUCK])
def test_what_may_be_in_use_is_said_and_left_to_a_person(house, state):
    name = house.orphan(state)
    assert len(house.hours()) == 1
    assert house.left() == [name]


def test_a_verified_newcomer_may_have_had_traffic_and_is_left(house):
    name = house.orphan(State.CANCELLED, verified=True)
    house.hours()
    assert house.left() == [name]


def test_what_a_load_balancer_knows_is_left(house):
    name = house.orphan(State.CANCELLED)
    house.provider.traffic.register("web", house.provider.compute.describe(name))
    house.hours()
    assert house.left() == [name]


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
    assert house.left() == [name]


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


def test_what_holds_a_volume_or_an_address_is_left(house):
    for take in (
        lambda name: house.provider.volumes.attach("data-1", name),
        lambda name: house.provider.addresses.associate("192.0.2.250", name),
    ):
        name = house.orphan(State.CANCELLED, rid=str(take))
        take(name)
        house.hours()
        assert name in house.left()


def test_an_orphan_that_lost_a_mark_is_one_still(house):
    name = house.orphan(State.CANCELLED)
    house.provider.lose_tag(name, TAG_ROLE)
    house.hours()
    assert house.left() == []


def test_whose_marks_a_person_took_off_is_adopted(house):
    name = house.orphan(State.CANCELLED)
    house.janitor.tick()
    house.provider.compute.tag(name, dict.fromkeys(MARKS, ""))
    house.hours()
    assert house.left() == [name]


def test_it_is_asked_about_once_more_before_its_end(house):
    name = house.orphan(State.CANCELLED)
    house.janitor.tick()
    house.clock.advance(1801)
    house.provider.distort("compute.list", Distortion.STALE, times=2)
    house.provider.compute.tag(name, dict.fromkeys(MARKS, ""))
    assert house.janitor.tick() == []
    assert house.left() == [name]


def test_there_is_an_end_to_what_one_round_ends(house):
    for number in range(7):
        house.orphan(State.CANCELLED, rid=f"R{number}")
    assert len(house.janitor.tick()) == 7
    house.clock.advance(1801)
    left = []
    for _ in range(3):
        house.janitor.tick()
        left.append(len(house.left()))
    assert left == [2, 0, 0]


@pytest.mark.parametrize("lies", ["pretends", "claims"])
def test_one_that_does_not_end_is_asked_again_or_believed(house, lies):
    name = house.orphan(State.CANCELLED)
    house.janitor.tick()
    house.clock.advance(1801)
    house.provider.pretend_next("compute.terminate", claim=lies == "claims")
    assert house.janitor.tick() == [f"the orphan {name} was ended"]
    again = house.janitor.tick()
    assert again == ([f"the orphan {name} was ended"] if lies == "pretends" else [])


def test_an_empty_answer_changes_nothing(house):
    name = house.orphan(State.CANCELLED)
    other = house.provider.compute.launch(LaunchRequest("web", "web/2", "golden", "other", {}))
    house.provider.traffic.register("web", other)
    house.janitor.tick()
    house.clock.advance(1801)
    house.provider.distort("compute.list", Distortion.EMPTY, times=2)
    [said] = house.janitor.tick()
    assert "lists no instance at all" in said
    assert house.left() == [name, other.id]


@pytest.mark.parametrize("side", ["new", "old"])
def test_marks_of_what_is_over_are_taken_off(house, side):
    tags = {TAG_RID: "R", TAG_ROLE: ROLE, "keep": "this"}
    made = house.provider.compute.launch(LaunchRequest("web", "web/1", "golden", "t", tags))
    house.provider.traffic.register("web", made)
    now = house.clock()
    ids = {"old_id": "i-old", "new_id": made.id} if side == "new" else {"old_id": made.id, "new_id": "i-new"}
    over = State.SUCCEEDED if side == "new" else State.CANCELLED
    with house.store.write() as tx:
        tx.add_replacement(
            Record("R", "web", "web/1", "golden", why="drift", state=over, created_at=now, entered_at=now, **ids)
        )
    [said] = house.janitor.tick()
    assert said == f"{made.id} in web still carries driftd:rid, driftd:role of replacement R, which is over"
    house.clock.advance(1801)
    assert house.janitor.tick() == [f"the marks on {made.id} were removed"]
    assert house.provider.compute.describe(made.id).tags == {"keep": "this", "driftd:token": "t"}
    assert house.janitor.tick() == []
    with house.store.read() as tx:
        assert [line.kind for line in tx.journal_lines(f"marks/{made.id}")] == ["observation", "intent", "result"]
        assert tx.unsent() == []


def snapshot(house, state, *, rid="R", known=True):
    made = house.provider.volumes.snapshot("data-1", f"token-{rid}")
    now = house.clock()
    record = Record(rid, "web", "web/1", "golden", f"i-{rid}", "drift", state, now, now)
    with house.store.write() as tx:
        tx.add_replacement(replace(record, snapshots={"data-1": made.id} if known else {}))
    return made


def kept(house, days):
    said = house.janitor.tick()
    for _ in range(days):
        house.clock.advance(86400)
        said += house.janitor.tick()
    return said, [one.id for one in house.provider.volumes.snapshots()]


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.CANCELLED, State.ABORTED_SAFE])
def test_an_old_snapshot_is_deleted_on_the_second_sight_of_it(house, state):
    made = snapshot(house, state)
    assert kept(house, 30) == ([], [made.id])
    said, left = kept(house, 2)
    assert left == []
    first, second = said
    assert first == f"snapshot {made.id} of volume data-1, taken by replacement R on 2030-01-01, is no longer kept"
    assert second == f"the snapshot {made.id} was deleted"


@pytest.mark.parametrize("state", [State.STUCK, State.SNAPSHOTTING])
def test_a_snapshot_that_somebody_may_need_is_kept(house, state):
    made = snapshot(house, state)
    assert kept(house, 60) == ([], [made.id])


def test_a_snapshot_that_no_replacement_took_is_nobodys_business(house):
    made = snapshot(house, State.SUCCEEDED, known=False)
    assert kept(house, 60) == ([], [made.id])


def test_a_group_may_keep_its_snapshots(house):
    made = snapshot(house, State.SUCCEEDED)
    house.janitor._groups["web"] = replace(house.janitor._groups["web"], keep_snapshots=None)
    assert kept(house, 60) == ([], [made.id])


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


def test_what_it_could_not_clean_up_in_time_is_told_by_group(house):
    assert house.janitor.left() == {}, "it has not been there"
    known = house.orphan(None)
    for minutes in (0, 10, 10, 9):
        house.clock.advance(minutes * 60)
        house.janitor.tick()
        assert house.janitor.left()["web"] == []
    house.clock.advance(60)
    house.janitor.tick()
    (one,) = house.janitor.left()["web"]
    assert (one.name, one.at) == (known, house.clock() - timedelta(minutes=30))
    house.provider.vanish(known)
    house.janitor.tick()
    assert house.janitor.left()["web"] == []


def test_an_orphan_that_is_all_its_slot_has_is_left_to_a_person(house):
    """After a store was put back from a copy: the old one was stopped, and nothing on record says by whom."""
    name = house.orphan(State.CANCELLED)
    house.provider.compute.stop(house.member)
    house.provider.traffic.drain("web", house.member)
    house.provider.traffic.deregister("web", house.member)
    house.hours()
    assert house.left() == [name]
