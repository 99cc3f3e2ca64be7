"""The provider in memory, told to lie: each knob does what it says, and the log tells what was true."""

from __future__ import annotations

import math

import pytest

from driftd.core.errors import NoCapacity, NotFound, Refused, Throttled, Unavailable
from driftd.core.facts import InstanceState
from driftd.core.ports import HookName, LaunchRequest, TargetState
from driftd.testing import Crash, Distortion, FakeClock, FakeProvider

ADDRESS = "192.0.2.250"


@pytest.fixture
def fake():
    made = FakeProvider(FakeClock(), volumes={"data": "db/0"}, addresses={ADDRESS: "db/0"})
    made.services_write = True
    return made


def launch(fake, token="t", slot="db/0"):
    return fake.compute.launch(LaunchRequest("db", slot, "db-1", token))


def told(fake, *calls):
    return [(event.call, event.subject) for event in fake.events if not calls or event.call in calls]


def state(fake, one):
    return fake.compute.describe(one.id).state


# --- pretended, claimed, late, doubled ---


def test_a_call_that_only_says_ok(fake):
    one = launch(fake)
    fake.pretend_next("compute.stop")
    fake.compute.stop(one.id)
    assert state(fake, one) is InstanceState.RUNNING
    fake.compute.stop(one.id)
    assert state(fake, one) is InstanceState.STOPPED
    for call in (lambda: fake.volumes.attach("data", one.id), lambda: fake.addresses.associate(ADDRESS, one.id)):
        fake.pretend_next("*.a*")
        call()
    assert {fake.volumes.list()[0].attached_to, fake.addresses.list()[0].attached_to} == {""}


def test_a_launch_that_only_says_ok_makes_nobody(fake):
    fake.pretend_next("compute.launch")
    said = launch(fake)
    assert said.state is InstanceState.PENDING
    with pytest.raises(NotFound):
        fake.compute.describe(said.id)
    assert fake.compute.list({}) == []
    assert launch(fake).id != said.id


def test_a_snapshot_that_only_says_ok_is_none(fake):
    fake.pretend_next("volumes.snapshot")
    fake.volumes.snapshot("data", "t")
    assert fake.volumes.snapshots() == []


def test_one_that_says_it_is_stopped_and_writes_on(fake):
    one = launch(fake)
    fake.volumes.attach("data", one.id)
    fake.pretend_next("compute.stop", claim=True)
    fake.compute.stop(one.id)
    assert state(fake, one) is InstanceState.STOPPED
    assert fake.writers("data") == [one.id]
    assert ("stopped", one.id) not in told(fake)
    with pytest.raises(Refused):
        fake.volumes.detach("data")
    fake.compute.stop(one.id)
    assert fake.writers("data") == [one.id], "it believes that it did"
    fake.compute.start(one.id)
    assert state(fake, one) is InstanceState.RUNNING


def test_one_that_says_it_is_terminated_and_is_not(fake):
    one = launch(fake)
    fake.pretend_next("compute.terminate", claim=True)
    fake.compute.terminate(one.id)
    assert fake.compute.list({}) == []
    with pytest.raises(NotFound):
        fake.compute.describe(one.id)
    fake.compute.terminate(one.id)
    assert fake.alive("db") == [one.id]


def test_an_effect_that_comes_after_its_answer(fake):
    one = launch(fake)
    fake.delay_next("volumes.attach", 20)
    fake.volumes.attach("data", one.id)
    assert fake.volumes.list()[0].attached_to == ""
    fake.clock.advance(19)
    assert fake.volumes.list()[0].attached_to == ""
    fake.clock.advance(60)
    assert fake.volumes.list()[0].attached_to == one.id
    [event] = [event for event in fake.events if event.call == "volumes.attach"]
    assert (event.at - one.launched_at).total_seconds() == 20, "when it was due, and not when somebody looked"


def test_a_late_effect_that_is_refused_by_then_never_comes(fake):
    one, two = launch(fake, "1"), launch(fake, "2")
    fake.delay_next("volumes.attach", 20)
    fake.volumes.attach("data", one.id)
    fake.volumes.attach("data", two.id)
    fake.clock.advance(60)
    assert fake.volumes.list()[0].attached_to == two.id
    assert "two writers" not in [event.call for event in fake.events]


def test_what_sticks_never_comes(fake):
    one = launch(fake)
    fake.delay_next("volumes.*", math.inf)
    fake.volumes.attach("data", one.id)
    fake.clock.advance(1e7)
    assert fake.volumes.list()[0].attached_to == ""


def test_a_call_that_the_network_sent_twice(fake):
    one = launch(fake)
    fake.echo_next("compute.stop", 30)
    fake.compute.stop(one.id)
    fake.compute.start(one.id)
    fake.clock.advance(31)
    assert state(fake, one) is InstanceState.STOPPED


# --- refusing ---


def test_throttled_for_an_hour(fake):
    fake.throttle("compute.*", 3600, retry_after_s=30)
    with pytest.raises(Throttled) as caught:
        fake.compute.list({})
    assert caught.value.retry_after_s == 30
    assert list(fake.inventory.find("db")) == []
    fake.clock.advance(3600)
    fake.compute.list({})


def test_no_room(fake):
    fake.quota = 1
    one = launch(fake, "1")
    request = LaunchRequest("db", "db/1", "db-1", "2")
    assert "quota of 1" in fake.compute.preflight(request)
    with pytest.raises(NoCapacity):
        fake.compute.launch(request)
    fake.compute.stop(one.id)
    assert fake.compute.preflight(request)
    fake.quota_counts_stopped = False
    assert fake.compute.preflight(request) == ""
    fake.quota, fake.preflight_blind = 0, True
    assert fake.compute.preflight(request) == ""
    with pytest.raises(NoCapacity):
        fake.compute.launch(request)


# --- lists ---


@pytest.mark.parametrize(
    ("how", "ids"),
    [
        (Distortion.EMPTY, []),
        (Distortion.HALF, ["i-0001", "i-0003"]),
        (Distortion.REPEATED, ["i-0001", "i-0001", "i-0002", "i-0002", "i-0003", "i-0003"]),
        (Distortion.STRANGERS, ["i-0001", "i-0002", "i-0003", *(f"i-000{n}-stranger" for n in (1, 2, 3))]),
        (Distortion.REVERSED, ["i-0003", "i-0002", "i-0001"]),
    ],
)
def test_a_list_that_is_not_true(fake, how, ids):
    for number in range(3):
        launch(fake, str(number), f"db/{number}")
    for name, call in (
        ("inventory.find", lambda: fake.inventory.find("db")),
        ("compute.list", lambda: fake.compute.list({})),
    ):
        fake.distort(name, how)
        assert [one.id for one in call()] == ids
        assert [one.id for one in call()] == ["i-0001", "i-0002", "i-0003"]
    assert fake.alive("db") == ["i-0001", "i-0002", "i-0003"]


def test_a_list_of_yesterday(fake):
    launch(fake, "1")
    fake.compute.list({})
    launch(fake, "2", "db/1")
    fake.distort("compute.list", Distortion.STALE, times=math.inf)
    assert [one.id for one in fake.compute.list({})] == ["i-0001"]
    assert [one.id for one in fake.compute.list({})] == ["i-0001"]
    fake.clear_faults()
    assert len(fake.compute.list({})) == 2


def test_tags_get_lost(fake):
    fake.tagless_launches = 1
    one, two = launch(fake, "1"), launch(fake, "2")
    assert (one.tags, two.tags) == ({}, {"driftd:token": "2"})
    assert launch(fake, "1").id == one.id, "the token is known all the same"
    fake.lose_tag(two.id, "driftd:token")
    assert fake.compute.list({"driftd:token": "2"}) == []


def test_what_hides_is_there(fake):
    one = launch(fake)
    fake.hide(one.id, 120)
    assert fake.compute.list({}) == []
    with pytest.raises(NotFound):
        fake.compute.describe(one.id)
    assert fake.alive() == [one.id]
    fake.clock.advance(120)
    assert state(fake, one) is InstanceState.RUNNING


# --- traffic ---


def test_a_balancer_that_never_drains(fake):
    fake.load, fake.drain_s = 3, math.inf
    one = launch(fake)
    fake.traffic.register("db", one)
    fake.traffic.drain("db", one.id)
    fake.clock.advance(1e8)
    assert fake.traffic.targets("db")[0].connections == 3
    with pytest.raises(Refused):
        fake.traffic.deregister("db", one.id)


def test_health_that_flaps(fake):
    one = launch(fake)
    fake.traffic.register("db", one)
    fake.flapping, fake.flap_s = {one.id}, 10
    seen = []
    for _ in range(4):
        seen.append((fake.traffic.targets("db")[0].state, fake.health.check(one) == ""))
        fake.clock.advance(10)
    assert seen == [(TargetState.HEALTHY, True), (TargetState.UNHEALTHY, False)] * 2


def test_a_stateful_one_serves_with_its_volume_only(fake):
    fake.stateful = {"db"}
    fake.hooked = {HookName.QUIESCE, HookName.SERVE}
    one = launch(fake)
    fake.traffic.register("db", one)

    def serves():
        return fake.traffic.targets("db")[0].state is TargetState.HEALTHY

    assert (serves(), fake.health.check(one)) == (False, "")
    fake.volumes.attach("data", one.id)
    assert serves()
    fake.hooks.run(HookName.QUIESCE, one, "db", {})
    assert not serves()
    fake.hooks.run(HookName.SERVE, one, "db", {})
    assert serves()


# --- who writes where ---


def test_a_move_is_told_in_the_log(fake):
    one, two = launch(fake, "1"), launch(fake, "2", "db/1")
    fake.volumes.attach("data", one.id)
    fake.addresses.associate(ADDRESS, one.id)
    del fake.events[:]
    with pytest.raises(Refused):
        fake.volumes.detach("data")
    fake.compute.stop(one.id)
    fake.volumes.snapshot("data", "t")
    fake.volumes.detach("data")
    fake.volumes.attach("data", two.id)
    fake.addresses.associate(ADDRESS, two.id, one.id)
    fake.compute.terminate(one.id)
    assert told(fake) == [
        ("compute.stop", one.id),
        ("unmounted", "data"),
        ("stopped", one.id),
        ("volumes.snapshot", "data"),
        ("volumes.detach", "data"),
        ("volumes.attach", "data"),
        ("mounted", "data"),
        ("addresses.release", ADDRESS),
        ("addresses.associate", ADDRESS),
        ("compute.terminate", one.id),
        ("gone", one.id),
    ]
    assert {event.by for event in fake.events} == {"driftd"}


def test_a_stop_that_never_ends_is_no_fence(fake):
    fake.stop_s = math.inf
    one = launch(fake)
    fake.volumes.attach("data", one.id)
    fake.compute.stop(one.id)
    fake.clock.advance(1e7)
    assert state(fake, one) is InstanceState.STOPPING
    assert fake.writers("data") == [one.id]
    with pytest.raises(Refused):
        fake.volumes.detach("data")
    with pytest.raises(Unavailable):
        fake.compute.start(one.id)


def test_it_writes_until_it_has_stopped_or_is_gone(fake):
    fake.stop_s, fake.terminate_s = 10, 10
    for end in (fake.compute.stop, fake.compute.terminate):
        one = launch(fake, end.__name__)
        fake.volumes.attach("data", one.id)
        end(one.id)
        fake.clock.advance(9)
        assert fake.writers("data") == [one.id]
        fake.clock.advance(1)
        assert fake.writers("data") == []
        fake.compute.terminate(one.id)
        fake.clock.advance(10)
        assert fake.volumes.list()[0].attached_to == ""


def test_a_volume_that_is_torn_away_is_told(fake):
    one = launch(fake)
    fake.volumes.attach("data", one.id)
    fake.rude_detach = True
    fake.volumes.detach("data")
    assert [(e.call, e.subject, e.detail) for e in fake.events if e.call == "torn"] == [("torn", "data", one.id)]


def test_two_writers_are_told(fake):
    one, two = launch(fake, "1"), launch(fake, "2")
    fake.volumes.attach("data", one.id)
    fake.mount(fake.servers[two.id], "data")
    assert ("two writers", "data") in told(fake)
    assert fake.writers("data") == [one.id, two.id]


def test_a_restart_brings_back_what_it_owns_by_then(fake):
    one, two = launch(fake, "1"), launch(fake, "2")
    fake.volumes.attach("data", one.id)
    fake.compute.stop(one.id)
    fake.compute.start(one.id)
    assert fake.writers("data") == [one.id]
    fake.compute.stop(one.id)
    fake.volumes.detach("data")
    fake.volumes.attach("data", two.id)
    fake.compute.start(one.id)
    assert fake.writers("data") == [two.id]


def test_another_file_system_on_the_same_volume(fake):
    fake.reformat("data", "other")
    assert fake.volumes.list()[0].filesystem == "other"


# --- others ---


def test_what_a_person_does_is_told_as_such_and_no_fault_strikes_it(fake):
    one = launch(fake)
    fake.fail_next("compute.stop", Crash())
    with fake.by_hand():
        fake.compute.stop(one.id)
    assert [event.by for event in fake.events if event.subject == one.id] == ["driftd", "human", "human"]
    with pytest.raises(Crash):
        fake.compute.stop(one.id)


def test_a_fault_may_mean_one_thing_only(fake):
    one, two = launch(fake, "1"), launch(fake, "2")
    fake.fail_next(f"compute.stop {two.id}", Unavailable("503"))
    fake.compute.stop(one.id)
    with pytest.raises(Unavailable):
        fake.compute.stop(two.id)


def test_hooks_fail_and_crash_as_calls_do(fake):
    fake.hooked = {HookName.QUIESCE, HookName.QUORUM}
    one = launch(fake)
    fake.fail_next("hooks.quiesce", Crash(), after_effect=True)
    with pytest.raises(Crash):
        fake.hooks.run(HookName.QUIESCE, one, "db", {})
    assert fake.servers[one.id].quiesced
    fake.compute.stop(one.id)
    assert "does not run" in fake.hooks.run(HookName.QUIESCE, one, "db", {})
    fake.quorum_answer = b"{}"
    assert fake.hooks.ask(HookName.QUORUM, one, "db") == b"{}"


def test_what_others_do_is_said(fake):
    fake.operations["db"] = "a deploy is under way"
    assert (fake.foreign("db"), fake.foreign("web")) == ("a deploy is under way", "")
