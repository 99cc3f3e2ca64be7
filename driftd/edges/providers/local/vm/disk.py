"""What a machine starts from: a disk with a root file system, made without mounting anything, and an initial RAM disk.

The RAM disk is the same for the same files, bit for bit. The disk is so only for one and the same root directory: it
also keeps when and in which order files were made there.
"""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from driftd.edges.providers.local.debian import EPOCH
from driftd.edges.providers.local.tools import run

INIT = Path(__file__).parent / "data" / "init"
# What the kernel needs to find its disk; the rest it loads from there.
DRIVERS = ("virtio_pci.ko", "virtio_blk.ko")


def make_disk(rootfs: Path, target: Path, size_mb: int) -> None:
    """A raw ext4 file system with all that is in ``rootfs``; what is empty takes no room.

    ``rootfs`` should have a directory lost+found, since the file system will.
    """
    name = str(uuid.uuid5(uuid.NAMESPACE_OID, "driftd local-vm"))
    # A file with holes is all zeros already: no inode table needs to be written, now or by the machine later.
    options = ["-E", f"hash_seed={name},lazy_itable_init=0,root_owner=0:0", "-U", name, "-L", "root", "-m", "0"]
    target.unlink(missing_ok=True)
    words = ["mkfs.ext4", "-q", "-F", *options, "-d", str(rootfs), str(target), f"{size_mb}M"]
    run(*words, env={"E2FSPROGS_FAKE_TIME": EPOCH}, timeout_s=300)


def make_initrd(rootfs: Path, target: Path) -> None:
    """An initial RAM disk of the root's own busybox and drivers."""
    work = target.with_suffix(".work")
    for name in ("bin", "dev", "modules", "root"):
        (work / name).mkdir(parents=True)
    shutil.copy(rootfs / "bin/busybox", work / "bin/busybox")
    shutil.copy(INIT, work / "init")
    (work / "init").chmod(0o755)
    for number, module in enumerate(_drivers(rootfs)):
        shutil.copy(module, work / "modules" / f"{number:02}-{module.name}")
    paths = sorted(path.relative_to(work) for path in work.rglob("*"))
    for path in [*paths, Path()]:
        os.utime(work / path, (int(EPOCH), int(EPOCH)))
    names = "".join(f"{path}\n" for path in paths)
    run("cpio", "--quiet", "-o", "-H", "newc", "--reproducible", "-R", "0:0", "-D", work, "-O", target, stdin=names)
    shutil.rmtree(work)


def release_of(rootfs: Path) -> str:
    """The one kernel in there."""
    (release,) = (path.name for path in (rootfs / "usr/lib/modules").iterdir())
    return release


def _drivers(rootfs: Path) -> list[Path]:
    """The drivers' files, each after those that it needs; see modules.dep(5)."""
    folder = rootfs / "usr/lib/modules" / release_of(rootfs)
    found: list[Path] = []
    for line in (folder / "modules.dep").read_text(encoding="utf-8").splitlines():
        name, _, needs = line.partition(":")
        if name.rpartition("/")[2] in DRIVERS:
            found += [folder / path for path in [*reversed(needs.split()), name]]
    return list(dict.fromkeys(found))
