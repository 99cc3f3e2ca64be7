"""What a test leaves behind in its process: only what is new counts.

Other tests of the same process leave garbage and threads that may end at any moment, so a count before and
a count after say nothing: there may be fewer, and as many may be others."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


def open_files() -> set[tuple[int, str]]:
    """Descriptors with what is open behind each; the one that lists them is gone again and left out."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((int(name), os.readlink(f"/proc/self/fd/{name}")))
        except OSError:
            continue
    return found


@contextmanager
def no_open_files(patience_s: float = 5.0) -> Iterator[None]:
    """Fail if what runs within leaves a descriptor open that was not open before."""
    before = open_files()
    yield
    limit = time.monotonic() + patience_s
    while (left := open_files() - before) and time.monotonic() < limit:
        time.sleep(0.02)
    assert not left


@contextmanager
def no_threads(patience_s: float = 5.0) -> Iterator[None]:
    """Fail if what runs within leaves a thread that did not run before."""
    before = set(threading.enumerate())
    yield
    limit = time.monotonic() + patience_s
    while (left := set(threading.enumerate()) - before) and time.monotonic() < limit:
        time.sleep(0.02)
    assert not left
