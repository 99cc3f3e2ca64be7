"""The simulated cloud: the fake provider with a witness, and the network through which one controller reaches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from driftd.core.errors import Unavailable
from driftd.core.ports import Address, Addresses, Compute, TargetState, Traffic, Volume, Volumes
from driftd.testing import FakeProvider
from driftd.testing.matter import Backend, Event, Server, later
from driftd.testing.owned import FakeAddresses, FakeTraffic, FakeVolumes


@dataclass(frozen=True, slots=True)
class Parts:
    """What the provider has, all of it."""

    compute: Compute
    traffic: Traffic
    volumes: Volumes
    addresses: Addresses


PORTS = ("inventory", "compute", "traffic", "volumes", "addresses")


class Cloud(FakeProvider):
    """The fake provider, which tells ``witness`` of every event as it happens.

    At that moment ``served_before`` says whether the subject was in service right before, ``coming_true`` that this is
    the effect of an earlier call, ``actor`` which part of driftd is at work, ``is_twin`` that it is a second answer.
    """

    witness: Callable[[Event], None] | None = None
    actor = ""
    served_before = False
    is_twin = False

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        assert self.compute is not None  # noqa: S101  # the fake has every port
        self.parts = Parts(self.compute, FakeTraffic(self), FakeVolumes(self), FakeAddresses(self))
        self.late_events: list[Event] = []
        self._read_at: dict[str, datetime] = {}
        self.health_changed_at: dict[str, object] = {}

    def things(self, slot: str) -> list[Volume | Address]:
        """What a slot owns."""
        every: list[Volume | Address] = [*self.volume_table.values(), *self.address_table.values()]
        return [thing for thing in every if thing.slot == slot]

    def busy(self) -> bool:
        """Whether anything is still to come true."""
        return bool(self._due)

    @property
    def coming_true(self) -> bool:
        """What happens now is the effect of an earlier call."""
        return self._moment is not None

    def listed(self, name: str, *args: Any) -> list[Any]:
        """See ``World.listed``."""
        found = super().listed(name, *args)
        self._read_at[name] = self.now()
        return found

    def read_since(self, name: str, at: datetime | None) -> bool:
        """Whether ``name`` was answered after that; True where nobody knows when that was."""
        read = self._read_at.get(name)
        return at is None or (read is not None and read > at)

    def log(self, call: str, subject: str, group: str, detail: str = "") -> None:
        """See ``World.log``."""
        super().log(call, subject, group, detail)
        event = self.events[-1]
        if self.coming_true:
            self.late_events.append(event)
        if self.witness is None:
            return
        server, backend = self.servers.get(subject), self.backends.get(group, {}).get(subject)
        self.served_before = server is not None and backend is not None and self._did_serve(call, server, backend)
        self.is_twin = call == "compute.launch" and any(
            one.call == "compute.launch" and one.detail == detail and one.subject != subject and one.at == event.at
            for one in self.events[-3:-1]
        )
        self.witness(event)

    def _did_serve(self, call: str, server: Server, backend: Backend) -> bool:
        """Whether it was in service right before ``call`` took it out."""
        if call == "traffic.drain":
            drained, backend.drained_at = backend.drained_at, None
            try:
                return self.state(server.instance.group, server.instance.id) is TargetState.HEALTHY
            finally:
                backend.drained_at = drained
        if backend.drained_at is not None or not server.healthy:
            return False
        return self.now() >= max(later(backend.since, self.health_s), server.ready_at)


class Link:
    """The network between one controller and the cloud. ``cut`` is a partition; ``each`` is asked before each call."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.cut = False
        self.each: Callable[[str], None] | None = None
        self.name = cloud.name
        for port in PORTS:
            setattr(self, port, _Linked(self, port, getattr(cloud, port)))

    def before(self, name: str) -> None:
        """One call is about to be sent."""
        if self.each is not None:
            self.each(name)
        if self.cut:
            raise Unavailable(f"{name}: no route to the provider", "ask again later")

    def prepare(self) -> None:
        """See ``Provider``."""

    def close(self) -> None:
        """See ``Provider``."""

    def foreign(self, group: str) -> str:
        """See ``Foreign``."""
        self.before("provider.foreign")
        return self.cloud.foreign(group)


class _Linked:
    def __init__(self, link: Link, port: str, inner: object) -> None:
        self._link = link
        self._port = port
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)

        def call(*args: Any, **named: Any) -> Any:
            self._link.before(f"{self._port}.{name}")
            return found(*args, **named)

        self.__dict__[name] = call
        return call
