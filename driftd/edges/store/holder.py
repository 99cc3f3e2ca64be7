"""Who holds the lease, said so that the same machine can tell when the holder is no more.

A daemon that was ended hard leaves its lease behind. Its successor on the same machine need not wait for the lease to
run out: a process that no longer exists cannot come back. Anywhere else, time alone decides.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

_FORM = re.compile(r"\S+ pid (?P<pid>\d+) \((?P<space>\S+), started (?P<start>\d+)\)")


def _namespace() -> str:
    """The machine's boot and the PID namespace: within one pair, a process number means one process at a time."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"


def _started(pid: int) -> int:
    """The start of a process in clock ticks since boot; 0 when there is none (or it is only waiting to be reaped)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0
    # Field 2 is the name in parentheses, which may hold anything; field 3 is the state, field 22 the start.
    rest = stat.rpartition(b")")[2].split()
    return 0 if rest[0] in (b"Z", b"X") else int(rest[19])


def here() -> str:
    """This process, as a holder: host, process number, and what makes that number unmistakable."""
    pid = os.getpid()
    return f"{socket.gethostname()} pid {pid} ({_namespace()}, started {_started(pid)})"


def is_gone(holder: str) -> bool:
    """True only when ``holder`` was made by ``here`` on this machine and that process certainly no longer runs."""
    parts = _FORM.fullmatch(holder)
    if parts is None or parts["space"] != _namespace():
        return False
    pid, start = int(parts["pid"]), int(parts["start"])
    return _started(pid) != start and not _hidden(pid)


def _hidden(pid: int) -> bool:
    """A process that exists while /proc does not show it to this user (hidepid)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return not Path(f"/proc/{pid}").exists()
    return False


def short(holder: str) -> str:
    """``holder`` for a sentence: host and process number."""
    return holder.partition(" (")[0]
