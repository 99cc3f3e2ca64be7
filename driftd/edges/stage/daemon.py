"""The daemon as a demonstration starts it: ``driftd run``, a process of its own, with its log in a file."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path


def command(config: Path, *words: str) -> list[str]:
    """How this program is called with ``config``."""
    return [sys.executable, "-m", "driftd", "--config", str(config), *words]


class Daemon:
    """One running ``driftd run``. Its process number is kept in a file, so that a later clean-up finds it."""

    def __init__(self, config: Path, log: Path, pid_file: Path) -> None:
        self._log = log
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                command(config, "run"), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
            )
        pid_file.write_text(f"{self._process.pid} {_started(self._process.pid)}\n", encoding="ascii")

    def ended(self) -> str:
        """Why it ended, by its own last line; "" while it runs."""
        status = self._process.poll()
        if status is None:
            return ""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return f"exit status {status}: {lines[-1] if lines else 'it said nothing'}"

    def messages(self) -> Sequence[tuple[datetime, str]]:
        """What it told people so far: the lines of its log that carry a message's code."""
        said = []
        for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, KeyError):
                values = json.loads(line)
                if "code" in values:
                    said.append((datetime.fromisoformat(values["timestamp"]), str(values["event"])))
        return said

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=60)


def _started(pid: int) -> str:
    """When a process began, in the kernel's ticks; "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def end(pid_file: Path, timeout_s: float = 30.0) -> bool:
    """End the daemon that an earlier run left; False when there was none. Never signals a process that is not it."""
    try:
        number, started = pid_file.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return False
    pid = int(number)
    if not started or _started(pid) != started:
        return False
    os.kill(pid, signal.SIGTERM)
    ends = time.monotonic() + timeout_s
    while _started(pid) == started and time.monotonic() < ends:
        time.sleep(0.05)
    if _started(pid) == started:
        os.kill(pid, signal.SIGKILL)
    return True
