"""What a demonstration runs beside itself: processes of their own, each with its log in a file.

The number of each is kept in a file, too, so that a later clean-up finds it.
"""

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

from driftd.core.errors import DriftdError


def command(config: Path, *words: str) -> list[str]:
    """How this program is called with ``config``."""
    return [sys.executable, "-m", "driftd", "--config", str(config), *words]


class Running:
    """One process that goes on until it is told to end."""

    def __init__(self, words: Sequence[str], log: Path, pid_file: Path) -> None:
        self._log = log
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
            )
        pid_file.write_text(f"{self._process.pid} {_started(self._process.pid)}\n", encoding="ascii")

    def ended(self) -> str:
        """Why it ended, by its own last line; "" while it runs."""
        status = self._process.poll()
        if status is None:
            return ""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return f"exit status {status}: {lines[-1] if lines else 'it said nothing'}"

    def check(self) -> None:
        """Raises DriftdError where it has ended."""
        if why := self.ended():
            raise DriftdError(f"what the demo runs beside itself ended: {why}", f"its log is {self._log}")

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=60)


class Daemon(Running):
    """``driftd run``."""

    def __init__(self, config: Path, log: Path, pid_file: Path) -> None:
        super().__init__(command(config, "run"), log, pid_file)

    def messages(self) -> Sequence[tuple[datetime, str]]:
        """What it told people so far: the lines of its log that carry a message's code."""
        said = []
        for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, KeyError):
                values = json.loads(line)
                if "code" in values:
                    said.append((datetime.fromisoformat(values["timestamp"]), str(values["event"])))
        return said


def _started(pid: int) -> str:
    """When a process began, in the kernel's ticks; "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def end(pid_file: Path, timeout_s: float = 30.0) -> bool:
    """End what an earlier run left; False when there was none. Never signals a process that is not it."""
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
