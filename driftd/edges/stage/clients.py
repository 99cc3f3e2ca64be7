"""The two clients of a demonstration, started and read from here: the load, and the person with an SSH client."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from driftd.core.errors import DriftdError
from driftd.core.facts import Instance


@dataclass(frozen=True, slots=True)
class Served:
    """What the load counted so far."""

    requests: int = 0
    failed: int = 0
    slow: int = 0
    served_by: dict[str, int] = field(default_factory=dict)
    failures: tuple[str, ...] = ()


class Load:
    """The load's process. ``served`` is always the newest count; ``stop()`` returns the last."""

    def __init__(self, url: str, *, slow_seconds: float) -> None:
        self.served = Served()
        command = [sys.executable, "-m", "driftd.edges.stage.load", url, "--slow-seconds", str(slow_seconds)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101  # PIPE was asked for
        for line in self._process.stdout:
            values = json.loads(line)
            self.served = Served(**{**values, "failures": tuple(values["failures"])})

    def stop(self) -> Served:
        """End the load, letting what is in flight finish. Stopping twice is fine."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        self._process.wait(timeout=60)
        self._reader.join(timeout=10)
        return self.served


def person(instance: Instance, key_file: Path, known_hosts: Path, script: str) -> None:
    """Log in with OpenSSH's own client on a terminal and run ``script``, as a person would. Raises DriftdError."""
    known_hosts.write_text("".join(f"{instance.reach.host} {key}\n" for key in instance.reach.vouched()))
    command = [
        "ssh", "-tt", "-i", str(key_file), "-p", str(instance.reach.port),
        "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR",
        "-o", f"UserKnownHostsFile={known_hosts}", "-o", "GlobalKnownHostsFile=/dev/null", "-F", "/dev/null",
        f"root@{instance.reach.host}", script,
    ]  # fmt: skip
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="backslashreplace").strip().splitlines()[-1:]
        raise DriftdError(f"the demo's person could not log in to {instance.id}: {' '.join(said)}")
