"""What the numbers were measured on, and how busy it was."""

from __future__ import annotations

import os
import platform
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.speed import ours, peers
from driftd import __version__


def described(root: Path) -> dict[str, Any]:
    """The machine, without its name."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    cpu = {name.strip(): value.strip() for name, value in fields.items()}
    memory = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1]) / 2**20
    kind = subprocess.run(["stat", "-f", "-c", "%T", root], capture_output=True, text=True, check=False).stdout.strip()
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return {
        "cpu": cpu.get("model name", platform.machine()),
        "cores": os.cpu_count(),
        "sha": "sha_ni" in cpu.get("flags", "").split() or "sha2" in cpu.get("Features", "").split(),
        "memory": round(memory),
        "kernel": platform.release(),
        "system": release.get("PRETTY_NAME", "").strip('"'),
        "tree on": kind,
    }


def versions() -> dict[str, str]:
    """What driftd is, its Pythons, and the peers."""
    asked = [ours.python(), "-c", "import platform;print(platform.python_version())"]
    there = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    asked = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(
        asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    ).stdout.strip()
    mine = {"driftd": f"{__version__} ({commit})" if commit else __version__}
    mine |= {"the daemon's Python": platform.python_version(), "the probe's Python": there}
    return mine | {"the daemon's OpenSSL": ssl.OPENSSL_VERSION} | peers.versions()


def load() -> list[float]:
    """The load of the last 1, 5 and 15 minutes."""
    return [round(one, 2) for one in os.getloadavg()]


def today() -> str:
    """The day, in UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d}"
