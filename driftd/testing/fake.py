"""A provider in memory that keeps every promise of ``driftd.core.ports`` and is hostile on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from driftd.core.errors import NotFound, Refused
from driftd.core.facts import Instance
from driftd.core.ports import (
    Address,
    Addresses,
    Compute,
    Inventory,
    LaunchRequest,
    Snapshot,
    Target,
    Traffic,
    Volume,
    Volumes,
)
from driftd.testing.world import Backend, Crash, Event, FakeClock, World

__all__ = ["Crash", "Event", "FakeClock", "FakeProvider"]


class FakeProvider(World):
    """Implements ``driftd.core.ports.Provider``; knobs, faults and ``events`` are those of ``World``.

    ``health`` implements ``driftd.core.ports.Health`` for its servers.
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
        self.traffic: Traffic | None = _Traffic(self)
        self.volumes: Volumes | None = _Volumes(self)
        self.addresses: Addresses | None = _Addresses(self)
        self.health = _Health(self)

    def prepare(self) -> None:
        """Nothing is ever left half done."""

    def close(self) -> None:
        """Nothing to give back."""


def _has(instance: Instance, tags: Mapping[str, str]) -> bool:
    return all(instance.tags.get(key) == value for key, value in tags.items())


class _Compute:
    def __init__(self, world: World) -> None:
        self._w = world

    def list(self, tags: Mapping[str, str]) -> Sequence[Instance]:
        with self._w.call("compute.list"):
            return [self._w.view(s) for s in self._w.visible() if _has(s.instance, tags)]

    def describe(self, instance_id: str) -> Instance:
        with self._w.call("compute.describe"):
            return self._w.view(self._w.get(instance_id))

    def launch(self, request: LaunchRequest) -> Instance:
        with self._w.call("compute.launch"):
            for server in self._w.servers.values():
                if server.request.token == request.token:
                    if server.request != request:
                        raise Refused(f"token {request.token} was used for another launch")
                    return self._w.view(server)
            if self._w.images is not None and request.image not in self._w.images:
                raise Refused(f"image {request.image} does not exist")
            if self._w.quota is not None and len(self._w.alive()) >= self._w.quota:
                raise Refused(f"the quota of {self._w.quota} instances is used up", "end one, or ask for more")
            server = self._w.born(request)
            if self._w.twin_launches:
                self._w.twin_launches -= 1
                self._w.born(request)
            return self._w.view(server)

    def stop(self, instance_id: str) -> None:
        with self._w.call("compute.stop"):
            server = self._w.get(instance_id)
            if not server.stopped:
                cut = self._w.connections(server.instance.group, instance_id)
                server.stopped = True
                self._w.log("compute.stop", instance_id, server.instance.group)
                if cut:
                    self._w.log("lost", instance_id, server.instance.group, f"{cut} connections were cut")

    def start(self, instance_id: str) -> None:
        with self._w.call("compute.start"):
            server = self._w.get(instance_id)
            if server.stopped:
                server.stopped = False
                server.ready_at = self._w.clock() + timedelta(seconds=self._w.boot_s)
                self._w.log("compute.start", instance_id, server.instance.group)

    def terminate(self, instance_id: str) -> None:
        with self._w.call("compute.terminate"):
            server = self._w.servers.get(instance_id)
            if server is not None and server.gone_at is None:
                self._w.end(server, "compute.terminate")

    def tag(self, instance_id: str, tags: Mapping[str, str]) -> None:
        with self._w.call("compute.tag"):
            server = self._w.get(instance_id)
            merged = {**server.instance.tags, **tags}
            server.instance = replace(server.instance, tags={k: v for k, v in merged.items() if v})
            self._w.log("compute.tag", instance_id, server.instance.group, repr(dict(tags)))

    def preflight(self, request: LaunchRequest) -> str:
        with self._w.call("compute.preflight"):
            if self._w.images is not None and request.image not in self._w.images:
                return f"image {request.image} does not exist"
            if self._w.quota is not None and len(self._w.alive()) >= self._w.quota:
                return f"the quota of {self._w.quota} instances is used up"
            return ""


class _Traffic:
    def __init__(self, world: World) -> None:
        self._w = world

    def targets(self, group: str) -> Sequence[Target]:
        with self._w.call("traffic.targets"):
            return [
                Target(key, self._w.state(group, key), self._w.connections(group, key))
                for key in self._w.backends.get(group, {})
            ]

    def register(self, group: str, instance: Instance) -> None:
        with self._w.call("traffic.register"):
            self._w.get(instance.id)
            targets = self._w.backends.setdefault(group, {})
            backend = targets.get(instance.id)
            if backend is None or backend.drained_at is not None:
                targets[instance.id] = Backend(self._w.clock())
                self._w.log("traffic.register", instance.id, group)

    def drain(self, group: str, instance_id: str) -> None:
        with self._w.call("traffic.drain"):
            backend = self._w.backends.get(group, {}).get(instance_id)
            if backend is not None and backend.drained_at is None:
                backend.drained_at = self._w.clock()
                self._w.log("traffic.drain", instance_id, group)

    def deregister(self, group: str, instance_id: str) -> None:
        with self._w.call("traffic.deregister"):
            if instance_id not in self._w.backends.get(group, {}):
                return
            count = self._w.connections(group, instance_id)
            if count:
                raise Refused(f"{instance_id} still has {count} open connections in {group}", "drain it first")
            del self._w.backends[group][instance_id]
            self._w.log("traffic.deregister", instance_id, group)


class _Volumes:
    def __init__(self, world: World) -> None:
        self._w = world

    def list(self) -> Sequence[Volume]:
        with self._w.call("volumes.list"):
            return list(self._w.volume_table.values())

    def _get(self, volume_id: str) -> Volume:
        if volume_id not in self._w.volume_table:
            raise NotFound(f"volume {volume_id} does not exist")
        return self._w.volume_table[volume_id]

    def attach(self, volume_id: str, instance_id: str) -> None:
        with self._w.call("volumes.attach"):
            volume = self._get(volume_id)
            server = self._w.get(instance_id)
            if volume.attached_to == instance_id:
                return
            if volume.attached_to:
                raise Refused(f"volume {volume_id} is attached to {volume.attached_to}", "detach it there first")
            self._w.volume_table[volume_id] = replace(volume, attached_to=instance_id)
            self._w.log("volumes.attach", volume_id, server.instance.group, instance_id)

    def detach(self, volume_id: str) -> None:
        with self._w.call("volumes.detach"):
            volume = self._get(volume_id)
            if not volume.attached_to:
                return
            if volume_id in self._w.busy_volumes:
                raise Refused(f"volume {volume_id} is in use on {volume.attached_to}", "stop what uses it")
            group = self._w.servers[volume.attached_to].instance.group
            self._w.volume_table[volume_id] = replace(volume, attached_to="")
            self._w.log("volumes.detach", volume_id, group, volume.attached_to)

    def snapshot(self, volume_id: str, token: str) -> Snapshot:
        with self._w.call("volumes.snapshot"):
            volume = self._get(volume_id)
            known = next((one for one in self._w.snapshot_table.values() if one.token == token), None)
            if known is not None:
                if known.volume_id != volume_id:
                    raise Refused(f"token {token} was used for a snapshot of {known.volume_id}")
                return known
            owner = self._w.servers.get(volume.attached_to)
            if owner is not None and not owner.stopped and not self._w.gone(owner):
                raise Refused(f"volume {volume_id} is mounted by {volume.attached_to}, which runs", "stop it first")
            number = len(self._w.snapshot_table) + 1
            made = Snapshot(f"snap-{number:04d}", volume_id, token, self._w.clock(), volume.filesystem)
            self._w.snapshot_table[made.id] = made
            self._w.log("volumes.snapshot", volume_id, "", made.id)
            return made

    def snapshots(self) -> Sequence[Snapshot]:
        with self._w.call("volumes.snapshots"):
            return sorted(self._w.snapshot_table.values(), key=lambda one: (one.at, one.id))

    def delete_snapshot(self, snapshot_id: str) -> None:
        with self._w.call("volumes.delete_snapshot"):
            gone = self._w.snapshot_table.pop(snapshot_id, None)
            if gone is not None:
                self._w.log("volumes.delete_snapshot", gone.volume_id, "", snapshot_id)


class _Addresses:
    def __init__(self, world: World) -> None:
        self._w = world

    def list(self) -> Sequence[Address]:
        with self._w.call("addresses.list"):
            return list(self._w.address_table.values())

    def _get(self, address: str) -> Address:
        if address not in self._w.address_table:
            raise NotFound(f"address {address} does not exist")
        return self._w.address_table[address]

    def associate(self, address: str, instance_id: str, expected_owner: str = "") -> None:
        with self._w.call("addresses.associate"):
            present = self._get(address)
            server = self._w.get(instance_id)
            if present.attached_to == instance_id:
                return
            if present.attached_to not in {"", expected_owner}:
                raise Refused(f"address {address} belongs to {present.attached_to}", "name it as the expected owner")
            self._w.address_table[address] = replace(present, attached_to=instance_id)
            self._w.log("addresses.associate", address, server.instance.group, instance_id)

    def release(self, address: str) -> None:
        with self._w.call("addresses.release"):
            present = self._get(address)
            if present.attached_to:
                group = self._w.servers[present.attached_to].instance.group
                self._w.address_table[address] = replace(present, attached_to="")
                self._w.log("addresses.release", address, group, present.attached_to)


class _Inventory:
    def __init__(self, world: World) -> None:
        self._w = world

    def find(self, group: str) -> Sequence[Instance]:
        with self._w.call("inventory.find"):
            found = [self._w.view(s) for s in self._w.visible() if s.instance.group == group]
            return sorted(found, key=lambda i: (i.slot, i.id))


class _Health:
    """``driftd.core.ports.Health`` of the fake's servers."""

    def __init__(self, world: World) -> None:
        self._w = world

    def check(self, instance: Instance) -> str:
        with self._w.call("health.check"):
            server = self._w.servers.get(instance.id)
            if server is None or not self._w.serves(server):
                return f"{instance.id} does not answer on its health address"
            return ""
