"""Run in a mount namespace of its own: mounts a FUSE file system that never answers anybody, and has a tree looked at.

Usage: hung.py DEAD QUESTION ANSWER [without]. DEAD is the directory to mount on. The answer goes to ANSWER, and what is
printed is the seconds that the probe took and its exit status. "without" takes the right to mount. When this process
ends, the last descriptor of the file system goes with it, and whoever waits for it is let go.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

from driftd.probe import bundle


def mount_dead(point: str) -> int:
    """Mount it; the kernel's first question to it stays unanswered, so that every stat of the mount point waits."""
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"dead", point.encode(), b"fuse", 6, options):  # MS_NOSUID | MS_NODEV
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return device


def main() -> None:
    dead, question, answer = sys.argv[1:4]
    device = mount_dead(dead)
    without = ["setpriv", "--bounding-set", "-sys_admin"] if sys.argv[4:] else []
    started = time.monotonic()
    with Path(answer).open("wb") as stream:
        child = subprocess.Popen([*without, sys.executable, *bundle.ARGUMENTS], stdin=subprocess.PIPE, stdout=stream)
        try:
            child.communicate(bundle.program() + Path(question).read_bytes(), timeout=60)
        except subprocess.TimeoutExpired:
            child.kill()
    sys.stdout.write(f"{time.monotonic() - started:.1f} {child.returncode}\n")
    os.close(device)


if __name__ == "__main__":
    main()
