"""What the fake's slots own and are served by: targets, volumes, addresses, hooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from driftd.core.errors import NotFound, Refused
from driftd.core.facts import Instance, Unseen
from driftd.core.hooks import NotYet
from driftd.core.ports import Address, HookName, Snapshot, Target, Volume
from driftd.testing.matter import Backend
from driftd.testing.world import World


def _nothing() -> None:
    """What a call that was only pretended answers."""


class FakeTraffic:
    """``driftd.core.ports.Traffic``."""

    def __init__(self, world: World) -> None:
        self._w = world

    def targets(self, group: str) -> Sequence[Target]:
        """See ``Traffic.targets``."""

        def truth() -> list[Target]:
            return [
                Target(key, self._w.state(group, key), self._w.connections(group, key))
                for key in self._w.backends.get(group, {})
            ]

        return self._w.listed("traffic.targets", group, truth, lambda t: replace(t, instance_id=f"{t.instance_id}-x"))

    def register(self, group: str, instance: Instance) -> None:
        """See ``Traffic.register``."""

        def effect() -> None:
            self._w.get(instance.id)
            targets = self._w.backends.setdefault(group, {})
            backend = targets.get(instance.id)
            if backend is None or backend.drained_at is not None:
                targets[instance.id] = Backend(self._w.now())
                self._w.log("traffic.register", instance.id, group)

        self._w.change("traffic.register", instance.id, effect, _nothing)

    def drain(self, group: str, instance_id: str) -> None:
        """See ``Traffic.drain``."""

        def effect() -> None:
            backend = self._w.backends.get(group, {}).get(instance_id)
            if backend is not None and backend.drained_at is None:
                backend.drained_at = self._w.now()
                self._w.log("traffic.drain", instance_id, group)

        self._w.change("traffic.drain", instance_id, effect, _nothing)

    def deregister(self, group: str, instance_id: str) -> None:
        """See ``Traffic.deregister``."""

        def effect() -> None:
            if instance_id not in self._w.backends.get(group, {}):
                return
            count = self._w.connections(group, instance_id)
            if count:
                raise Refused(f"{instance_id} still has {count} open connections in {group}", "drain it first")
            del self._w.backends[group][instance_id]
            self._w.log("traffic.deregister", instance_id, group)

        self._w.change("traffic.deregister", instance_id, effect, _nothing)


class FakeVolumes:
    """``driftd.core.ports.Volumes``."""

    def __init__(self, world: World) -> None:
        self._w = world

    def list(self) -> Sequence[Volume]:
        """See ``Volumes.list``."""
        return self._w.listed("volumes.list", "", lambda: list(self._w.volume_table.values()), _another)

    def attach(self, volume_id: str, instance_id: str) -> None:
        """See ``Volumes.attach``."""

        def effect() -> None:
            volume = self._get(volume_id)
            server = self._w.get(instance_id)
            if volume.attached_to == instance_id:
                return
            if volume.attached_to:
                raise Refused(f"volume {volume_id} is attached to {volume.attached_to}", "detach it there first")
            self._w.volume_table[volume_id] = replace(volume, attached_to=instance_id)
            self._w.log("volumes.attach", volume_id, server.instance.group, instance_id)
            if self._w.runs(server):
                self._w.mount(server, volume_id)

        self._w.change("volumes.attach", volume_id, effect, _nothing)

    def detach(self, volume_id: str) -> None:
        """See ``Volumes.detach``."""

        def effect() -> None:
            volume = self._get(volume_id)
            if not volume.attached_to:
                return
            server = self._w.servers[volume.attached_to]
            if self._w.used(server, volume_id):
                if not self._w.rude_detach:
                    raise Refused(f"volume {volume_id} is in use on {volume.attached_to}", "stop what uses it")
                self._w.log("torn", volume_id, server.instance.group, volume.attached_to)
            self._w.volume_table[volume_id] = replace(volume, attached_to="")
            if volume_id in server.mounted:
                self._w.unmount(server, volume_id)
            self._w.log("volumes.detach", volume_id, server.instance.group, volume.attached_to)

        self._w.change("volumes.detach", volume_id, effect, _nothing)

    def snapshot(self, volume_id: str, token: str) -> Snapshot:
        """See ``Volumes.snapshot``."""

        def effect() -> Snapshot:
            volume = self._get(volume_id)
            known = next((one for one in self._w.snapshot_table.values() if one.token == token), None)
            if known is not None:
                if known.volume_id != volume_id:
                    raise Refused(f"token {token} was used for a snapshot of {known.volume_id}")
                return known
            for key in self._w.writers(volume_id):
                raise Refused(f"volume {volume_id} is mounted by {key}, which runs", "stop it, or quiesce it")
            made = self._copy(volume, token)
            self._w.snapshot_table[made.id] = made
            owner = self._w.servers.get(volume.attached_to)
            self._w.log("volumes.snapshot", volume_id, owner.instance.group if owner else "", made.id)
            return made

        return self._w.change(
            "volumes.snapshot", volume_id, effect, lambda: self._copy(self._get(volume_id), token, "-pretended")
        )

    def snapshots(self) -> Sequence[Snapshot]:
        """See ``Volumes.snapshots``."""

        def truth() -> list[Snapshot]:
            return sorted(self._w.snapshot_table.values(), key=lambda one: (one.at, one.id))

        return self._w.listed("volumes.snapshots", "", truth, lambda s: replace(s, id=f"{s.id}-x", token=""))

    def delete_snapshot(self, snapshot_id: str) -> None:
        """See ``Volumes.delete_snapshot``."""

        def effect() -> None:
            gone = self._w.snapshot_table.pop(snapshot_id, None)
            if gone is not None:
                self._w.log("volumes.delete_snapshot", gone.volume_id, "", snapshot_id)

        self._w.change("volumes.delete_snapshot", snapshot_id, effect, _nothing)

    def _get(self, volume_id: str) -> Volume:
        if volume_id not in self._w.volume_table:
            raise NotFound(f"volume {volume_id} does not exist")
        return self._w.volume_table[volume_id]

    def _copy(self, volume: Volume, token: str, mark: str = "") -> Snapshot:
        return Snapshot(f"snap-{token}{mark}", volume.id, token, self._w.now(), volume.filesystem)


def _another(volume: Volume) -> Volume:
    return replace(volume, id=f"{volume.id}-x", attached_to="")


class FakeAddresses:
    """``driftd.core.ports.Addresses``."""

    def __init__(self, world: World) -> None:
        self._w = world

    def list(self) -> Sequence[Address]:
        """See ``Addresses.list``."""
        return self._w.listed(
            "addresses.list",
            "",
            lambda: list(self._w.address_table.values()),
            lambda a: replace(a, address=f"{a.address}9", attached_to=""),
        )

    def associate(self, address: str, instance_id: str, expected_owner: str = "") -> None:
        """See ``Addresses.associate``."""

        def effect() -> None:
            present = self._get(address)
            server = self._w.get(instance_id)
            if present.attached_to == instance_id:
                return
            if present.attached_to not in {"", expected_owner}:
                raise Refused(f"address {address} belongs to {present.attached_to}", "name it as the expected owner")
            self._free(present)
            self._w.address_table[address] = replace(present, attached_to=instance_id)
            self._w.log("addresses.associate", address, server.instance.group, instance_id)

        self._w.change("addresses.associate", address, effect, _nothing)

    def release(self, address: str, expected_owner: str) -> None:
        """See ``Addresses.release``."""

        def effect() -> None:
            present = self._get(address)
            if present.attached_to not in {"", expected_owner}:
                raise Refused(f"address {address} belongs to {present.attached_to}")
            self._free(present)

        self._w.change("addresses.release", address, effect, _nothing)

    def _free(self, present: Address) -> None:
        if present.attached_to:
            group = self._w.servers[present.attached_to].instance.group
            self._w.address_table[present.address] = replace(present, attached_to="")
            self._w.log("addresses.release", present.address, group, present.attached_to)

    def _get(self, address: str) -> Address:
        if address not in self._w.address_table:
            raise NotFound(f"address {address} does not exist")
        return self._w.address_table[address]


class FakeHooks:
    """``driftd.core.ports.Hooks``. What they are told by ``facts`` is not kept."""

    def __init__(self, world: World) -> None:
        self._w = world

    def has(self, name: HookName) -> bool:
        """See ``Hooks.has``."""
        return name in self._w.hooked

    def run(self, name: HookName, instance: Instance, group: str, facts: Mapping[str, str]) -> str | NotYet:
        """See ``Hooks.run``."""
        del facts
        if not self.has(name):
            return ""
        if self._w.hook_pending.get(name, 0):
            self._w.hook_pending[name] -= 1
            return NotYet(f"the {name} hook of {group} on {instance.id} is not done yet", 10)
        return self._w.change(f"hooks.{name}", instance.id, lambda: self._done(name, instance, group), lambda: "")

    def ask(self, name: HookName, instance: Instance, group: str) -> bytes | Unseen:
        """See ``Hooks.ask``."""
        if not self.has(name):
            return Unseen(f"{group} has no {name} hook")
        with self._w.call(f"hooks.{name}", instance.id):
            return self._w.quorum_answer

    def _done(self, name: HookName, instance: Instance, group: str) -> str:
        failure = self._w.hook_failures.get(name)
        if failure:
            return failure
        server = self._w.servers.get(instance.id)
        ends = name is HookName.PRE_TERMINATE  # of one that may be parked, stopped, by then
        if server is None or not (ends or self._w.runs(server)):
            return f"the {name} hook of {group} on {instance.id} failed: it does not run"
        if name is HookName.QUIESCE:
            server.quiesced = True
            for volume_id in sorted(server.mounted):
                self._w.unmount(server, volume_id)
        elif name is HookName.SERVE:
            server.quiesced = False
            for volume in list(self._w.volume_table.values()):
                if volume.attached_to == instance.id:
                    self._w.mount(server, volume.id)
        self._w.log(f"hooks.{name}", instance.id, server.instance.group)
        return ""
