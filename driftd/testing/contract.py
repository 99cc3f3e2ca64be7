"""The provider contract: every promise of ``driftd.core.ports`` as a test. Subclass it, give it a ``provider``.

    class TestMine(ProviderContract):
        group, image = "web", "ami-0abc"

        @pytest.fixture
        def provider(self):
            yield make_mine()

A capability that the provider declares None is skipped. The hooks below the fixture say how to do on your servers what
no port can: keep a request in flight, leave a mark on the disk, use a volume. Every test ends what it launched.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import pytest

from driftd.core.errors import NotFound, Refused
from driftd.core.facts import Instance, InstanceState
from driftd.core.ports import Addresses, Compute, Provider, Target, TargetState, Traffic, Volume, Volumes
from driftd.testing.hooks import ContractHooks

TOKEN_TAG = "driftd:token"  # noqa: S105 - the name of a tag
NOBODY = "i-no-such-instance"
GONE = {InstanceState.TERMINATED, InstanceState.SHUTTING_DOWN}


class ProviderContract(ContractHooks):
    """Subclass, set ``group`` and ``image``, override ``provider`` and those hooks that your provider needs."""

    # --- instances ---

    def test_has_a_name_and_an_inventory(self, provider: Provider) -> None:
        """A group that nobody is in is empty, not an error."""
        assert provider.name
        assert list(provider.inventory.find("a-group-that-nobody-has")) == []
        provider.close()
        provider.close()

    def test_launch_shows_what_was_asked(
        self, provider: Provider, compute: Compute, launch: Callable[..., Instance]
    ) -> None:
        """Group, slot, image, tags and token are on it."""
        instance = launch("web/7", "token-of-this-test" + uuid4().hex, role="web")
        assert (instance.group, instance.slot, instance.image) == (self.group, "web/7", self.image)
        assert instance.tags["role"] == "web"
        assert instance.tags[TOKEN_TAG].startswith("token-of-this-test")
        assert instance.launched_at is not None
        assert instance.launched_at.tzinfo is not None
        assert instance.address
        assert instance.id in [one.id for one in provider.inventory.find(self.group)]

    def test_launch_is_idempotent_by_token(self, compute: Compute, launch: Callable[..., Instance]) -> None:
        """However often it is sent, one instance."""
        token = uuid4().hex
        first, second = launch(token=token, settle=False), launch(token=token, settle=False)
        assert first.id == second.id
        self.wait_listed(compute, token, 1)

    def wait_listed(self, compute: Compute, token: str, count: int) -> None:
        """Exactly ``count`` instances carry the token."""
        assert len([one for one in compute.list({TOKEN_TAG: token}) if one.state not in GONE]) == count

    def test_token_of_another_request_is_refused(self, compute: Compute, launch: Callable[..., Instance]) -> None:
        """A token stands for its request, byte for byte."""
        token = uuid4().hex
        launch("web/0", token, settle=False)
        for other in (
            self.request("web/1", token),
            self.request("web/0", token, extra="tag"),
            replace(self.request("web/0", token), image="another-image"),
        ):
            with pytest.raises(Refused):
                compute.launch(other)
        self.wait_listed(compute, token, 1)

    def test_token_of_a_gone_instance_makes_no_second(
        self, provider: Provider, compute: Compute, launch: Callable[..., Instance]
    ) -> None:
        """A retry that comes too late is told that its instance has ended."""
        token = uuid4().hex
        instance = launch(token=token)
        compute.terminate(instance.id)
        self.wait(provider, "the end", lambda: instance.id not in [one.id for one in compute.list({})])
        try:
            again = compute.launch(self.request("web/0", token))
        except Refused:
            pass
        else:
            assert (again.id, again.state) == (instance.id, InstanceState.TERMINATED)
        self.wait_listed(compute, token, 0)

    def test_unknown_image_is_refused(self, compute: Compute) -> None:
        """And nothing is left of it."""
        token = uuid4().hex
        try:
            with pytest.raises(Refused):
                compute.launch(replace(self.request("web/0", token), image="no-such-image"))
        finally:
            for one in compute.list({TOKEN_TAG: token}):
                compute.terminate(one.id)

    def test_list_by_tags(self, compute: Compute, launch: Callable[..., Instance]) -> None:
        """All of the tags must match."""
        mark = uuid4().hex
        one, two = launch("web/0", mark=mark, kind="a"), launch("web/1", mark=mark, kind="b")
        assert {found.id for found in compute.list({"mark": mark})} == {one.id, two.id}
        assert [found.id for found in compute.list({"mark": mark, "kind": "b"})] == [two.id]
        assert list(compute.list({"mark": mark, "kind": "c"})) == []

    def test_tags_are_set_and_removed(self, compute: Compute, launch: Callable[..., Instance]) -> None:
        """An empty value removes; others stay."""
        instance = launch(keep="this")
        compute.tag(instance.id, {"driftd:quarantine": "yes", "other": "ü \n x"})
        tags = compute.describe(instance.id).tags
        assert (tags["driftd:quarantine"], tags["other"], tags["keep"]) == ("yes", "ü \n x", "this")
        compute.tag(instance.id, {"driftd:quarantine": "", "other": ""})
        assert "driftd:quarantine" not in compute.describe(instance.id).tags
        assert compute.describe(instance.id).tags["keep"] == "this"

    def test_nobody_is_not_found(self, compute: Compute) -> None:
        """Every call about one instance says so, but ending what is gone is success."""
        for call in (compute.describe, compute.stop, compute.start):
            with pytest.raises(NotFound):
                call(NOBODY)
        with pytest.raises(NotFound):
            compute.tag(NOBODY, {"a": "b"})
        compute.terminate(NOBODY)

    def test_terminate_twice(self, provider: Provider, compute: Compute, launch: Callable[..., Instance]) -> None:
        """Gone is gone, and gone already is success."""
        instance = launch()
        compute.terminate(instance.id)
        compute.terminate(instance.id)
        self.wait(provider, "the end", lambda: instance.id not in [one.id for one in compute.list({})])
        assert instance.id not in [one.id for one in provider.inventory.find(self.group)]
        with suppress(NotFound):  # a provider may forget
            assert compute.describe(instance.id).state is InstanceState.TERMINATED

    def test_stop_and_start_keep_the_disk(
        self, provider: Provider, compute: Compute, launch: Callable[..., Instance]
    ) -> None:
        """Power off and on: same id, same address, same disk."""
        instance = launch()
        self.leave_mark(provider, instance)
        for _ in range(2):
            compute.stop(instance.id)
        self.wait(provider, "stopped", lambda: compute.describe(instance.id).state is InstanceState.STOPPED)
        assert instance.id in [one.id for one in compute.list({})]
        for _ in range(2):
            compute.start(instance.id)
        self.wait(provider, "running", lambda: compute.describe(instance.id).state is InstanceState.RUNNING)
        assert compute.describe(instance.id).address == instance.address
        assert self.has_mark(provider, instance)

    def test_inventory_is_sorted_and_by_group(self, provider: Provider, launch: Callable[..., Instance]) -> None:
        """By slot, then id; stopped ones count."""
        ids = {launch(f"web/{number}").id for number in (2, 0, 1)}
        found = [one for one in provider.inventory.find(self.group) if one.id in ids]
        assert [one.slot for one in found] == ["web/0", "web/1", "web/2"]

    # --- traffic ---

    def target(self, traffic: Traffic, instance: Instance) -> Target | None:
        """The instance's target now."""
        return next((one for one in traffic.targets(self.group) if one.instance_id == instance.id), None)

    def enrol(self, provider: Provider, traffic: Traffic, instance: Instance) -> None:
        """Register and wait until healthy."""
        traffic.register(self.group, instance)
        self.wait(provider, "health", lambda: self.state(traffic, instance) is TargetState.HEALTHY)

    def state(self, traffic: Traffic, instance: Instance) -> TargetState | None:
        """Its state as a target."""
        target = self.target(traffic, instance)
        return target.state if target else None

    def idle(self, traffic: Traffic, instance: Instance) -> bool:
        """No connection left."""
        target = self.target(traffic, instance)
        return target is None or target.connections == 0

    def test_register_drain_deregister(
        self, provider: Provider, traffic: Traffic, launch: Callable[..., Instance]
    ) -> None:
        """The whole way, each step twice."""
        instance = launch()
        assert self.target(traffic, instance) is None
        traffic.register(self.group, instance)
        self.enrol(provider, traffic, instance)
        for _ in range(2):
            traffic.drain(self.group, instance.id)
            assert self.state(traffic, instance) is TargetState.DRAINING
        self.wait(provider, "no connection", lambda: self.idle(traffic, instance))
        for _ in range(2):
            traffic.deregister(self.group, instance.id)
            assert self.target(traffic, instance) is None

    def test_what_is_no_target_is_left_alone(self, traffic: Traffic) -> None:
        """Draining or removing it is success."""
        traffic.drain(self.group, NOBODY)
        traffic.deregister(self.group, NOBODY)
        assert NOBODY not in [one.instance_id for one in traffic.targets(self.group)]

    def test_registering_again_ends_a_drain(
        self, provider: Provider, traffic: Traffic, launch: Callable[..., Instance]
    ) -> None:
        """That is how a replacement is undone."""
        instance = launch()
        self.enrol(provider, traffic, instance)
        traffic.drain(self.group, instance.id)
        self.enrol(provider, traffic, instance)

    def test_request_in_flight_survives_the_drain_and_blocks_removal(
        self, provider: Provider, traffic: Traffic, launch: Callable[..., Instance]
    ) -> None:
        """Counted while it lasts, removable after it."""
        instance = launch()
        self.enrol(provider, traffic, instance)
        with self.request_in_flight(provider, instance):
            self.wait(provider, "the connection", lambda: not self.idle(traffic, instance))
            traffic.drain(self.group, instance.id)
            target = self.target(traffic, instance)
            assert target is not None
            assert (target.state, target.connections >= 1) == (TargetState.DRAINING, True)
            with pytest.raises(Refused):
                traffic.deregister(self.group, instance.id)
            assert self.state(traffic, instance) is TargetState.DRAINING
        self.wait(provider, "no connection", lambda: self.idle(traffic, instance))
        traffic.deregister(self.group, instance.id)

    def test_a_busy_target_in_service_is_not_removed(
        self, provider: Provider, traffic: Traffic, launch: Callable[..., Instance]
    ) -> None:
        """A refused removal changes nothing: it serves on."""
        instance = launch()
        self.enrol(provider, traffic, instance)
        with self.request_in_flight(provider, instance):
            self.wait(provider, "the connection", lambda: not self.idle(traffic, instance))
            with pytest.raises(Refused):
                traffic.deregister(self.group, instance.id)
            self.wait(provider, "service", lambda: self.state(traffic, instance) is TargetState.HEALTHY)

    def test_a_gone_instance_serves_nobody(
        self, provider: Provider, compute: Compute, traffic: Traffic, launch: Callable[..., Instance]
    ) -> None:
        """Its target may stand for a while, but never as healthy, and can be removed."""
        instance = launch()
        self.enrol(provider, traffic, instance)
        compute.terminate(instance.id)
        self.wait(provider, "ill health", lambda: self.state(traffic, instance) is not TargetState.HEALTHY)
        traffic.drain(self.group, instance.id)
        self.wait(provider, "no connection", lambda: self.idle(traffic, instance))
        traffic.deregister(self.group, instance.id)
        assert self.target(traffic, instance) is None

    # --- volumes ---

    def owner(self, volumes: Volumes, volume: Volume) -> str:
        """Who has it."""
        return next(one.attached_to for one in volumes.list() if one.id == volume.id)

    def test_a_volume_has_one_owner(self, volumes: Volumes, launch: Callable[..., Instance]) -> None:
        """Attached elsewhere only after it was detached."""
        volume = volumes.list()[0]
        one, two = launch("web/0"), launch("web/1")
        assert self.owner(volumes, volume) == ""
        volumes.detach(volume.id)
        for _ in range(2):
            volumes.attach(volume.id, one.id)
            assert self.owner(volumes, volume) == one.id
        with pytest.raises(Refused):
            volumes.attach(volume.id, two.id)
        assert self.owner(volumes, volume) == one.id
        for _ in range(2):
            volumes.detach(volume.id)
        volumes.attach(volume.id, two.id)
        assert self.owner(volumes, volume) == two.id
        volumes.detach(volume.id)

    def test_a_volume_in_use_is_not_detached(
        self, provider: Provider, volumes: Volumes, launch: Callable[..., Instance]
    ) -> None:
        """Busy is refused, and changes nothing."""
        volume, instance = volumes.list()[0], launch()
        volumes.attach(volume.id, instance.id)
        with self.volume_in_use(provider, instance, volume):
            with pytest.raises(Refused):
                volumes.detach(volume.id)
            assert self.owner(volumes, volume) == instance.id
        volumes.detach(volume.id)

    def test_a_volume_survives_its_instance(
        self, provider: Provider, compute: Compute, volumes: Volumes, launch: Callable[..., Instance]
    ) -> None:
        """And is free then."""
        volume, one, two = volumes.list()[0], launch("web/0"), launch("web/1")
        volumes.attach(volume.id, one.id)
        compute.terminate(one.id)
        self.wait(provider, "a free volume", lambda: self.owner(volumes, volume) == "")
        volumes.attach(volume.id, two.id)
        volumes.detach(volume.id)

    def test_unknown_volumes_and_owners(self, volumes: Volumes) -> None:
        """Not found, and the volume stays free."""
        volume = volumes.list()[0]
        with pytest.raises(NotFound):
            volumes.attach("no-such-volume", NOBODY)
        with pytest.raises(NotFound):
            volumes.attach(volume.id, NOBODY)
        assert self.owner(volumes, volume) == ""

    # --- addresses ---

    def holder(self, addresses: Addresses, address: str) -> str:
        """Who has it."""
        return next(one.attached_to for one in addresses.list() if one.address == address)

    def test_an_address_moves_from_its_expected_owner_only(
        self, addresses: Addresses, launch: Callable[..., Instance]
    ) -> None:
        """Whoever moves it must know whom it is taken from."""
        address = addresses.list()[0].address
        one, two, three = launch("web/0"), launch("web/1"), launch("web/2")
        assert self.holder(addresses, address) == ""
        for _ in range(2):
            addresses.associate(address, one.id)
            assert self.holder(addresses, address) == one.id
        for expected in ("", three.id):
            with pytest.raises(Refused):
                addresses.associate(address, two.id, expected)
        assert self.holder(addresses, address) == one.id
        addresses.associate(address, two.id, one.id)
        assert self.holder(addresses, address) == two.id
        for _ in range(2):
            addresses.release(address)
            assert self.holder(addresses, address) == ""

    def test_an_address_survives_its_instance(
        self, provider: Provider, compute: Compute, addresses: Addresses, launch: Callable[..., Instance]
    ) -> None:
        """And is free then."""
        address, instance = addresses.list()[0].address, launch()
        addresses.associate(address, instance.id)
        compute.terminate(instance.id)
        self.wait(provider, "a free address", lambda: self.holder(addresses, address) == "")

    def test_unknown_addresses_and_owners(self, addresses: Addresses) -> None:
        """Not found, and the address stays free."""
        address = addresses.list()[0].address
        with pytest.raises(NotFound):
            addresses.associate("203.0.113.255", NOBODY)
        with pytest.raises(NotFound):
            addresses.associate(address, NOBODY)
        assert self.holder(addresses, address) == ""
