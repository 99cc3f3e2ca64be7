"""A running machine's root disk, copied by the qemu that it runs in: as it was at one moment; the machine runs on.

qemu keeps what is written meanwhile out of the copy (copy before write). It writes into an open file that it is handed,
so it needs no right to any directory. Were there no room for the copy, qemu might fail the guest's own writes; so
all the room is taken beforehand.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from driftd.core.errors import NoCapacity, Refused, Unavailable
from driftd.core.wording import printable
from driftd.edges.providers.local.instance import Home
from driftd.edges.providers.local.tools import on_disk, poll, run
from driftd.edges.providers.local.vm import qmp
from driftd.edges.providers.local.vm.qmp import Monitor

SPARE = 1 << 30  # bytes that a copy leaves free
COPY_S = 600.0
JOB, FILES = "driftd-read", 7007  # the names that qemu knows the copy and its file by


@on_disk
def read_root(home: Home, disk: Path, into: Path, limit: int) -> str:
    """See ``DiskReading.read_root``; ``disk`` is the image's, which the machine's own is as large as."""
    size = disk.stat().st_size
    if size > limit:
        raise Refused(f"the disk of {home.id} has {size >> 20} MiB, and {limit >> 20} are allowed", "allow more")
    free = shutil.disk_usage(into.parent).free
    if free < size + SPARE:
        raise NoCapacity(
            f"a copy of the disk of {home.id} takes {size >> 20} MiB and {SPARE >> 20} spare, and {into.parent} has "
            f"{free >> 20}",
            "make room there",
        )
    with home.busy():  # so that a copy that is under way is nobody's any more
        if not home.pid():
            raise Refused(f"{home.id} does not run, and only a running machine's disk is read", "start it")
        try:
            _copied(home, into, size)
        except BaseException:
            into.unlink(missing_ok=True)
            raise
    run("fallocate", "--dig-holes", into, timeout_s=COPY_S)
    return f"its qemu copied the disk of {size >> 20} MiB as it was at one moment"


def _copied(home: Home, into: Path, size: int) -> None:
    with into.open("xb+") as target, into.open("rb") as source:
        os.fchmod(target.fileno(), 0o600)
        os.posix_fallocate(target.fileno(), 0, size)
        with qmp.opened(home.path / "qmp", timeout_s=COPY_S) as monitor:
            _tidy(monitor)
            for one in (target, source):  # qemu opens what it is to write for reading first
                monitor.ask("add-fd", file=one.fileno(), fdset_id=FILES)
            monitor.ask(
                "drive-backup",
                job_id=JOB,
                device="root",
                sync="full",
                target=f"/dev/fdset/{FILES}",
                format="raw",
                mode="existing",
                auto_dismiss=False,
            )
            try:
                _await(monitor, home, target.fileno(), size)
            finally:
                _tidy(monitor)
        if os.fstat(target.fileno()).st_size != size:
            raise Refused(f"the copy of the disk of {home.id} has another size than its disk", "see its qemu")


def _await(monitor: Monitor, home: Home, target: int, size: int) -> None:
    for _ in poll(timeout_s=COPY_S, every_s=0.1):
        if os.fstat(target).st_size > size:
            raise Refused(f"the copy of the disk of {home.id} grows beyond its disk", "see its qemu")
        mine = [one for one in monitor.ask("query-jobs") if one["id"] == JOB]
        if not mine or mine[0]["status"] != "concluded":
            continue
        if error := mine[0].get("error"):
            raise Unavailable(f"the disk of {home.id} could not be copied: {printable(str(error))[:200]}")
        return
    raise Unavailable(f"the disk of {home.id} was not copied within {COPY_S:g} s")


def _tidy(monitor: Monitor) -> None:
    """End a copy of ours that is under way, and let go of its file: this one's, or one that died with its driftd."""
    for _ in poll(timeout_s=30, every_s=0.05):
        mine = [one for one in monitor.ask("query-jobs") if one["id"] == JOB]
        if not mine:
            break
        if mine[0]["status"] == "concluded":
            monitor.ask("job-dismiss", id=JOB)
        elif mine[0]["status"] != "aborting":
            monitor.ask("job-cancel", id=JOB)
    if any(one["fdset-id"] == FILES for one in monitor.ask("query-fdsets")):
        monitor.ask("remove-fd", fdset_id=FILES)
