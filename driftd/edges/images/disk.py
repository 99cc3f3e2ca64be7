"""A disk image: raw or qcow2, its partitions, and what each of them holds.

The partitions are found by partx and what they hold by blkid, both of util-linux: they read a plain file without a loop
device and without root, know MBR (logical partitions, too) and GPT, and are asked for numbers and types only. A qcow2
image becomes a raw one, in a private directory and with holes, by qemu-img; before that its header is read here, since
an image that names other files (a backing file, a data file) must not have them read. Format: docs/interop/qcow2.txt
of QEMU.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from driftd.edges.images import tools
from driftd.edges.images.errors import ImageError

SECTOR = 512  # bytes; the unit of what partx says, whatever the disk's own sectors are
PARTITIONS_LIMIT = 256
_QCOW2 = b"QFI\xfb"
_QCOW2_HEADER = struct.Struct(
    ">4sIQIIQI"
)  # magic, version, backing file at, its length, cluster bits, size, encryption
_EXTERNAL_DATA = 0x4
_OTHERS = {
    b"KDMV": "VMDK",
    b"# Disk DescriptorFile": "VMDK",
    b"vhdxfile": "VHDX",
    b"conectix": "VHD",
    b"<<< ": "VDI",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"QED\0": "QED",
}
_EXT = ("ext2", "ext3", "ext4")
_WORD = re.compile(r"[A-Za-z0-9_.+-]{1,32}")


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition, or a whole disk without any (number 0). ``type`` is blkid's word, "" where it knows none."""

    number: int
    offset: int
    size: int
    type: str = ""
    uuid: str = ""
    label: str = ""
    part_uuid: str = ""

    @property
    def is_ext(self) -> bool:
        """Whether it is a file system that can be read."""
        return self.type in _EXT

    @property
    def named(self) -> str:
        """In a sentence: ``partition 2 (ext4)`` or ``the whole disk (ext4)``."""
        return f"partition {self}" if self.number else str(self)

    def __str__(self) -> str:
        return f"{self.number or 'the whole disk'} ({self.type or 'nothing known'})"


def raw(path: Path, room: Path, limit: int) -> Path:
    """The disk as a raw image: the file itself, or a private copy of what a qcow2 image holds.

    Raises ImageError for every other format, and for an image that needs other files.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
        raise ImageError("it is neither a file nor a block device", "give the disk image itself")
    with path.open("rb") as stream:
        head = stream.read(104)
    if not head.startswith(_QCOW2):
        for magic, name in _OTHERS.items():
            if head.startswith(magic):
                raise ImageError(f"the disk image is in the format {name}", "turn it into a raw one: qemu-img convert")
        return path
    _check_qcow2(head, limit)
    # qemu-img takes a colon or a comma in a name for an option; this name has neither.
    source, made = room / "source", room / "raw"
    source.symlink_to(path.absolute())
    done = tools.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(source), str(made)])
    if done.status:
        raise ImageError("qemu-img cannot read the qcow2 image, or there is no room for it", "try: qemu-img check")
    return made


def _check_qcow2(head: bytes, limit: int) -> None:
    if len(head) < _QCOW2_HEADER.size:
        raise ImageError("the qcow2 image is cut short")
    _, version, backing, backing_length, _, size, encryption = _QCOW2_HEADER.unpack_from(head)
    features = struct.unpack_from(">Q", head, 72)[0] if version >= 3 and len(head) >= 80 else 0
    if version not in (2, 3):
        raise ImageError(f"the qcow2 image is of version {version}, which is not read")
    if backing or backing_length:
        raise ImageError(
            "the qcow2 image has a backing file, and only the image itself is read",
            "put them together first: qemu-img convert -O qcow2 IMAGE WHOLE",
        )
    if features & _EXTERNAL_DATA:
        raise ImageError("the qcow2 image keeps its data in another file, and only the image itself is read")
    if encryption:
        raise ImageError("the qcow2 image is encrypted")
    if size > limit:
        raise ImageError(
            f"the disk has {size / 2**30:g} GiB, more than {limit / 2**30:g}",
            "if it is really so large, allow more with --unpacked-limit",
        )


def partitions(disk: Path) -> list[Partition]:
    """The partitions of a raw disk and what each holds; one that is the whole disk where there is no table."""
    with disk.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)  # of a block device, too
        stream.seek(4096)
        large = stream.read(8) == b"EFI PART"
    words = ["partx", "--raw", "--noheadings", "--output", "NR,START,SECTORS,UUID"]
    said = tools.run([*words, *(["--sector-size", "4096"] if large else []), str(disk)])
    rows = [line.split() for line in said.output.decode("ascii", "replace").splitlines() if line.strip()]
    if said.status or not rows:
        whole = _probed(disk, Partition(0, 0, size))
        if not whole.type and _has_table(disk):
            raise ImageError("the disk's partition table is damaged, or the image was cut short")
        return [whole]
    found = []
    for row in rows[:PARTITIONS_LIMIT]:
        number, start, sectors = map(int, row[:3])
        one = Partition(number, start * SECTOR, sectors * SECTOR, part_uuid=row[3] if len(row) > 3 else "")
        if one.size <= 2 * SECTOR:
            continue  # an extended partition: it holds others
        if one.offset + one.size > size:
            raise ImageError(f"the disk image ends before its partition {number} does: it was cut short")
        found.append(_probed(disk, one))
    return found


def _has_table(disk: Path) -> bool:
    """Whether there is what a partition table begins with."""
    with disk.open("rb") as stream:
        head = stream.read(4104)
    return head[510:512] == b"\x55\xaa" or b"EFI PART" in (head[512:520], head[4096:])


def _probed(disk: Path, one: Partition) -> Partition:
    """What blkid says that it holds."""
    words = ["blkid", "--probe", "--offset", str(one.offset), "--size", str(one.size), "--output", "export"]
    said = tools.run([*words, "--match-tag", "TYPE", "--match-tag", "UUID", "--match-tag", "LABEL", str(disk)])
    if said.status not in (0, 2):
        raise ImageError(f"partition {one.number} holds more than one thing, or nothing that blkid can tell")
    found = tools.fields(said.output)
    kind = found.get("TYPE", "")
    return Partition(
        one.number,
        one.offset,
        one.size,
        kind if _WORD.fullmatch(kind) else "",
        found.get("UUID", ""),
        found.get("LABEL", ""),
        one.part_uuid,
    )


def copied(disk: Path, one: Partition, to: Path) -> None:
    """A private copy of a partition; holes stay holes."""
    with disk.open("rb") as source, to.open("wb") as target:
        target.truncate(one.size)
        at, end = one.offset, one.offset + one.size
        while at < end:
            stop = end
            try:
                at = os.lseek(source.fileno(), at, os.SEEK_DATA)
                stop = min(end, os.lseek(source.fileno(), at, os.SEEK_HOLE))
            except OSError as error:
                if error.errno == errno.ENXIO:  # no data from here on
                    return
            os.lseek(source.fileno(), at, os.SEEK_SET)
            os.lseek(target.fileno(), at - one.offset, os.SEEK_SET)
            while at < stop:
                at += os.sendfile(target.fileno(), source.fileno(), None, min(stop - at, 1 << 24))
