"""The world behind the fake provider: servers, targets, volumes, and the faults that strike calls.

Its ``events`` are the truth of what happened, for invariants that must not be read from driftd's own store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from driftd.core.errors import NotFound
from driftd.core.facts import Instance, InstanceState, Reach
from driftd.core.ports import Address, LaunchRequest, Snapshot, TargetState, Volume

TOKEN_TAG = "driftd:token"  # noqa: S105 - the name of a tag, no secret
CHANGES = frozenset(
    {
        "compute.launch",
        "compute.stop",
        "compute.start",
        "compute.terminate",
        "compute.tag",
        "traffic.register",
        "traffic.drain",
        "traffic.deregister",
        "volumes.attach",
        "volumes.detach",
        "volumes.snapshot",
        "volumes.delete_snapshot",
        "addresses.associate",
        "addresses.release",
    }
)


class Crash(BaseException):
    """The process died here. Not an ``Exception``, so that no handler of ours can swallow it."""


class FakeClock:
    """A clock that moves only when told. Call it for the time."""

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self.now = start

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> datetime:
        """Move on and return the new time."""
        self.now += timedelta(seconds=seconds)
        return self.now


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that really happened in the fake's world, and how its group stood right after it.

    ``call`` is the call that did it ("compute.launch"), or "lost" when connections were cut.
    ``existing`` counts the group's instances that are not gone, ``in_service`` those which get new work.
    """

    at: datetime
    call: str
    subject: str
    detail: str = ""
    group: str = ""
    existing: int = 0
    in_service: int = 0


@dataclass(slots=True)
class Fault:
    """What will strike which calls: see ``World.fail_next``."""

    pattern: str
    error: BaseException
    after_effect: bool
    times: int
    skip: int


@dataclass(slots=True)
class Server:
    """One server, as it is and as it will become."""

    instance: Instance
    request: LaunchRequest
    born: datetime
    visible_at: datetime
    ready_at: datetime
    healthy: bool = True
    stopped: bool = False
    gone_at: datetime | None = None
    disk: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Backend:
    """One target: when it was registered, when it was drained (None: in service)."""

    since: datetime
    drained_at: datetime | None = None


class World:
    """What there is; every knob below may be turned at any time.

    Units: seconds of ``clock``. ``boot_s`` from launch to running and serving, ``hide_s`` until a new instance can
    be listed, ``health_s`` from registering to healthy, ``drain_s`` from drain to no connection left, ``terminate_s``
    spent in state shutting-down. ``load`` is the number of connections of every target in service, ``quota`` the number
    of instances that may exist, ``sick_launches`` how many of the next launches never get healthy,
    ``twin_launches`` how many of the next launches make two instances under one token, ``images`` which images
    exist (None: whichever is asked for).
    """

    def __init__(
        self,
        clock: Callable[[], datetime] | None = None,
        *,
        volumes: Mapping[str, str] | None = None,
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        """``volumes`` and ``addresses`` map ids to slots."""
        self.clock = clock or FakeClock()
        self.events: list[Event] = []
        self.calls: list[str] = []
        self.boot_s = self.hide_s = self.health_s = self.drain_s = self.terminate_s = 0.0
        self.load = 0
        self.quota: int | None = None
        self.sick_launches = 0
        self.twin_launches = 0
        self.images: set[str] | None = None
        self.servers: dict[str, Server] = {}
        self.backends: dict[str, dict[str, Backend]] = {}
        self.held: dict[str, int] = {}
        self.busy_volumes: set[str] = set()
        self.volume_table = {
            key: Volume(key, slot, filesystem=f"00000000-0000-4000-8000-{number:012d}")
            for number, (key, slot) in enumerate((volumes or {}).items(), 1)
        }
        self.snapshot_table: dict[str, Snapshot] = {}
        self.address_table = {key: Address(key, slot) for key, slot in (addresses or {}).items()}
        self._faults: list[Fault] = []
        self._lock = threading.RLock()
        self._counter = 0

    # --- for tests: hostility and looking behind the curtain ---

    def fail_next(
        self, pattern: str, error: BaseException, *, after_effect: bool = False, times: int = 1, skip: int = 0
    ) -> None:
        """Raise ``error`` from the next ``times`` calls that match, after letting ``skip`` of them through.

        ``pattern`` is "compute.launch", "traffic.*" or "changes" (every call that changes something). With
        ``after_effect`` the call has its effect and then raises: the answer got lost. ``Crash()`` as error stands for
        the death of driftd at this very point.
        """
        self._faults.append(Fault(pattern, error, after_effect, times, skip))

    def clear_faults(self) -> None:
        """Be kind again."""
        self._faults.clear()

    def make_sick(self, instance_id: str, *, healthy: bool = False) -> None:
        """From now on this instance does not serve (or serves again)."""
        self.servers[instance_id].healthy = healthy

    def vanish(self, instance_id: str) -> None:
        """The instance is gone, and not by driftd's hand."""
        with self._lock:
            self.end(self.servers[instance_id], "vanished")

    @contextmanager
    def hold_connection(self, instance_id: str) -> Iterator[None]:
        """One connection to the instance through the load balancer that stays open inside the block."""
        self.held[instance_id] = self.held.get(instance_id, 0) + 1
        try:
            yield
        finally:
            self.held[instance_id] -= 1

    def alive(self, group: str | None = None) -> list[str]:
        """Ids of instances that are not gone, hidden ones included."""
        return [
            key
            for key, server in self.servers.items()
            if not self.gone(server) and group in {None, server.instance.group}
        ]

    def in_service(self, group: str) -> list[str]:
        """Ids of the group's targets that get new work now."""
        return [key for key in self.backends.get(group, {}) if self.state(group, key) is TargetState.HEALTHY]

    def connections(self, group: str, instance_id: str) -> int:
        """Open connections of a target now."""
        backend = self.backends.get(group, {}).get(instance_id)
        if backend is None:
            return 0
        server = self.servers.get(instance_id)
        if server is None or self.gone(server) or server.stopped:
            return 0
        held = self.held.get(instance_id, 0)
        if backend.drained_at is not None:
            over = self.clock() >= backend.drained_at + timedelta(seconds=self.drain_s)
            return held + (0 if over else self.load)
        return held + (self.load if self.state(group, instance_id) is TargetState.HEALTHY else 0)

    # --- inside ---

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Around every call: count it, and let a fault strike before or after its effect."""
        with self._lock:
            self.calls.append(name)
            fault = self._fault(name)
            if fault is not None and not fault.after_effect:
                raise fault.error
            yield
            if fault is not None:
                raise fault.error

    def _fault(self, name: str) -> Fault | None:
        for fault in self._faults:
            matches = name in CHANGES if fault.pattern == "changes" else fnmatchcase(name, fault.pattern)
            if not matches:
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            if not fault.times:
                self._faults.remove(fault)
            return fault
        return None

    def log(self, call: str, subject: str, group: str, detail: str = "") -> None:
        """Write down what happened to ``subject``, and how the group stands now."""
        self.events.append(
            Event(self.clock(), call, subject, detail, group, len(self.alive(group)), len(self.in_service(group)))
        )

    def gone(self, server: Server) -> bool:
        """Ended, and the ending is over."""
        return server.gone_at is not None and self.clock() >= server.gone_at

    def serves(self, server: Server) -> bool:
        """Would answer a request now."""
        return server.healthy and not server.stopped and server.gone_at is None and self.clock() >= server.ready_at

    def state(self, group: str, instance_id: str) -> TargetState:
        """What the load balancer says of this target now."""
        backend = self.backends[group][instance_id]
        server = self.servers.get(instance_id)
        if backend.drained_at is not None:
            return TargetState.DRAINING
        if server is None or server.gone_at is not None:
            return TargetState.UNHEALTHY
        if self.clock() < max(backend.since + timedelta(seconds=self.health_s), server.ready_at):
            return TargetState.INITIAL
        return TargetState.HEALTHY if self.serves(server) else TargetState.UNHEALTHY

    def view(self, server: Server) -> Instance:
        """The instance as a caller sees it now."""
        if self.gone(server):
            state = InstanceState.TERMINATED
        elif server.gone_at is not None:
            state = InstanceState.SHUTTING_DOWN
        elif server.stopped:
            state = InstanceState.STOPPED
        else:
            state = InstanceState.RUNNING if self.clock() >= server.ready_at else InstanceState.PENDING
        return replace(server.instance, state=state)

    def visible(self) -> list[Server]:
        """Servers that a listing shows now."""
        return [s for s in self.servers.values() if not self.gone(s) and self.clock() >= s.visible_at]

    def get(self, instance_id: str) -> Server:
        """One visible server; raises ``NotFound``."""
        server = self.servers.get(instance_id)
        if server is None or self.gone(server) or self.clock() < server.visible_at:
            raise NotFound(f"instance {instance_id} does not exist")
        return server

    def end(self, server: Server, call: str) -> None:
        """End it, whoever asked; what it held is free again, and what it served is lost."""
        key, group = server.instance.id, server.instance.group
        cut = self.connections(group, key)
        server.gone_at = self.clock() + timedelta(seconds=self.terminate_s)
        for volume in [v for v in self.volume_table.values() if v.attached_to == key]:
            self.volume_table[volume.id] = replace(volume, attached_to="")
        for address in [a for a in self.address_table.values() if a.attached_to == key]:
            self.address_table[address.address] = replace(address, attached_to="")
        self.log(call, key, group)
        if cut:
            self.log("lost", key, group, f"{cut} connections were cut")

    def born(self, request: LaunchRequest) -> Server:
        """Make one more server."""
        self._counter += 1
        number, now = self._counter, self.clock()
        instance = Instance(
            id=f"i-{number:04d}",
            group=request.group,
            image=request.image,
            state=InstanceState.PENDING,
            slot=request.slot,
            address=f"192.0.2.{number % 250 + 1}",
            launched_at=now,
            tags={**request.tags, TOKEN_TAG: request.token},
            reach=Reach(host=f"192.0.2.{number % 250 + 1}", user="root"),
        )
        healthy = self.sick_launches <= 0
        self.sick_launches = max(0, self.sick_launches - 1)
        server = Server(
            instance, request, now, now + timedelta(seconds=self.hide_s), now + timedelta(seconds=self.boot_s), healthy
        )
        self.servers[instance.id] = server
        self.log("compute.launch", instance.id, request.group, request.token)
        return server
