"""The provider in memory passes the contract first, and then does the evil that it is told to do."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from driftd.core.errors import Refused, Unavailable
from driftd.core.facts import InstanceState, Session
from driftd.core.ports import LaunchRequest, TargetState
from driftd.testing import Crash, FakeClock, FakeProvider, ProviderContract


class TestFake(ProviderContract):
    image = "web-1"

    @pytest.fixture
    def provider(self):
        fake = FakeProvider(
            FakeClock(), volumes={"data-0": "web/0", "data-1": "web/1"}, addresses={"192.0.2.250": "web/0"}
        )
        fake.images = {"web-1"}
        fake.zones = {"web/0": "a", "web/1": "b"}
        return fake

    def pause(self, provider):
        provider.clock.advance(1)

    @contextmanager
    def request_in_flight(self, provider, instance):
        with provider.hold_connection(instance.id):
            yield

    def leave_mark(self, provider, instance):
        provider.servers[instance.id].disk["mark"] = "here"

    def has_mark(self, provider, instance):
        return provider.servers[instance.id].disk.get("mark") == "here"

    def answers(self, provider, instance):
        return provider.serves(provider.servers[instance.id])

    @contextmanager
    def operation_of_others(self, provider):
        provider.operations["web"] = "an instance refresh is at 40 %"
        yield
        provider.operations.clear()

    @contextmanager
    def somebody_let_in(self, provider, instance):
        come = Session("cloud", "root", "", provider.now(), key_id="role/ops/ann", live=True)
        provider.visitors[instance.id] = [come]
        yield
        provider.visitors[instance.id] = [replace(come, live=False, ended_at=provider.now())]

    @contextmanager
    def volume_in_use(self, provider, instance, volume):
        provider.busy_volumes.add(volume.id)
        yield
        provider.busy_volumes.remove(volume.id)

    def write(self, provider, instance, volume, text):
        server = provider.servers[instance.id]
        assert volume.id in server.mounted
        provider.contents[volume.id] = text

    def read(self, provider, instance, volume):
        server = provider.servers[instance.id]
        return provider.contents.get(volume.id, "") if volume.id in server.mounted else ""


class TestSlowFake(TestFake):
    """The same promises, slowly."""

    @pytest.fixture
    def provider(self):
        fake = FakeProvider(
            FakeClock(), volumes={"data-0": "web/0", "data-1": "web/1"}, addresses={"192.0.2.250": "web/0"}
        )
        fake.images = {"web-1"}
        fake.boot_s, fake.health_s, fake.drain_s, fake.stop_s, fake.terminate_s, fake.load = 30, 20, 15, 8, 10, 3
        return fake


@pytest.fixture
def fake():
    return FakeProvider(FakeClock())


def request(token="t", slot="web/0"):
    return LaunchRequest("web", slot, "web-1", token)


def test_a_call_fails_before_its_effect_or_after_it(fake):
    fake.fail_next("compute.launch", Unavailable("lost"))
    fake.fail_next("compute.launch", Unavailable("lost"), after_effect=True)
    with pytest.raises(Unavailable):
        fake.compute.launch(request("a"))
    assert fake.alive() == []
    with pytest.raises(Unavailable):
        fake.compute.launch(request("a"))
    assert len(fake.alive()) == 1
    assert fake.compute.launch(request("a")).id == fake.alive()[0]


def test_a_crash_strikes_the_chosen_change(fake):
    fake.fail_next("changes", Crash(), skip=1, after_effect=True)
    instance = fake.compute.launch(request())
    fake.compute.list({})
    with pytest.raises(Crash):
        fake.traffic.register("web", instance)
    assert [target.instance_id for target in fake.traffic.targets("web")] == [instance.id]


def test_new_resources_hide_and_boot_slowly(fake):
    fake.hide_s, fake.boot_s = 5, 10
    fake.compute.launch(request())
    assert fake.compute.list({}) == []
    fake.clock.advance(5)
    assert [one.state for one in fake.compute.list({})] == [InstanceState.PENDING]
    fake.clock.advance(5)
    assert [one.state for one in fake.compute.list({})] == [InstanceState.RUNNING]


def test_a_twin_has_the_same_token(fake):
    fake.twin_launches = 1
    fake.compute.launch(request("x"))
    assert len(fake.compute.list({"driftd:token": "x"})) == 2


def test_a_sick_newcomer_never_gets_healthy(fake):
    fake.sick_launches = 1
    sick, well = fake.compute.launch(request("1")), fake.compute.launch(request("2"))
    for one in (sick, well):
        fake.traffic.register("web", one)
    fake.clock.advance(3600)
    assert [t.state for t in fake.traffic.targets("web")] == [TargetState.UNHEALTHY, TargetState.HEALTHY]
    assert fake.health.check(sick)
    assert fake.health.check(well) == ""


def test_the_quota_refuses(fake):
    fake.quota = 1
    fake.compute.launch(request("1"))
    with pytest.raises(Refused):
        fake.compute.launch(request("2"))


def test_cut_connections_are_written_down(fake):
    fake.load, fake.drain_s = 4, 10
    one, two = fake.compute.launch(request("1")), fake.compute.launch(request("2"))
    for instance in (one, two):
        fake.traffic.register("web", instance)
    fake.compute.terminate(one.id)
    assert [(e.call, e.subject) for e in fake.events if e.call == "lost"] == [("lost", one.id)]
    fake.traffic.drain("web", two.id)
    fake.clock.advance(10)
    fake.compute.terminate(two.id)
    assert len([e for e in fake.events if e.call == "lost"]) == 1


def test_events_tell_how_the_group_stood(fake):
    one = fake.compute.launch(request("1"))
    fake.traffic.register("web", one)
    fake.compute.launch(request("2"))
    fake.traffic.drain("web", one.id)
    told = [(event.call, event.existing, event.in_service) for event in fake.events]
    assert told == [
        ("compute.launch", 1, 0),
        ("traffic.register", 1, 1),
        ("compute.launch", 2, 1),
        ("traffic.drain", 2, 0),
    ]
    assert fake.events[-1].at - fake.events[0].at == timedelta(0)
