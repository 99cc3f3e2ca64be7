"""Data volumes and movable addresses: what outlives an instance and has one owner at a time.

    DIR/volumes/ID/meta.json     slot, size, path on the instance, ``attached_to``
    DIR/volumes/ID/disk.img      an ext4 file system, mounted through a loop device; or, where an ordinary user may
    DIR/volumes/ID/data-HEX/     mount none, a directory

A mount that the record does not know is the danger: two servers would write to one disk. Before attaching, the mount
tables of all processes are read, and any sign of the volume refuses the attachment.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from driftd.core.errors import NotFound, Refused, Unavailable
from driftd.core.ports import Address, Volume
from driftd.edges.providers.local import network
from driftd.edges.providers.local.deployment import Deployment
from driftd.edges.providers.local.instance import Home
from driftd.edges.providers.local.tools import last_line, locked, owns_machine, read_json, run, write_json

MOUNTER = Path(__file__).parent / "mounter.py"
BUSY = 16


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
        self._specs = dict(specs)

    def list(self) -> Sequence[Volume]:
        """See ``driftd.core.ports.Volumes``."""
        return [Volume(key, spec.slot, self._owner(key)) for key, spec in sorted(self._specs.items())]

    def attach(self, volume_id: str, instance_id: str) -> None:
        """See ``driftd.core.ports.Volumes``."""
        home = Home(self._deployment, instance_id)
        with self._locked(volume_id), home.busy():
            owner = self._owner(volume_id)
            if owner and owner != instance_id:
                raise Refused(f"volume {volume_id} is attached to {owner}", "detach it there first")
            path = self._make(volume_id)
            users = self._mounted_in(path)
            pid = home.pid()
            here = _namespace(pid) if pid else ""
            if users - {here}:
                raise Refused(
                    f"volume {volume_id} is still mounted by {len(users - {here})} other server(s)",
                    "detach it there, or end that server",
                )
            # The record first: after a crash here the volume counts as taken, and attaching again completes it.
            self._save(volume_id, attached_to=instance_id)
            if pid and here not in users:
                mounter("attach", pid, path, self._specs[volume_id].path)

    def detach(self, volume_id: str) -> None:
        """See ``driftd.core.ports.Volumes``."""
        with self._locked(volume_id):
            owner = self._owner(volume_id)
            if not owner:
                return
            home = Home(self._deployment, owner)
            pid = home.pid()
            if pid and _namespace(pid) in self._mounted_in(self._make(volume_id)):
                mounter("detach", pid, self._specs[volume_id].path, busy=f"volume {volume_id} is in use on {owner}")
            self._save(volume_id, attached_to="")

    def reattach(self, instance_id: str) -> None:
        """An instance was started again: give it its volumes back. Call while holding its lock."""
        for volume in self.list():
            if volume.attached_to == instance_id:
                path = self._make(volume.id)
                if not self._mounted_in(path):
                    mounter("attach", Home(self._deployment, instance_id).pid(), path, self._specs[volume.id].path)

    # --- inside ---

    def _locked(self, volume_id: str) -> AbstractContextManager[None]:
        if volume_id not in self._specs:
            raise NotFound(f"volume {volume_id} does not exist", "name it in the provider's volumes")
        (self._deployment.volumes / volume_id).mkdir(mode=0o700, parents=True, exist_ok=True)
        return locked(self._deployment.volumes / volume_id / "lock")

    def _owner(self, volume_id: str) -> str:
        """Who has it, by the record; an owner that is gone has nothing."""
        owner = str((read_json(self._deployment.volumes / volume_id / "meta.json") or {}).get("attached_to", ""))
        return owner if owner and (self._deployment.instances / owner / "meta.json").exists() else ""

    def _save(self, volume_id: str, **changes: str) -> dict[str, Any]:
        path = self._deployment.volumes / volume_id / "meta.json"
        state = {**(read_json(path) or {}), **changes}
        write_json(path, state)
        return state

    def _make(self, volume_id: str) -> Path:
        """The volume's disk or directory, made at first use, whole or not at all."""
        folder = self._deployment.volumes / volume_id
        meta = read_json(folder / "meta.json") or {}
        known = folder / str(meta.get("name", "none"))
        if known.exists():
            return known
        name = f"disk-{secrets.token_hex(6)}.img" if owns_machine() else f"data-{secrets.token_hex(6)}"
        path = folder / name
        if owns_machine():
            with path.open("wb") as disk:
                os.truncate(disk.fileno(), self._specs[volume_id].size_mb << 20)
            run("mkfs.ext4", "-q", "-F", "-L", volume_id[:16], path)
        else:
            path.mkdir(mode=0o755)
        self._save(volume_id, name=name)
        return path

    @staticmethod
    def _mounted_in(path: Path) -> set[str]:
        """The mount namespaces of all processes in which this disk or directory is mounted."""
        if path.is_dir():
            marks = {f"/{path.name}"}
        else:
            found = run("losetup", "--noheadings", "--output", "MAJ:MIN", "--associated", path).split()
            marks = set(found)
        return {name for name, table in _mount_tables().items() if marks and _mentions(table, marks)}


class LocalAddresses:
    """``driftd.core.ports.Addresses``: one more address on an instance's own interface."""

    def __init__(self, deployment: Deployment, slots: Sequence[str]) -> None:
        self._deployment = deployment
        self._slots = tuple(slots)

    def list(self) -> Sequence[Address]:
        """See ``driftd.core.ports.Addresses``. The first call brings the private network up: it names the addresses."""
        if not self._slots:
            return []
        with self._deployment.lock():
            return self._all()

    def associate(self, address: str, instance_id: str, expected_owner: str = "") -> None:
        """See ``driftd.core.ports.Addresses``."""
        with self._deployment.lock():
            present = self._get(address)
            home = Home(self._deployment, instance_id)
            home.meta()
            if present.attached_to not in {"", instance_id, expected_owner}:
                raise Refused(
                    f"address {address} belongs to {present.attached_to}", "name that instance as its expected owner"
                )
            if present.attached_to not in {"", instance_id}:
                self._take(address, Home(self._deployment, present.attached_to))
            self._own(address, instance_id)
            self._give(address, home)

    def release(self, address: str) -> None:
        """See ``driftd.core.ports.Addresses``."""
        with self._deployment.lock():
            present = self._get(address)
            if present.attached_to:
                self._take(address, Home(self._deployment, present.attached_to))
                self._own(address, "")

    def reattach(self, instance_id: str) -> None:
        """An instance was started again: give it its addresses back."""
        for address in self.list():
            if address.attached_to == instance_id:
                self._give(address.address, Home(self._deployment, instance_id))

    # --- inside ---

    def _all(self) -> Sequence[Address]:
        subnet = network.ensure_bridge(self._deployment)
        owners = self._deployment.read().get("addresses", {})
        found = []
        for number, slot in enumerate(self._slots):
            address = str(subnet[-2 - number])
            owner = owners.get(address, "")
            alive = owner and (self._deployment.instances / owner / "meta.json").exists()
            found.append(Address(address, slot, owner if alive else ""))
        return found

    def _get(self, address: str) -> Address:
        for present in self._all():
            if present.address == address:
                return present
        raise NotFound(f"address {address} does not exist", "name its slot in the provider's addresses")

    def _own(self, address: str, owner: str) -> None:
        self._deployment.update(addresses={**self._deployment.read().get("addresses", {}), address: owner})

    def _take(self, address: str, home: Home) -> None:
        pid = home.pid()
        if pid and address in _addresses_of(pid):
            run("nsenter", "-t", str(pid), "-n", "ip", "addr", "del", f"{address}/32", "dev", "eth0")

    def _give(self, address: str, home: Home) -> None:
        pid = home.pid()
        if pid:
            run("nsenter", "-t", str(pid), "-n", "ip", "addr", "replace", f"{address}/32", "dev", "eth0")
            network.point_neighbour(self._deployment, address, network.mac(IPv4Address(home.meta()["address"])))
            mounter("announce", pid, address)


def mounter(verb: str, pid: int, *words: str | Path, busy: str = "") -> None:
    """Run mounter.py against an instance; ``busy`` is the sentence when something is in use."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(MOUNTER), verb, str(pid), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if done.returncode == BUSY and busy:
        raise Refused(busy, "stop what has files open there")
    if done.returncode:
        raise Unavailable(f"{verb} {' '.join(map(str, words))} failed: {last_line(done.stderr)}")


def _addresses_of(pid: int) -> set[str]:
    words = run("nsenter", "-t", str(pid), "-n", "ip", "-o", "-4", "addr", "show", "dev", "eth0").split()
    return {word.partition("/")[0] for word in words}


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115 - not a path: a name in brackets
    except OSError:
        return ""


def _mount_tables() -> dict[str, str]:
    """Every mount namespace that a process is in, with its mount table."""
    tables: dict[str, str] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - only names are wanted
        if not entry.isdigit():
            continue
        name = _namespace(int(entry))
        if name and name not in tables:
            try:
                tables[name] = Path(f"/proc/{entry}/mountinfo").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # it ended meanwhile; if its namespace lives on, another process shows it
    return tables


def _mentions(table: str, marks: set[str]) -> bool:
    """Fields 3 and 4 of proc_pid_mountinfo(5): device numbers, and the directory that is the mount's root."""
    for line in table.splitlines():
        fields = line.split(" ")
        if fields[2] in marks or f"/{fields[3].rpartition('/')[2]}" in marks:
            return True
    return False
