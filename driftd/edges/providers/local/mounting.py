"""Who has what mounted, and changes inside the namespaces of a running instance (mounter.py makes them)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from driftd.core.errors import Refused, Unavailable
from driftd.edges.providers.local import filesystem
from driftd.edges.providers.local.tools import last_line

MOUNTER = Path(__file__).parent / "mounter.py"
BUSY = 16


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


def namespace(pid: int) -> str:
    """The name of a process's mount namespace; "" when it is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115 - not a path: a name in brackets
    except OSError:
        return ""


def mounted_in(path: Path) -> set[str]:
    """The mount namespaces of all processes in which this disk or directory is mounted."""
    marks = {f"/{path.name}"} if path.is_dir() else filesystem.devices(path)
    return {name for name, table in _mount_tables().items() if _mentions(table, marks)} if marks else set()


def _mount_tables() -> dict[str, str]:
    """Every mount namespace that a process is in, with its mount table."""
    tables: dict[str, str] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - only names are wanted
        if not entry.isdigit():
            continue
        name = namespace(int(entry))
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
