"""The world behind the fake provider: servers, targets, volumes, addresses, and all that may go wrong with them.

Its ``events`` are the truth of what happened, for invariants that must not be read from driftd's own store.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from driftd.core.errors import NotFound, ProviderError
from driftd.core.facts import Instance, InstanceState, Reach, Session, Unseen
from driftd.core.ports import Address, HookName, LaunchRequest, Snapshot, TargetState, Volume
from driftd.testing.hostility import Hostility
from driftd.testing.matter import Backend, Event, Server, later

TOKEN_TAG = "driftd:token"  # noqa: S105 - the name of a tag, no secret


class World(Hostility):
    """What there is; every knob below may be turned at any time. Times are seconds of ``clock``, and may be infinite.

    Slowness: ``boot_s`` from launch or start to running and serving, ``hide_s`` until a new instance can be listed,
    ``health_s`` from registering to healthy, ``drain_s`` from drain to no connection left (infinite: it never drains),
    ``stop_s`` spent stopping, ``terminate_s`` spent shutting down (it writes to its volumes until then).

    Scarcity: ``images`` are those which exist (None: whichever is asked for), ``quota`` the number of instances that
    may exist, where stopped ones count unless ``quota_counts_stopped`` is False; ``preflight_blind`` makes the
    preflight see none of that.

    Launches: of the next ones ``sick_launches`` never get healthy, ``twin_launches`` make two instances under one
    token, ``tagless_launches`` lose their tags, the token's included.

    Service: ``load`` is the number of connections of every target in service. Targets in ``flapping`` are healthy and
    ill by turns of ``flap_s``. In a group named in ``stateful`` only an instance that has its slot's volumes mounted
    serves through the load balancer; its application's own answer needs no volume.

    Volumes: with ``services_write`` a running server uses the volumes that it has until a hook quiesces it; with
    ``rude_detach`` a volume that is in use is detached all the same. ``busy_volumes`` are in use whatever else is said.
    ``contents`` is what a test says is on them.

    Zones: ``zones`` are told by slot, or of one instance by its id; of the others nothing is told.

    Others: ``operations`` are what somebody else has under way, by group; ``visitors`` whom the provider itself let in,
    by instance.

    Hooks: ``hooked`` are those that the group has, ``hook_failures`` what one says instead of doing it,
    ``hook_pending`` how often it is not done yet, ``quorum_answer`` what the quorum hook answers.
    """

    def __init__(
        self,
        clock: Callable[[], datetime] | None = None,
        *,
        volumes: Mapping[str, str] | None = None,
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        """``volumes`` and ``addresses`` map ids to slots."""
        super().__init__(clock)
        self.events: list[Event] = []
        self.boot_s = self.hide_s = self.health_s = self.drain_s = self.stop_s = self.terminate_s = 0.0
        self.load = 0
        self.quota: int | None = None
        self.quota_counts_stopped = True
        self.preflight_blind = False
        self.sick_launches = self.twin_launches = self.tagless_launches = 0
        self.images: set[str] | None = None
        self.backends: dict[str, dict[str, Backend]] = {}
        self.held: dict[str, int] = {}
        self.operations: dict[str, str] = {}
        self.visitors: dict[str, list[Session]] = {}
        self.zones: dict[str, str] = {}
        self.flapping: set[str] = set()
        self.flap_s = 0.0
        self.stateful: set[str] = set()
        self.services_write = self.rude_detach = False
        self.busy_volumes: set[str] = set()
        self.hooked: set[HookName] = set()
        self.hook_failures: dict[HookName, str] = {}
        self.hook_pending: dict[HookName, int] = {}
        self.quorum_answer: bytes | Unseen = Unseen("the group has no quorum hook")
        self.volume_table = {
            key: Volume(key, slot, filesystem=f"00000000-0000-4000-8000-{number:012d}")
            for number, (key, slot) in enumerate((volumes or {}).items(), 1)
        }
        self.contents: dict[str, str] = {}
        self.snapshot_table: dict[str, Snapshot] = {}
        self.root_table: dict[str, Snapshot] = {}
        self.root_until: dict[str, datetime | None] = {}
        self.address_table = {key: Address(key, slot) for key, slot in (addresses or {}).items()}
        self._due: list[tuple[datetime, int, Callable[[], object]]] = []
        self._moment: datetime | None = None
        self._counter = self._order = 0

    # --- for tests: what happens to things ---

    def make_sick(self, instance_id: str, *, healthy: bool = False) -> None:
        """From now on this instance does not serve (or serves again)."""
        self.servers[instance_id].healthy = healthy

    def vanish(self, instance_id: str) -> None:
        """The instance is gone, and not by driftd's hand."""
        with self._lock:
            self.end(self.servers[instance_id], "vanished")

    def hide(self, instance_id: str, seconds: float) -> None:
        """For so long no call finds the instance, which goes on as if nothing were."""
        self.servers[instance_id].visible_at = later(self.clock(), seconds)

    def lose_tag(self, instance_id: str, tag: str) -> None:
        """The provider loses a tag of an instance."""
        server = self.servers[instance_id]
        tags = {key: value for key, value in server.instance.tags.items() if key != tag}
        server.instance = replace(server.instance, tags=tags)

    def reformat(self, volume_id: str, filesystem: str) -> None:
        """Another file system stands on the volume now: it is not the one that it was."""
        self.volume_table[volume_id] = replace(self.volume_table[volume_id], filesystem=filesystem)

    @contextmanager
    def hold_connection(self, instance_id: str) -> Iterator[None]:
        """One connection to the instance through the load balancer that stays open inside the block."""
        self.held[instance_id] = self.held.get(instance_id, 0) + 1
        try:
            yield
        finally:
            self.held[instance_id] -= 1

    # --- for tests: the truth ---

    def alive(self, group: str | None = None) -> list[str]:
        """Ids of instances that are not gone, hidden ones included."""
        self.settle()
        return [
            key
            for key, server in self.servers.items()
            if not self.gone(server) and group in {None, server.instance.group}
        ]

    def in_service(self, group: str) -> list[str]:
        """Ids of the group's targets that get new work now."""
        self.settle()
        return [key for key in self.backends.get(group, {}) if self.state(group, key) is TargetState.HEALTHY]

    def writers(self, volume_id: str) -> list[str]:
        """Ids of the servers that may write to a volume now: one at most, in a good world."""
        self.settle()
        return [key for key, server in self.servers.items() if volume_id in server.mounted]

    def connections(self, group: str, instance_id: str) -> int:
        """Open connections of a target now."""
        backend = self.backends.get(group, {}).get(instance_id)
        if backend is None:
            return 0
        server = self.servers.get(instance_id)
        if server is None or self.gone(server) or server.stopped or server.stopping:
            return 0
        held = self.held.get(instance_id, 0)
        if backend.drained_at is not None:
            over = self.now() >= later(backend.drained_at, self.drain_s)
            return held + (0 if over else self.load)
        return held + (self.load if self.state(group, instance_id) is TargetState.HEALTHY else 0)

    # --- time ---

    def now(self) -> datetime:
        """The time, or the moment at which what is coming true came true."""
        return self._moment or self.clock()

    def at(self, seconds: float, effect: Callable[[], object]) -> None:
        """Let something come true in so many seconds; at once when that is none."""
        if seconds <= 0:
            effect()
        elif not math.isinf(seconds):
            self._order += 1
            self._due.append((later(self.now(), seconds), self._order, effect))
            self._due.sort(key=lambda one: one[:2])

    def settle(self) -> None:
        """What is due comes true, in order. One that the provider refuses by then never does."""
        with self._lock:
            while self._moment is None and self._due and self._due[0][0] <= self.clock():
                self._moment, _, effect = self._due.pop(0)
                try:
                    effect()
                except ProviderError:
                    continue
                finally:
                    self._moment = None

    def log(self, call: str, subject: str, group: str, detail: str = "") -> None:
        """Write down what happened to ``subject``, and how the group stands now."""
        existing = [s for s in self.servers.values() if s.instance.group == group and not self.gone(s)]
        serving = [key for key in self.backends.get(group, {}) if self.state(group, key) is TargetState.HEALTHY]
        self.events.append(Event(self.now(), call, subject, detail, group, len(existing), len(serving), self._hand))

    # --- servers ---

    def gone(self, server: Server) -> bool:
        """Ended, and the ending is over."""
        return server.gone_at is not None and self.now() >= server.gone_at

    def serves(self, server: Server) -> bool:
        """Its application would answer a request now."""
        up = server.healthy and not server.stopped and not server.stopping and server.gone_at is None
        up = up and not server.instance.isolated
        if not up or self.now() < server.ready_at:
            return False
        if server.instance.id in self.flapping and self.flap_s:
            return (self.now() - server.born).total_seconds() // self.flap_s % 2 == 0
        return True

    def state(self, group: str, instance_id: str) -> TargetState:
        """What the load balancer says of this target now."""
        backend = self.backends[group][instance_id]
        server = self.servers.get(instance_id)
        if backend.drained_at is not None:
            return TargetState.DRAINING
        if server is None or server.gone_at is not None:
            return TargetState.UNHEALTHY
        if self.now() < max(later(backend.since, self.health_s), server.ready_at):
            return TargetState.INITIAL
        if group in self.stateful and (server.quiesced or self._owned(server) - server.mounted):
            return TargetState.UNHEALTHY
        return TargetState.HEALTHY if self.serves(server) else TargetState.UNHEALTHY

    def view(self, server: Server) -> Instance:
        """The instance as a caller sees it now."""
        if server.claims is not None:
            state = server.claims
        elif self.gone(server):
            state = InstanceState.TERMINATED
        elif server.gone_at is not None:
            state = InstanceState.SHUTTING_DOWN
        elif server.stopped or server.stopping:
            state = InstanceState.STOPPED if server.stopped else InstanceState.STOPPING
        else:
            state = InstanceState.RUNNING if self.now() >= server.ready_at else InstanceState.PENDING
        told = self.zones.get(server.instance.id) or self.zones.get(server.request.slot, "")
        return replace(server.instance, state=state, zone=told)

    def visible(self) -> list[Server]:
        """Servers that a listing shows now."""
        return [server for server in self.servers.values() if self._shown(server)]

    def get(self, instance_id: str) -> Server:
        """One visible server; raises ``NotFound``."""
        server = self.servers.get(instance_id)
        if server is None or not self._shown(server):
            raise NotFound(f"instance {instance_id} does not exist")
        return server

    def _shown(self, server: Server) -> bool:
        there = not self.gone(server) and server.claims is not InstanceState.TERMINATED
        return there and self.now() >= server.visible_at

    def born(self, request: LaunchRequest) -> Server:
        """Make one more server."""
        number, now = self.number(), self.now()
        instance = Instance(
            id=f"i-{number:04d}",
            group=request.group,
            image=request.image,
            state=InstanceState.PENDING,
            slot=request.slot,
            address=f"192.0.2.{number % 250 + 1}",
            launched_at=now,
            tags={} if self.tagless_launches > 0 else {**request.tags, TOKEN_TAG: request.token},
            reach=Reach(host=f"192.0.2.{number % 250 + 1}", user="root"),
        )
        healthy = self.sick_launches <= 0
        self.sick_launches = max(0, self.sick_launches - 1)
        self.tagless_launches = max(0, self.tagless_launches - 1)
        server = Server(instance, request, now, later(now, self.hide_s), later(now, self.boot_s), healthy)
        self.servers[instance.id] = server
        self.log("compute.launch", instance.id, request.group, request.token)
        return server

    def number(self) -> int:
        """The next instance's number; one that is never used belongs to an instance that was only pretended."""
        self._counter += 1
        return self._counter

    def stop(self, server: Server) -> None:
        """Begin to stop it: it gets no more work at once, and writes to its volumes until it has stopped."""
        key, group = server.instance.id, server.instance.group
        cut = self.connections(group, key)
        server.stopping = True
        self.log("compute.stop", key, group)
        if cut:
            self.log("lost", key, group, f"{cut} connections were cut")
        self.at(self.stop_s, lambda: self._stopped(server))

    def _stopped(self, server: Server) -> None:
        if server.stopping and server.gone_at is None:
            server.stopping, server.stopped, server.quiesced = False, True, False
            for volume_id in sorted(server.mounted):
                self.unmount(server, volume_id)
            self.log("stopped", server.instance.id, server.instance.group)

    def end(self, server: Server, call: str) -> None:
        """End it, whoever asked; what it held is free once it is gone, and what it served is lost."""
        key, group = server.instance.id, server.instance.group
        cut = self.connections(group, key)
        server.gone_at = later(self.now(), self.terminate_s)
        self.log(call, key, group)
        if cut:
            self.log("lost", key, group, f"{cut} connections were cut")
        self.at(self.terminate_s, lambda: self._let_go(server))

    def _let_go(self, server: Server) -> None:
        key = server.instance.id
        for volume_id in sorted(server.mounted):
            self.unmount(server, volume_id)
        for volume in [v for v in self.volume_table.values() if v.attached_to == key]:
            self.volume_table[volume.id] = replace(volume, attached_to="")
        for address in [a for a in self.address_table.values() if a.attached_to == key]:
            self.address_table[address.address] = replace(address, attached_to="")
        self.log("gone", key, server.instance.group)

    # --- who may write to what ---

    def runs(self, server: Server) -> bool:
        """Its programs run, and write where they may: also while it stops or shuts down, whatever it claims."""
        return not server.stopped and not self.gone(server)

    def mount(self, server: Server, volume_id: str) -> None:
        """From now on it may write there."""
        if volume_id not in server.mounted:
            server.mounted.add(volume_id)
            self.log("mounted", volume_id, server.instance.group, server.instance.id)
            others = [s.instance.id for s in self.servers.values() if volume_id in s.mounted and s is not server]
            if others:
                self.log("two writers", volume_id, server.instance.group, " ".join([server.instance.id, *others]))

    def unmount(self, server: Server, volume_id: str) -> None:
        """It cannot write there any more."""
        server.mounted.remove(volume_id)
        self.log("unmounted", volume_id, server.instance.group, server.instance.id)

    def used(self, server: Server, volume_id: str) -> bool:
        """Something on the server has files open there."""
        writes = self.services_write and not server.quiesced and volume_id in server.mounted
        return volume_id in self.busy_volumes or (writes and self.runs(server))

    def _owned(self, server: Server) -> set[str]:
        return {volume.id for volume in self.volume_table.values() if volume.slot == server.instance.slot}
