"""A provider in memory that keeps every promise of ``driftd.core.ports`` and is hostile on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from driftd.core.errors import NoCapacity, Refused, Unavailable
from driftd.core.facts import Instance, InstanceState, Session
from driftd.core.ports import Addresses, Compute, Hooks, Inventory, LaunchRequest, Snapshot, Traffic, Volumes
from driftd.testing.faults import Crash, Distortion
from driftd.testing.matter import Event, FakeClock, Server, later
from driftd.testing.owned import FakeAddresses, FakeHooks, FakeTraffic, FakeVolumes
from driftd.testing.world import TOKEN_TAG, World

__all__ = ["Crash", "Distortion", "Event", "FakeClock", "FakeProvider"]


class FakeProvider(World):
    """Implements ``driftd.core.ports.Provider``; knobs, faults and ``events`` are those of ``World``.

    ``health`` implements ``driftd.core.ports.Health`` for its servers, ``hooks`` ``driftd.core.ports.Hooks``.
    """

    name = "fake"

    def __init__(
        self,
        clock: Callable[[], datetime] | None = None,
        *,
        volumes: Mapping[str, str] | None = None,
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        """``volumes`` and ``addresses`` map ids to slots."""
        super().__init__(clock, volumes=volumes, addresses=addresses)
        self.inventory: Inventory = _Inventory(self)
        self.compute: Compute | None = _Compute(self)
        self.traffic: Traffic | None = FakeTraffic(self)
        self.volumes: Volumes | None = FakeVolumes(self)
        self.addresses: Addresses | None = FakeAddresses(self)
        self.hooks: Hooks = FakeHooks(self)
        self.health = _Health(self)

    def prepare(self) -> None:
        """Nothing is ever left half done."""

    def close(self) -> None:
        """Nothing to give back."""

    def foreign(self, group: str) -> str:
        """See ``driftd.core.asides.Foreign``: what a test put into ``operations``."""
        with self.call("provider.foreign", group):
            return self.operations.get(group, "")

    def isolate(self, instance_id: str) -> None:
        """See ``driftd.core.asides.Isolating``."""

        def effect() -> None:
            server = self.get(instance_id)
            if not server.instance.isolated:
                server.instance = replace(server.instance, isolated=True)
                self.log("provider.isolate", instance_id, server.instance.group)

        self.change("provider.isolate", instance_id, effect, _nothing)

    def copy_root(self, instance_id: str, token: str, until: datetime | None = None) -> Snapshot:
        """See ``driftd.core.asides.RootCopying``."""

        def effect() -> Snapshot:
            known = next((one for one in self.root_table.values() if one.token == token), None)
            if known is None:
                server = self.get(instance_id)
                known = Snapshot(f"root-{self.number():04d}", instance_id, token, self.now())
                self.root_table[known.id] = known
                self.root_until[known.id] = until
                self.log("provider.copy_root", instance_id, server.instance.group, known.id)
            return known

        return self.change(
            "provider.copy_root", instance_id, effect, lambda: Snapshot("-", instance_id, token, self.now())
        )

    def root_copies(self) -> Sequence[Snapshot]:
        """See ``driftd.core.asides.RootCopying``."""
        with self.call("provider.root_copies", ""):
            return list(self.root_table.values())

    def delete_root_copy(self, copy_id: str) -> None:
        """See ``driftd.core.asides.RootCopying``."""
        self.change("provider.delete_root_copy", copy_id, lambda: self._forget_root(copy_id), _nothing)

    def _forget_root(self, copy_id: str) -> None:
        self.root_table.pop(copy_id, None)

    def let_in(self, instance: Instance, since: datetime) -> Sequence[Session]:
        """See ``driftd.core.asides.Doorman``: those of ``visitors`` who have not left before ``since``."""
        with self.call("provider.let_in", instance.id):
            known = self.visitors.get(instance.id, [])
            return [one for one in known if one.ended_at is None or one.ended_at >= since]


def _has(instance: Instance, tags: Mapping[str, str]) -> bool:
    return all(instance.tags.get(key) == value for key, value in tags.items())


def _stranger(instance: Instance) -> Instance:
    return replace(instance, id=f"{instance.id}-stranger", address="198.51.100.1", tags={})


class _Compute:
    def __init__(self, world: World) -> None:
        self._w = world

    def list(self, tags: Mapping[str, str]) -> Sequence[Instance]:
        def truth() -> list[Instance]:
            return [self._w.view(s) for s in self._w.visible() if _has(s.instance, tags)]

        return self._w.listed("compute.list", repr(sorted(tags.items())), truth, _stranger)

    def describe(self, instance_id: str) -> Instance:
        with self._w.call("compute.describe", instance_id):
            return self._w.view(self._w.get(instance_id))

    def launch(self, request: LaunchRequest) -> Instance:
        def effect() -> Instance:
            for server in self._w.servers.values():
                if server.request.token == request.token:
                    if server.request != request:
                        raise Refused(f"token {request.token} was used for another launch")
                    return self._w.view(server)
            if why := self._lacking(request):
                raise why
            server = self._w.born(request)
            if self._w.twin_launches:
                self._w.twin_launches -= 1
                self._w.born(request)
            return self._w.view(server)

        def pretended() -> Instance:
            key, tags = f"i-{self._w.number():04d}", {**request.tags, TOKEN_TAG: request.token}
            return Instance(key, request.group, request.image, InstanceState.PENDING, request.slot, tags=tags)

        return self._w.change("compute.launch", request.slot, effect, pretended)

    def stop(self, instance_id: str) -> None:
        def effect() -> None:
            server = self._w.get(instance_id)
            if not (server.stopped or server.stopping or server.claims is InstanceState.STOPPED):
                self._w.stop(server)

        self._w.change("compute.stop", instance_id, effect, _nothing)

    def start(self, instance_id: str) -> None:
        def effect() -> None:
            server = self._w.get(instance_id)
            server.claims = None
            if server.stopping:
                raise Unavailable(f"{instance_id} is stopping", "ask again when it has stopped")
            if server.stopped and server.gone_at is None:
                server.stopped = False
                server.ready_at = later(self._w.now(), self._w.boot_s)
                self._w.log("compute.start", instance_id, server.instance.group)
                for volume in list(self._w.volume_table.values()):
                    if volume.attached_to == instance_id:
                        self._w.mount(server, volume.id)

        self._w.change("compute.start", instance_id, effect, _nothing)

    def terminate(self, instance_id: str) -> None:
        def effect() -> None:
            server = self._w.servers.get(instance_id)
            over = server is not None and server.claims is InstanceState.TERMINATED
            if server is not None and server.gone_at is None and not over:
                server.claims = None
                self._w.end(server, "compute.terminate")

        self._w.change("compute.terminate", instance_id, effect, _nothing)

    def tag(self, instance_id: str, tags: Mapping[str, str]) -> None:
        def effect() -> None:
            server = self._w.get(instance_id)
            merged = {**server.instance.tags, **tags}
            server.instance = replace(server.instance, tags={k: v for k, v in merged.items() if v})
            self._w.log("compute.tag", instance_id, server.instance.group, repr(dict(tags)))

        self._w.change("compute.tag", instance_id, effect, _nothing)

    def preflight(self, request: LaunchRequest) -> str:
        with self._w.call("compute.preflight", request.slot):
            why = None if self._w.preflight_blind else self._lacking(request)
            return str(why) if why else ""

    def _lacking(self, request: LaunchRequest) -> Refused | None:
        if self._w.images is not None and request.image not in self._w.images:
            return Refused(f"image {request.image} does not exist")
        counted = [key for key in self._w.alive() if self._counts(self._w.servers[key])]
        if self._w.quota is not None and len(counted) >= self._w.quota:
            return NoCapacity(f"the quota of {self._w.quota} instances is used up", "end one, or ask for more")
        return None

    def _counts(self, server: Server) -> bool:
        return self._w.quota_counts_stopped or not server.stopped


def _nothing() -> None:
    """What a call that was only pretended answers."""


class _Inventory:
    def __init__(self, world: World) -> None:
        self._w = world

    def find(self, group: str) -> Sequence[Instance]:
        def truth() -> list[Instance]:
            found = [self._w.view(s) for s in self._w.visible() if s.instance.group == group]
            return sorted(found, key=lambda i: (i.slot, i.id))

        return self._w.listed("inventory.find", group, truth, _stranger)


class _Health:
    """``driftd.core.ports.Health`` of the fake's servers."""

    def __init__(self, world: World) -> None:
        self._w = world

    def check(self, instance: Instance) -> str:
        with self._w.call("health.check", instance.id):
            server = self._w.servers.get(instance.id)
            if server is None or not self._w.serves(server):
                return f"{instance.id} does not answer on its health address"
            return ""
