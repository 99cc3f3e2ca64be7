"""What every provider promises of its load balancer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from driftd.core.errors import Refused
from driftd.core.facts import Instance
from driftd.core.ports import Compute, Provider, Target, TargetState, Traffic
from driftd.testing.hooks import NOBODY, ContractHooks


class TrafficContract(ContractHooks):
    """In, drained, out."""

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
