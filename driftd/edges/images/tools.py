"""Run a tool on an image: bounded, with nothing of this process's environment, and ended with whoever started it."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from driftd.edges.images.errors import ImageError, shown

MEMORY = 4 * 1024**3  # bytes of address space
OUTPUT_LIMIT = 1 << 20  # bytes of what a tool says that are looked at
_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--no-new-privs", "--")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Said:
    """How a tool ended, and the first that it wrote on its standard output."""

    status: int
    output: bytes


def run(words: Sequence[str]) -> Said:
    """Run it to its end; it dies with this process, which has the deadline. Raises ImageError when it is not there."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    memory = MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most)
    with subprocess.Popen(
        ["prlimit", f"--as={memory}", "--core=0", "--", *_DIES_WITH_US, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": _PATH, "LC_ALL": "C.UTF-8"},
    ) as child:
        assert child.stdout is not None  # noqa: S101  # it is a pipe
        output = child.stdout.read(OUTPUT_LIMIT)
        while child.stdout.read(OUTPUT_LIMIT):
            pass
        status = child.wait()
    if status == 127:  # setpriv found no such program
        raise ImageError(f"{words[0]} is not on this machine", f"install what provides {words[0]}")
    return Said(status, output)


def fields(output: bytes) -> dict[str, str]:
    """Lines of KEY=VALUE, as blkid's export format has them; backslashes stand before odd characters."""
    found = {}
    for line in output.split(b"\n"):
        key, equals, value = line.partition(b"=")
        if equals:
            found[shown(key)] = shown(value.replace(b"\\", b""))
    return found
