"""Where a demo lives, on which ports, and how all of it is removed again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from driftd.core.errors import BadInput, DriftdError
from driftd.edges.providers.local import fleet, image, userns
from driftd.edges.stage import running

DAEMON, CLOUD = "daemon", "cloud"  # what runs beside a demo
LONGEST_PLACE = 50  # HAProxy's socket lies below, and a socket's path is short


def directory() -> Path:
    """Where the demo lives: the first of a few places whose file system can carry an overlay's upper directory."""
    for place in _places():
        kind = _file_system(place)
        if kind and kind not in {"overlay", "overlayfs"} and len(str(place)) <= LONGEST_PLACE:
            return place / "driftd-demo"
    return _places()[0] / "driftd-demo"


def _places() -> list[Path]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return [cache, Path.cwd() / ".cache", Path("/var/tmp"), Path("/dev/shm")]  # noqa: S108  # made with mode 0700


def _file_system(place: Path) -> str:
    """The type of the file system that ``place`` is, or would be, on; "" when it cannot be written to."""
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        return ""
    done = subprocess.run(["stat", "-f", "-c", "%T", str(place)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def again_inside(fetch: Callable[[Callable[[str], None]], object], *, keep: bool) -> int | None:
    """Run this command again in a user namespace where that is needed; None where it is not.

    Raises BadInput with the one sentence of what is missing. ``fetch`` is called first, with a way to say what takes
    long, and packages are fetched: inside there is no network.
    """
    lacking, _, remedy = userns.missing().partition("; ")
    if lacking:
        raise BadInput(lacking, remedy)
    if not userns.needed():
        return None
    image.ensure_base(say=_say)
    fetch(_say)
    return userns.reexec_in_user_namespace([sys.executable, "-m", "driftd", *sys.argv[1:]], stay=keep)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def clean() -> list[str]:
    """End and remove everything of an earlier demo, wherever it was; a line for each thing."""
    return [line for place in _places() for line in remove(place / "driftd-demo")]


def remove(home: Path) -> list[str]:
    """End and remove everything of the demo in ``home``; a line for each thing."""
    if not home.is_dir():
        return []
    said = [f"ended the {name}" for name in (DAEMON, CLOUD) if running.end(home / f"{name}.pid")]
    said += [f"removed {what}" for what in fleet.clean(home / "fleet")]
    shutil.rmtree(home)
    return [f"{line} of an earlier demo" for line in said]


def port(wanted: int) -> int:
    """``wanted`` where it is free on loopback, else one that is."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait(ready: Callable[[], bool], limit_s: float, what: str) -> None:
    """Until it is so. Raises DriftdError."""
    ends = time.monotonic() + limit_s
    while not ready():
        if time.monotonic() > ends:
            raise DriftdError(f"after {limit_s:.0f} s still not: {what}", "see that the machine is not overloaded")
        time.sleep(0.02)
