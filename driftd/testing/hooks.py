"""What the provider contract stands on: the hooks that a provider fills in, and the fixtures made of them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from uuid import uuid4

import pytest

from driftd.core.facts import Instance, InstanceState
from driftd.core.ports import Addresses, Compute, LaunchRequest, Provider, Traffic, Volume, Volumes

NOBODY = "i-no-such-instance"


class ContractHooks:
    """The part of ``ProviderContract`` that has no promise in it."""

    group = "web"
    image = "image-1"
    deadline_s = 60.0

    @pytest.fixture
    def provider(self) -> Provider:
        """The provider under test, with nothing running."""
        raise NotImplementedError("override the fixture provider()")

    # --- hooks ---

    def pause(self, provider: Provider) -> None:
        """Between two looks at something that takes time."""
        time.sleep(0.05)

    def request_in_flight(self, provider: Provider, instance: Instance) -> AbstractContextManager[None]:
        """Inside the block one request to ``instance`` through the load balancer is in flight."""
        raise NotImplementedError("override request_in_flight()")

    def leave_mark(self, provider: Provider, instance: Instance) -> None:
        """Write something to the instance's disk."""
        raise NotImplementedError("override leave_mark()")

    def has_mark(self, provider: Provider, instance: Instance) -> bool:
        """Is it still there?"""
        raise NotImplementedError("override has_mark()")

    def volume_in_use(self, provider: Provider, instance: Instance, volume: Volume) -> AbstractContextManager[None]:
        """Inside the block something on ``instance`` has a file open on ``volume``."""
        raise NotImplementedError("override volume_in_use()")

    def write(self, provider: Provider, instance: Instance, volume: Volume, text: str) -> None:
        """Write ``text`` to a file on ``volume``, which ``instance`` has and is running."""
        raise NotImplementedError("override write()")

    def read(self, provider: Provider, instance: Instance, volume: Volume) -> str:
        """What is in that file, as ``instance``, which is running, sees it; "" when there is none."""
        raise NotImplementedError("override read()")

    def operation_of_others(self, provider: Provider) -> AbstractContextManager[None]:
        """Inside the block somebody else changes the group, in a way that the provider knows of."""
        raise NotImplementedError("override operation_of_others()")

    def somebody_let_in(self, provider: Provider, instance: Instance) -> AbstractContextManager[None]:
        """Inside the block somebody is on ``instance`` by a way in of the provider's own."""
        raise NotImplementedError("override somebody_let_in()")

    def answers(self, provider: Provider, instance: Instance) -> bool:
        """Whether anything on ``instance`` answers over its network now; unless overridden, its sshd."""
        try:
            with socket.create_connection((instance.reach.host, instance.reach.port), timeout=1):
                return True
        except OSError:
            return False

    # --- means ---

    def wait(self, provider: Provider, what: str, true: Callable[[], bool]) -> None:
        """Poll until true, or fail saying what did not come."""
        deadline = time.monotonic() + self.deadline_s
        while not true():
            assert time.monotonic() < deadline, f"{what} did not come within {self.deadline_s:g} s"
            self.pause(provider)

    @pytest.fixture
    def compute(self, provider: Provider) -> Compute:
        """The provider's compute, or skip."""
        if provider.compute is None:
            pytest.skip(f"provider {provider.name} launches nothing")
        return provider.compute

    @pytest.fixture
    def launch(self, provider: Provider, compute: Compute) -> Iterator[Callable[..., Instance]]:
        """Launch a running instance; all are ended after the test."""
        launched: list[str] = []

        def one(slot: str = "web/0", token: str = "", *, settle: bool = True, **tags: str) -> Instance:
            instance = compute.launch(self.request(slot, token or uuid4().hex, **tags))
            launched.append(instance.id)
            if settle:
                self.wait(provider, "running", lambda: compute.describe(instance.id).state is InstanceState.RUNNING)
                return compute.describe(instance.id)
            return instance

        yield one
        for instance_id in launched:
            if provider.traffic is not None:
                provider.traffic.drain(self.group, instance_id)
            compute.terminate(instance_id)
        if provider.volumes is not None:
            for snapshot in provider.volumes.snapshots():
                provider.volumes.delete_snapshot(snapshot.id)

    def halt(self, provider: Provider, compute: Compute, instance: Instance) -> None:
        """Stop it and wait until it has stopped."""
        compute.stop(instance.id)
        self.wait(provider, "stopped", lambda: compute.describe(instance.id).state is InstanceState.STOPPED)

    def revive(self, provider: Provider, compute: Compute, instance: Instance) -> None:
        """Start it and wait until it runs."""
        compute.start(instance.id)
        self.wait(provider, "running", lambda: compute.describe(instance.id).state is InstanceState.RUNNING)

    def request(self, slot: str, token: str, **tags: str) -> LaunchRequest:
        """A launch request of this suite."""
        return LaunchRequest(self.group, slot, self.image, token, tags)

    @pytest.fixture
    def traffic(self, provider: Provider) -> Traffic:
        """The provider's load balancer, or skip."""
        if provider.traffic is None:
            pytest.skip(f"provider {provider.name} has no load balancer")
        return provider.traffic

    @pytest.fixture
    def volumes(self, provider: Provider) -> Volumes:
        """The provider's volumes, or skip; the first one is used."""
        if provider.volumes is None:
            pytest.skip(f"provider {provider.name} has no volumes")
        return provider.volumes

    @pytest.fixture
    def addresses(self, provider: Provider) -> Addresses:
        """The provider's movable addresses, or skip; the first one is used."""
        if provider.addresses is None:
            pytest.skip(f"provider {provider.name} has no movable addresses")
        return provider.addresses
