"""Read a disk image into a tree: the root file system, and what fstab mounts on it from the same disk.

Only file systems of type ext2 to ext4 are read. A file system is first checked by e2fsck, which changes nothing: one
with mistakes, or with changes in its journal that are not in place yet, is not read as if it were whole.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from driftd.edges.images import disk, tools, tree
from driftd.edges.images.disk import Partition
from driftd.edges.images.errors import ImageError, shown
from driftd.edges.images.extfs import ExtFileSystem
from driftd.edges.images.place import Place
from driftd.edges.images.tree import Inode
from driftd.edges.images.unpacking import Budget
from driftd.probe import wire
from driftd.probe.mounts import PERSISTENT
from driftd.probe.tally import Tally

FSTAB_LIMIT = 1024 * 1024
_NEEDS_RECOVERY, _64BIT = 0x4, 0x80  # of s_feature_incompat
_OTHER_MAKERS = {
    "LVM2_member": "a volume group of LVM",
    "crypto_LUKS": "encrypted with LUKS",
    "linux_raid_member": "part of a RAID",
    "xfs": "XFS, which no reader that may be shipped with driftd reads well enough",
    "btrfs": "btrfs, which is not read",
}
_FROM_RUNNING = "bake it from a pristine running instance (--host), or mount it read-only and bake --root"
_DEVICE = re.compile(r"/dev/(?:(?:sd|vd|xvd|hd)a|(?:nvme0n1|mmcblk0)p)([0-9]+)")
_ESCAPED = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class _Superblock:
    """Of a file system of type ext2 to ext4, what must be known before a library is let at it. Sizes in bytes."""

    size: int
    is_dirty: bool

    @classmethod
    def of(cls, path: Path, one: Partition) -> _Superblock:
        with path.open("rb") as stream:
            stream.seek(one.offset + 1024)
            data = stream.read(1024).ljust(1024, b"\0")
        (blocks, log_size, features, more) = (struct.unpack_from("<I", data, at)[0] for at in (4, 24, 96, 336))
        count = blocks | (more << 32 if features & _64BIT else 0)
        return cls(count << 10 + min(log_size, 16), bool(features & _NEEDS_RECOVERY))


@dataclass(frozen=True, slots=True)
class _Mount:
    """One line of fstab: a device as it is named there, where it goes, the type."""

    device: str
    point: bytes
    type: str


class DiskImage:
    """One disk, read whole by ``read``; afterwards contents can be had (place.Contents).

    ``covered`` are mount points below which nothing is known, ``notes`` what a person should know.
    """

    def __init__(self, path: Path, room: Path, limit: int, *, partition: int | None, replay: bool) -> None:
        self.root = tree.directory()
        self._room = room
        self._replay = replay
        self._chosen = partition
        self._budget = Budget(limit)
        self._systems: list[ExtFileSystem] = []
        self._disk = disk.raw(path, room, limit)

    def read(self, tally: Tally) -> None:
        """Read the root file system and what belongs on it. Raises ImageError, and then there is no image."""
        partitions = disk.partitions(self._disk)
        chosen = self._root_of(partitions)
        self.root = self._tree(chosen, tally)
        for mount in self._mounts():
            self._mount(mount, partitions, chosen, tally)

    def open(self, inode: Inode) -> int:
        """See ``place.Contents``."""
        return self._systems[inode.where[0]].open(inode)

    # --- which one ---------------------------------------------------------------------------------------------------

    def _root_of(self, partitions: list[Partition]) -> Partition:
        """The partition whose file system has /etc and /usr, or the one that was asked for."""
        there = ", ".join(map(str, partitions))
        if self._chosen is not None:
            for one in partitions:
                if one.number == self._chosen:
                    return self._readable(one)
            raise ImageError(f"the disk has no partition {self._chosen}; it has {there}", "choose another --partition")
        found = [one for one in partitions if one.is_ext and self._is_root(one)]
        if len(found) > 1:
            said = " and ".join(str(one.number) for one in found)
            raise ImageError(f"partitions {said} could both be the root file system", "choose one with --partition")
        if found:
            return found[0]
        for one in partitions:
            if one.type in _OTHER_MAKERS:
                self._readable(one)
        raise ImageError(f"no file system of the disk has /etc and /usr; it has {there}", "is it a disk of a server?")

    @staticmethod
    def _readable(one: Partition) -> Partition:
        if not one.is_ext:
            what = _OTHER_MAKERS.get(one.type, one.type or "nothing that is known")
            raise ImageError(f"{one.named} is {what}; ext2, ext3 and ext4 are read", _FROM_RUNNING)
        return one

    def _is_root(self, one: Partition) -> bool:
        top = ExtFileSystem(str(self._disk), one.offset, self._budget).top()
        return {b"etc", b"usr"} <= top

    # --- one file system ---------------------------------------------------------------------------------------------

    def _tree(self, one: Partition, tally: Tally) -> Inode:
        """A partition's file system, checked and read."""
        path, offset = self._disk, one.offset
        superblock = _Superblock.of(self._disk, one)
        if superblock.size > one.size:
            raise ImageError(f"the file system of {one.named} is larger than what there is of it: it was cut short")
        if superblock.is_dirty:
            if not self._replay:
                raise ImageError(
                    f"the file system of {one.named} was not unmounted: its journal holds changes not yet in place",
                    "read the disk of a machine that was shut down, or give --replay-journal (on a private copy)",
                )
            path, offset = self._room / f"partition-{one.number}", 0
            disk.copied(self._disk, one, path)
            if tools.run(["e2fsck", "-f", "-p", str(path)]).status not in (0, 1):
                raise ImageError(f"the journal of {one.named} cannot be played back", "try: e2fsck -fn")
            tally.count(f"journal played back, onto a private copy: {one.named}")
        # A name with a question mark in it would be taken for one with options behind it.
        plain = self._room / f"checked-{one.number}"
        plain.symlink_to(path.absolute())
        if tools.run(["e2fsck", "-f", "-n", f"{plain}?offset={offset}"]).status:
            raise ImageError(f"the file system of {one.named} is damaged", "see what is wrong: e2fsck -fn")
        system = ExtFileSystem(str(plain), offset, self._budget, len(self._systems))
        self._systems.append(system)
        return system.tree()

    # --- what is mounted on it ---------------------------------------------------------------------------------------

    def _mounts(self) -> list[_Mount]:
        """What fstab mounts at every start on a local file system, outer mounts first."""
        try:
            text = Place(self.root, self).read(b"/etc/fstab", FSTAB_LIMIT)
        except OSError:
            return []
        found = []
        for line in text.split(b"\n"):
            words = line.split()
            if len(words) < 3 or words[0].startswith(b"#"):
                continue
            device, point, kind = (_ESCAPED.sub(lambda m: bytes([int(m[1], 8) & 0xFF]), word) for word in words[:3])
            options = words[3].split(b",") if len(words) > 3 else []
            local = kind in PERSISTENT or kind == b"auto"
            if local and b"noauto" not in options and point.startswith(b"/") and point.strip(b"/"):
                found.append(_Mount(shown(device).replace('"', ""), b"/" + point.strip(b"/"), shown(kind)))
        return sorted(found, key=lambda mount: mount.point)

    def _mount(self, mount: _Mount, partitions: list[Partition], root: Partition, tally: Tally) -> None:
        one = next((one for one in partitions if one != root and _is_meant(mount.device, one)), None)
        try:
            point = tree.find(self.root, mount.point)[1]
        except OSError:
            point = None
        if one is not None and one.is_ext and point is not None and point.kind == wire.DIRECTORY:
            _lay_over(point, self._tree(one, tally))
            return
        why = f"{one.named}" if one is not None else f"{mount.device}, which is not of this disk"
        tally.covered.add(mount.point)
        tally.count(f"not seen: {shown(mount.point)} ({why})")


def _is_meant(device: str, one: Partition) -> bool:
    """Whether a name in fstab (see fstab(5)) means this partition; /dev/sda2 is taken for the only disk's."""
    kind, _, value = device.partition("=")
    by = {"UUID": one.uuid, "LABEL": one.label, "PARTUUID": one.part_uuid}
    by |= {f"/dev/disk/by-{word.lower()}": name for word, name in tuple(by.items())}
    if not value:
        kind, _, value = device.rpartition("/")
    if kind in by:
        return bool(value) and by[kind].lower() == value.lower()
    numbered = _DEVICE.fullmatch(device)
    return numbered is not None and int(numbered[1]) == one.number


def _lay_over(beneath: Inode, mounted: Inode) -> None:
    """The mounted file system's names, and of what is beneath all that it does not have (docs/wire.md)."""
    todo = [(beneath, mounted)]
    while todo:
        below, above = todo.pop()
        for name, there in below.children.items():
            found = above.children.setdefault(name, there)
            if found is not there and found.kind == there.kind == wire.DIRECTORY:
                todo.append((there, found))
    beneath.children = mounted.children
