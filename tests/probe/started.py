"""Programs that run while a block does, and what the probe sees of them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from gathering import Gathered, here
from servers import wait_until


@contextlib.contextmanager
def run(*command: object, ready: str = "", **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A program until the block ends. With ``ready`` it has written that before the block begins."""
    with subprocess.Popen([os.fsencode(str(word)) for word in command], stdout=subprocess.PIPE, **options) as child:  # type: ignore[call-overload]  # passed on
        try:
            if ready:
                assert child.stdout.readline().strip() == ready.encode()
            else:
                # Until it is the program that was asked for, it is a copy of this one.
                me = os.readlink("/proc/self/exe")
                wait_until(lambda: os.readlink(f"/proc/{child.pid}/exe") != me or me in map(str, command[:1]), "exec")
            yield child
        finally:
            child.kill()


def python(program: str, **options: object) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """A Python that does something, says so, and waits."""
    text = program + "\nprint('ready', flush=True)\nimport time\ntime.sleep(60)\n"
    return run(sys.executable, "-c", text, ready="ready", **options)


def real(path: str | Path) -> bytes:
    return os.fsencode(str(Path(path).resolve()))


def digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).hexdigest().encode()


def seen() -> Gathered:
    return here("running")
