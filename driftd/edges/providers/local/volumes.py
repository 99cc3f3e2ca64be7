"""Data volumes: what outlives an instance and has one owner at a time.

    DIR/volumes/ID/meta.json     slot, size, path on the instance, ``attached_to``
    DIR/volumes/ID/disk-HEX.img  an ext4 file system, mounted through a loop device; or, where an ordinary user may
    DIR/volumes/ID/data-UUID/    mount none, a directory
    DIR/volumes/ID/snapshots/    see snapshots.py

A mount that the record does not know is the danger: two servers would write to one disk. Before attaching, the mount
tables of all processes are read, and any sign of the volume refuses the attachment.

Locks are taken in one order: the volume's, then its owner's. Whoever starts an instance holds the owner's, so that it
cannot come up between a look at it and what is done to its volume.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftd.core.errors import NotFound, Refused, Unavailable
from driftd.core.ports import Snapshot, Volume
from driftd.edges.providers.local import filesystem
from driftd.edges.providers.local.deployment import Deployment
from driftd.edges.providers.local.instance import Home
from driftd.edges.providers.local.mounting import mounted_in, mounter, namespace
from driftd.edges.providers.local.snapshots import Shelf
from driftd.edges.providers.local.tools import locked, on_disk, read_json, write_json


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    """A volume that should exist: the slot that it belongs to, its size in MiB, where it appears on the instance."""

    slot: str
    size_mb: int = 64
    path: str = "/data"


class LocalVolumes:
    """``driftd.core.ports.Volumes``: made when first needed, attached to running instances without a restart."""

    def __init__(self, deployment: Deployment, specs: Mapping[str, VolumeSpec]) -> None:
        self._deployment = deployment
        self._specs = dict(sorted(specs.items()))

    def list(self) -> Sequence[Volume]:
        """See ``driftd.core.ports.Volumes``. One that was never attached has no file system yet."""
        disks = {key: disk for key in self._specs if (disk := self._disk(key)) is not None}
        ids = filesystem.identities(list(disks.values()))
        return [
            Volume(key, spec.slot, self._owner(key), ids[disks[key]] if key in disks else "")
            for key, spec in self._specs.items()
        ]

    @on_disk
    def attach(self, volume_id: str, instance_id: str) -> None:
        """See ``driftd.core.ports.Volumes``."""
        home = Home(self._deployment, instance_id)
        with self._locked(volume_id), home.busy():
            if home.meta()["desired"] == "gone":
                raise NotFound(f"instance {instance_id} is being ended")
            owner = self._owner(volume_id)
            if owner and owner != instance_id:
                raise Refused(f"volume {volume_id} is attached to {owner}", "detach it there first")
            disk = self._disk(volume_id) or self._make(volume_id)
            pid = home.pid()
            if self._mounted_here(volume_id, disk, pid):
                self._save(volume_id, attached_to=instance_id)
                return
            filesystem.settle(disk)
            filesystem.check(disk)
            # The record first: after a crash here the volume counts as taken, and attaching again completes it.
            self._save(volume_id, attached_to=instance_id)
            if pid:
                mounter("attach", pid, disk, self._specs[volume_id].path)

    @on_disk
    def detach(self, volume_id: str) -> None:
        """See ``driftd.core.ports.Volumes``."""
        with self._locked(volume_id):
            owner = self._owner(volume_id)
            if not owner:
                return
            with self._still(owner) as pid:
                disk = self._disk(volume_id)
                if disk is not None and self._mounted_here(volume_id, disk, pid):
                    mounter("detach", pid, self._specs[volume_id].path, busy=f"volume {volume_id} is in use on {owner}")
                self._save(volume_id, attached_to="")

    def reattach(self, instance_id: str) -> None:
        """An instance was started again: give it its volumes back. Call while holding its lock."""
        for volume_id, spec in self._specs.items():
            disk = self._disk(volume_id)
            if disk is None or self._owner(volume_id) != instance_id:
                continue
            pid = Home(self._deployment, instance_id).pid()
            if not self._mounted_here(volume_id, disk, pid):
                mounter("attach", pid, disk, spec.path)

    @on_disk
    def snapshot(self, volume_id: str, token: str) -> Snapshot:
        """See ``driftd.core.ports.Volumes``: a whole copy, sharing blocks where the host's file system can."""
        with self._locked(volume_id):
            known = next((one for one in self.snapshots() if one.token == token), None)
            if known is not None and known.volume_id != volume_id:
                raise Refused(f"the snapshot token {token} belongs to volume {known.volume_id}")
            if known is not None:
                return known
            owner = self._owner(volume_id)
            with self._still(owner) as pid:
                disk = self._disk(volume_id) or self._make(volume_id)
                if self._mounted_here(volume_id, disk, pid):
                    raise Refused(f"volume {volume_id} is mounted by {owner}, which runs", "stop it, or unmount it")
                filesystem.settle(disk)
                return self._shelf(volume_id).take(disk, token)

    def snapshots(self) -> Sequence[Snapshot]:
        """See ``driftd.core.ports.Volumes``."""
        found = [one for key in self._specs for one in self._shelf(key).all()]
        return sorted(found, key=lambda one: (one.at, one.id))

    @on_disk
    def delete_snapshot(self, snapshot_id: str) -> None:
        """See ``driftd.core.ports.Volumes``."""
        for one in self.snapshots():
            if one.id == snapshot_id:
                with self._locked(one.volume_id):
                    self._shelf(one.volume_id).remove(snapshot_id)

    # --- inside ---

    def _locked(self, volume_id: str) -> AbstractContextManager[None]:
        if volume_id not in self._specs:
            raise NotFound(f"volume {volume_id} does not exist", "name it in the provider's volumes")
        self._folder(volume_id).mkdir(mode=0o700, parents=True, exist_ok=True)
        return locked(self._folder(volume_id) / "lock")

    @contextmanager
    def _still(self, owner: str) -> Iterator[int]:
        """The owner's first process, 0 when it has none; it is neither started nor stopped inside the block."""
        home, pid = Home(self._deployment, owner), 0
        with ExitStack() as stack:
            with suppress(NotFound):  # gone by now: nothing of it runs
                stack.enter_context(home.busy())
                pid = home.pid()
                if home.alive() and not pid:
                    raise Unavailable(f"instance {owner} neither runs nor has stopped", "stop it, or start it")
            yield pid

    def _folder(self, volume_id: str) -> Path:
        return self._deployment.volumes / volume_id

    def _shelf(self, volume_id: str) -> Shelf:
        return Shelf(volume_id, self._folder(volume_id) / "snapshots")

    def _owner(self, volume_id: str) -> str:
        """Who has it, by the record; an owner that is gone has nothing."""
        owner = str((read_json(self._folder(volume_id) / "meta.json") or {}).get("attached_to", ""))
        return owner if owner and (self._deployment.instances / owner / "meta.json").exists() else ""

    def _save(self, volume_id: str, **changes: str) -> dict[str, Any]:
        path = self._folder(volume_id) / "meta.json"
        state = {**(read_json(path) or {}), **changes}
        write_json(path, state)
        return state

    def _disk(self, volume_id: str) -> Path | None:
        """The volume's disk or directory; None before its first use."""
        name = str((read_json(self._folder(volume_id) / "meta.json") or {}).get("name", ""))
        path = self._folder(volume_id) / name
        return path if name and path.exists() else None

    def _make(self, volume_id: str) -> Path:
        """Whole or not at all: the record names it once it is whole."""
        path = filesystem.make(self._folder(volume_id), volume_id, self._specs[volume_id].size_mb)
        self._save(volume_id, name=path.name)
        return path

    @staticmethod
    def _mounted_here(volume_id: str, disk: Path, pid: int) -> bool:
        """This instance has it mounted. Raises ``Refused`` when any other does."""
        users = mounted_in(disk)
        here = namespace(pid) if pid else ""
        if users - {here}:
            raise Refused(
                f"volume {volume_id} is still mounted by {len(users - {here})} other server(s)",
                "detach it there, or end that server",
            )
        return here in users
