"""A resident probe in a Python of its own, and what it says."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from driftd.core.watching import Beat, Frames, Glimpse, Greeting, Message
from driftd.probe import bundle, wire

T = TypeVar("T")
NONCE = b"resident nonce 16"[:16]
NO_CTYPES = 'import sys;sys.modules["ctypes"]=None;sys.modules["resource"]=None;'


class Resident:
    """Watches ``root``. ``means`` allows only some; ``first`` is Python that runs before the program."""

    def __init__(
        self, root: Path | str, *means: bytes, sections: tuple[bytes, ...] = (), first: str = "", python: str = ""
    ) -> None:
        words = [*bundle.ARGUMENTS[:-1], first + bundle.BOOT]
        self.process = subprocess.Popen(
            [python or sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        request = wire.encode_request(NONCE, os.fsencode(root), sections, skip=means)
        self.send(bundle.resident_program() + request)
        self.alive = True  # whether it is told that somebody is there
        self.frames = Frames(NONCE)
        self.said: list[Message] = []
        self.greeting = self.next(Greeting)

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def hear(self, seconds: float) -> bool:
        """Take what comes within so long; False for the end."""
        out = self.process.stdout
        assert out is not None
        if self.alive:
            with contextlib.suppress(OSError):
                self.send(b".")
        if select.select([out], [], [], seconds)[0]:
            data = os.read(out.fileno(), 1 << 20)
            self.said += self.frames.feed(data)
            return bool(data)
        return True

    def next(self, kind: type[T], true: Callable[[T], object] = lambda _: True) -> T:
        """The next message of this kind that is so; what came before it is forgotten."""
        until = time.monotonic() + 30
        while True:
            while self.said:
                one = self.said.pop(0)
                if isinstance(one, kind) and true(one):
                    return one
            assert time.monotonic() < until, f"no {kind.__name__}"
            assert self.hear(0.2), "it ended"

    def shows(self, *paths: Path) -> Glimpse:
        """The next glimpse with entries of all of these."""
        wanted = {os.fsencode(path) for path in paths}
        return self.next(Glimpse, lambda one: one.seen and wanted <= {e.path for e in one.seen.entries})

    def beat(self) -> Beat:
        return self.next(Beat)

    def close(self) -> int:
        """Its status, its input having been closed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
