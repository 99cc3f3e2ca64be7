"""Disk images: the same fingerprint as a look at the tree they were made of; one sentence where they are bad."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import planting
import pytest
from imaging import (
    MIB,
    directory,
    disk,
    file_system,
    large_sectors,
    partitioned,
    put,
    refused,
    run,
    seen,
    without,
)

from driftd.core.asks import Ask
from driftd.core.digestkey import DigestKey
from driftd.core.fingerprint import Fingerprint
from driftd.probe import wire

KEY = DigestKey(b"k" * 32)
GPT = "label: gpt\nstart=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649\nstart=4096, size=65536\n"
ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"


@pytest.fixture
def hostile():
    """A tree with one of everything that can be a root file system."""
    home = Path(tempfile.mkdtemp(prefix="im-", dir="/var/tmp"))
    root = os.fsencode(home / "tree")
    planting.plant(root)
    os.mkdir(root + b"/usr")
    yield root
    planting.clear(root)
    shutil.rmtree(home)


@pytest.fixture
def small(tmp_path) -> Path:
    """A small tree that can be a root file system."""
    root = tmp_path / "small"
    for name in ("etc", "usr", "boot/efi", "data"):
        (root / name).mkdir(parents=True)
    (root / "etc/hostname").write_text("one\n")
    (root / "boot/beneath").write_text("hidden by none\n")
    return root


def set_flags(path: Path, what: str, flags: int) -> None:
    run("debugfs", "-w", "-R", f"set_inode_field {what} flags 0x{flags:x}", path)


# --- the same as a directory -----------------------------------------------------------------------------------------


@pytest.mark.machine
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("ext4", ()),
        ("ext4", ("-O", "inline_data")),
        ("ext4", ("-b", "1024", "-I", "128")),
        ("ext4", ("-O", "^metadata_csum,^64bit,^extent")),
        ("ext4", ("-b", "4096", "-O", "ea_inode,bigalloc", "-C", "16384")),
        ("ext3", ()),
        ("ext2", ()),
    ],
    ids=str,
)
def test_a_hostile_tree_is_the_same_on_every_kind_of_ext(hostile, tmp_path, kind: str, options):
    there = without(seen(directory(hostile)), sockets=False)  # mke2fs copies no flags
    assert any(entry.kind == wire.SOCKET for entry in there.values())
    made = file_system(tmp_path / "fs", hostile, 32 * MIB, kind, *options)
    assert seen(disk(made)) == there


@pytest.mark.machine
def test_every_form_of_a_disk_is_the_same(hostile, tmp_path):
    there = without(seen(directory(hostile)), sockets=False)
    made = file_system(tmp_path / "fs", hostile)
    raw = partitioned(tmp_path / "gpt.raw", 64 * MIB, GPT, {2 * MIB: made})
    assert seen(disk(raw)) == there
    mbr = "label: dos\nstart=2048, size=2048\nstart=8192, size=90000, type=5\nstart=10240, size=65536\n"
    assert seen(disk(partitioned(tmp_path / "mbr?x=,y:.raw", 64 * MIB, mbr, {5 * MIB: made}))) == there
    assert seen(disk(large_sectors(tmp_path / "4k.raw", made))) == there
    for options in ([], ["-c"], ["-o", "compat=0.10"], ["-c", "-o", "compression_type=zstd"]):
        name = tmp_path / "json:{},file=x,format=raw.qcow2"
        run("qemu-img", "convert", "-O", "qcow2", *options, raw, "odd.qcow2", cwd=tmp_path)
        (tmp_path / "odd.qcow2").rename(name)
        assert seen(disk(name)) == there


def test_flags_and_large_device_numbers_and_attributes_are_read(small, tmp_path):
    made = file_system(tmp_path / "fs", small, 32 * MIB, "ext4", "-b", "4096")
    set_flags(made, "/etc/hostname", 0x80010)
    set_flags(made, "/data", 0x80020)
    run("debugfs", "-w", "-R", "mknod odd c 300 60000", made)
    run("debugfs", "-w", "-R", "sif /odd uid 70000", made)
    (tmp_path / "value").write_bytes(bytes(range(256)) * 8)
    run("debugfs", "-w", "-R", f"ea_set -f {tmp_path}/value /etc/hostname user.large", made)
    entries = seen(disk(made))
    assert entries[b"/etc/hostname"].flags == wire.IMMUTABLE
    assert entries[b"/etc/hostname"].xattrs == ((b"user.large", bytes(range(256)) * 8),)
    assert entries[b"/data"].flags == wire.APPEND_ONLY
    assert (entries[b"/odd"].rdev, entries[b"/odd"].uid) == ((300, 60000), 70000)


@pytest.mark.machine
def test_facts_and_root_of_a_whole_server_are_those_of_its_directory(golden_image, tmp_path):
    there = directory(golden_image.rootfs, key=KEY)
    assert isinstance(there, Fingerprint)
    made = file_system(tmp_path / "fs", golden_image.rootfs, 400 * MIB)
    asked = Ask(b"/etc/passwd", "match", rb"(?s)root:.*")
    found = disk(made, key=KEY, ask=lambda _: [asked])
    assert isinstance(found, Fingerprint), found
    assert (found.root, found.facts, found.looked) == (there.root, there.facts, there.looked)
    assert (found.entries, found.kept, found.live) == (there.entries, there.kept, False)
    assert found.answers[asked].yes


# --- which partition, and what is mounted on it ----------------------------------------------------------------------


def test_the_root_is_chosen_by_what_it_holds(small, tmp_path):
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/vmlinuz").write_bytes(b"kernel")
    root, boot = file_system(tmp_path / "fs", small, 16 * MIB), file_system(tmp_path / "b", tmp_path / "boot", 16 * MIB)
    three = "label: gpt\n" + "size=32768\n" * 3
    one = partitioned(tmp_path / "one", 64 * MIB, three, {MIB: boot, 17 * MIB: root})
    assert seen(disk(one))[b"/etc/hostname"].size == 4
    two = partitioned(tmp_path / "two", 64 * MIB, three, {MIB: boot, 17 * MIB: root, 33 * MIB: root})
    assert "partitions 2 and 3 could both be" in refused(disk(two))
    assert b"/etc/hostname" in seen(disk(two, partition=3))
    assert b"/vmlinuz" in seen(disk(two, partition=1))
    assert "no partition 7; it has 1 (ext4), 2 (ext4), 3 (ext4)" in refused(disk(two, partition=7))
    none = partitioned(tmp_path / "none", 64 * MIB, three, {MIB: boot})
    assert "has /etc and /usr; it has 1 (ext4), 2 (nothing known)" in refused(disk(none))


def test_what_fstab_mounts_from_the_same_disk_is_part_of_the_tree_and_the_rest_is_told(small, tmp_path):
    boot = tmp_path / "bootfs"
    (boot / "grub").mkdir(parents=True)
    (boot / "grub/cfg").write_text("menu")
    uuid = "11111111-2222-3333-4444-555555555555"
    (small / "boot/grub").mkdir(mode=0o700)
    (small / "boot/grub/old").write_text("beneath")
    (small / "etc/fstab").write_text(
        f'# comment\nUUID="{uuid.upper()}" /boot ext4 defaults 0 2\n/dev/sda9 /boot/efi vfat umask=0077 0 1\n'
        "LABEL=elsewhere /data xfs defaults 0 2\nUUID=gone /later ext4 noauto 0 0\n"
        "tmpfs /tmp tmpfs defaults 0 0\nnfs:/x /mnt nfs defaults 0 0\n/dev/sda2 none swap sw 0 0\nshort line\n"
    )
    root = file_system(tmp_path / "fs", small, 16 * MIB)
    other = file_system(tmp_path / "b", boot, 16 * MIB, "ext4", "-U", uuid)
    made = partitioned(tmp_path / "disk", 64 * MIB, "label: gpt\n" + "size=32768\n" * 2, {MIB: root, 17 * MIB: other})
    answer = disk(made)
    entries = seen(answer)
    below = {path for path in entries if path.startswith(b"/boot/")}
    assert below == {b"/boot/beneath", b"/boot/efi", b"/boot/grub", b"/boot/grub/cfg", b"/boot/grub/old"}
    assert entries[b"/boot/grub"].mode == 0o755
    assert answer.covered == (b"/boot/efi", b"/data")
    assert sorted(answer.coverage.reasons) == [
        "not seen: /boot/efi (/dev/sda9, which is not of this disk)",
        "not seen: /data (LABEL=elsewhere, which is not of this disk)",
    ]


def test_an_efi_partition_is_told_by_its_number(small, tmp_path):
    (small / "etc/fstab").write_text("LABEL=UEFI /boot/efi vfat umask=0077 0 1\n")
    root = file_system(tmp_path / "fs", small, 16 * MIB)
    efi = tmp_path / "efi"
    run("mkfs.vfat", "-C", "-n", "UEFI", efi, 16384)
    table = f"label: gpt\nsize=32768\nsize=32768, type={ESP}\n"
    answer = disk(partitioned(tmp_path / "disk", 64 * MIB, table, {MIB: root, 17 * MIB: efi}))
    assert seen(answer)
    assert list(answer.coverage.reasons) == ["not seen: /boot/efi (partition 2 (vfat))"]


# --- the journal -----------------------------------------------------------------------------------------------------


def dirty(made: Path) -> None:
    """Write into the journal, and nowhere else, that /etc/hostname is another file's inode now."""
    (made.parent / "block").write_bytes(b"two\n".ljust(4096, b"\0"))
    where = run("debugfs", "-R", "blocks /etc/hostname", made).split()[0].decode()
    script = made.parent / "journal"
    script.write_text(f"jo\njw -b {where} {made.parent}/block\njc\n")
    run("debugfs", "-w", "-f", script, made)


def test_a_journal_with_changes_is_refused_or_played_back_onto_a_copy(small, tmp_path):
    made = file_system(tmp_path / "fs", small, 32 * MIB, "ext4", "-b", "4096")
    dirty(made)
    before = made.read_bytes()
    assert "journal holds changes" in refused(disk(made))
    answer = disk(made, replay=True)
    content = subprocess.run(["sha256sum"], input=b"two\n", capture_output=True, check=True).stdout[:64].decode()
    assert seen(answer)[b"/etc/hostname"].sha256.hex() == content
    assert list(answer.coverage.reasons) == ["journal played back, onto a private copy: the whole disk (ext4)"]
    assert made.read_bytes() == before

    table = partitioned(tmp_path / "disk", 64 * MIB, GPT, {2 * MIB: made})
    run("qemu-img", "convert", "-O", "qcow2", table, tmp_path / "q")
    before = (tmp_path / "q").read_bytes()
    assert "journal holds changes" in refused(disk(tmp_path / "q"))
    assert seen(disk(tmp_path / "q", replay=True)) == seen(answer)
    assert (tmp_path / "q").read_bytes() == before


def test_nothing_is_left_behind_and_the_image_may_be_read_only(small, tmp_path, monkeypatch):
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setenv("TMPDIR", str(room))
    monkeypatch.setattr(tempfile, "tempdir", None)
    made = file_system(tmp_path / "fs", small, 32 * MIB, "ext4", "-b", "4096")
    dirty(made)
    made.chmod(0o400)
    stat = made.stat()
    assert seen(disk(made, replay=True))
    refused(disk(made))
    assert list(room.iterdir()) == []
    assert (made.stat().st_mtime_ns, made.stat().st_size) == (stat.st_mtime_ns, stat.st_size)


# --- bad disks -------------------------------------------------------------------------------------------------------


def inode_of(made: Path, path: str) -> tuple[int, int]:
    """Where the inode of a path is: block number and offset, of debugfs's own telling."""
    said = run("debugfs", "-R", f"imap {path}", made).decode()
    found = re.search(r"located at block (\d+), offset 0x([0-9a-f]+)", said)
    assert found, said
    return int(found[1]), int(found[2], 16)


def damaged(made: Path, at: int, data: bytes) -> Path:
    with made.open("r+b") as stream:
        stream.seek(at)
        stream.write(data)
    return made


@pytest.mark.parametrize("options", [(), ("-O", "^metadata_csum,^64bit")], ids=["checksums", "none"])
@pytest.mark.parametrize("what", ["inode", "gone", "directory", "loop", "root", "bitmap", "superblock", "table", "cut"])
def test_a_damaged_file_system_is_one_sentence(small, tmp_path, what: str, options):
    made = file_system(tmp_path / "fs", small, 16 * MIB, "ext4", "-b", "4096", *options)
    block, offset = inode_of(made, "/etc/hostname")
    at = block * 4096 + offset
    block_of = {path: int(run("debugfs", "-R", f"blocks {path}", made).split()[0]) for path in ("/etc", "/")}
    if what == "inode":
        damaged(made, at + 40, b"\xff" * 20)
    elif what == "gone":
        run("debugfs", "-w", "-R", "clri /etc/hostname", made)
    elif what == "directory":
        damaged(made, block_of["/etc"] * 4096 + 24, os.urandom(60))
    elif what == "loop":
        run("debugfs", "-w", "-R", "link / /etc/loop", made)
    elif what == "root":
        damaged(made, block_of["/"] * 4096, bytes(4096))
    elif what == "bitmap":
        run("debugfs", "-w", "-R", "freeb 100 300", made)
    elif what == "superblock":
        damaged(made, 1024 + 24, b"\x63\0\0\0")
    elif what == "table":
        damaged(made, 4096, bytes(64))
    elif what == "cut":
        os.truncate(made, 9 * MIB)
    assert refused(disk(made))


def test_a_directory_that_forges_names_is_refused(small, tmp_path):
    """What debugfs would print as two lines, or as a path, is no name."""
    made = file_system(tmp_path / "fs", small, 16 * MIB, "ext4", "-b", "4096", "-O", "^metadata_csum,^dir_index")
    block = int(run("debugfs", "-R", "blocks /etc", made).split()[0]) * 4096
    data = bytearray(made.read_bytes())
    at = data.index(b"hostname", block)
    for name in (b"../../ab", b"host\0ame", b"x/passwd"):
        data[at : at + 8] = name
        made.write_bytes(data)
        assert "damaged" in refused(disk(made))
    data[at : at + 8] = b"x\nls -p\n"
    made.write_bytes(data)
    assert b"/etc/x\nls -p\n" in seen(disk(made))


def test_what_is_not_read_is_named(tmp_path):
    xfs, luks = tmp_path / "xfs", tmp_path / "luks"
    with xfs.open("wb") as stream:
        stream.truncate(300 * MIB)
    run("mkfs.xfs", "-q", xfs)
    assert "is XFS, which" in refused(disk(xfs))
    luks.write_bytes(b"LUKS\xba\xbe\0\x02".ljust(4 * MIB, b"\0"))
    assert "is encrypted with LUKS" in refused(disk(luks))
    assert "is encrypted with LUKS" in refused(disk(luks, partition=0))


def test_volume_groups_are_named(tmp_path):
    made = partitioned(tmp_path / "disk", 64 * MIB, GPT, {})
    label = bytearray(512)
    label[:8], label[24:32] = b"LABELONE", b"LVM2 001"
    struct.pack_into("<Q", label, 8, 1)
    struct.pack_into("<I", label, 20, 32)
    label[32:64] = b"a" * 32
    crc = 0xF597A6CF
    for byte in label[20:]:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    struct.pack_into("<I", label, 16, crc)
    damaged(made, 2 * MIB + 512, bytes(label))
    assert "LVM" in refused(disk(made))


def test_a_qcow2_image_that_needs_another_file_is_refused_before_anybody_opens_it(small, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * MIB)
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", tmp_path / "backed")
    assert "backing file" in refused(disk(tmp_path / "backed"))
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path}/data", tmp_path / "external", "4M")
    assert "another file" in refused(disk(tmp_path / "external"))
    run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "locked", "4M")
    damaged(tmp_path / "locked", 32, b"\0\0\0\2")
    assert "encrypted" in refused(disk(tmp_path / "locked"))
    run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "huge", "200G")
    assert "200 GiB, more than 64" in refused(disk(tmp_path / "huge"))


def test_a_damaged_qcow2_image_is_refused(small, tmp_path):
    made = file_system(tmp_path / "fs", small, 16 * MIB)
    run("qemu-img", "convert", "-O", "qcow2", made, tmp_path / "q")
    data = (tmp_path / "q").read_bytes()
    for name, broken in {
        "header": data[:40],
        "cut": data[: len(data) // 2],
        "l1": data[:40] + struct.pack(">Q", 1 << 60) + data[48:],
        "version": data[:7] + b"\x09" + data[8:],
        "clusters": data[:20] + struct.pack(">I", 60) + data[24:],
    }.items():
        (tmp_path / name).write_bytes(broken)
        assert refused(disk(tmp_path / name)), name


def test_other_formats_and_no_disk_at_all(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "zeros").write_bytes(bytes(4 * MIB))
    (tmp_path / "noise").write_bytes(os.urandom(4 * MIB))
    (tmp_path / "packed.gz").write_bytes(b"\x1f\x8b" + bytes(1000))
    run("qemu-img", "create", "-q", "-f", "vmdk", tmp_path / "v", "4M")
    os.mkfifo(tmp_path / "pipe")
    expected = {
        "packed.gz": "gzip",
        "v": "VMDK",
        "gone": "No such file",
        ".": "neither a file",
        "pipe": "neither a file",
    }
    expected |= dict.fromkeys(("empty", "zeros", "noise"), "no file system")
    for name, said in expected.items():
        assert said in refused(disk(tmp_path / name)), name


def test_a_partition_that_the_image_does_not_hold_whole(small, tmp_path):
    made = file_system(tmp_path / "fs", small, 32 * MIB)
    table = partitioned(tmp_path / "disk", 64 * MIB, GPT, {2 * MIB: made})
    os.truncate(table, 20 * MIB)
    assert "cut short" in refused(disk(table))


def test_a_file_of_holes_is_bounded(small, tmp_path):
    with (small / "holes").open("wb") as stream:
        stream.truncate(256 * MIB)
    made = file_system(tmp_path / "fs", small, 16 * MIB)
    assert "unpacks to more" in refused(disk(made, limit=100 * MIB))
    assert seen(disk(made))[b"/holes"].size == 256 * MIB


def test_a_deadline_ends_the_reader_and_its_tools(small, tmp_path):
    from imaging import ANYTHING
    from servers import wait_until

    from driftd.edges.images.looker import UNPACKED_LIMIT, ImageLooker
    from driftd.edges.images.program import DISK, Spec
    from driftd.edges.local import converse

    with (small / "holes").open("wb") as stream:
        stream.truncate(40 << 30)
    made = file_system(tmp_path / "odd name of a disk", small, 16 * MIB)
    put(made, 0, made)
    looker = ImageLooker(Spec(DISK, str(made), "", UNPACKED_LIMIT), converse)
    assert "took longer than 2 s" in refused(looker.look(ANYTHING, deadline_s=2))

    def gone() -> bool:
        lines = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it ended while we looked
                lines.append(path.read_bytes())
        return not any(os.fsencode(made) in line for line in lines)

    wait_until(gone, "the reader's end")
