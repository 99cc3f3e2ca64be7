"""This machine, as far as a checkup asks: room on a disk, who keeps the clock, which files can be read."""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from dataclasses import dataclass
from pathlib import Path

_TIME_ERROR = 5
_TIMEX_BYTES = 512  # struct timex has 208; adjtimex(2) with modes 0 only reads


def nearest(path: Path) -> Path:
    """The nearest that is there, whatever it is: ``path`` itself, or what is above it."""
    place = path.absolute()
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    return place


def free_bytes(path: Path) -> tuple[Path, int]:
    """The nearest directory that is there, and the bytes that somebody who is not root may still write in it."""
    place = nearest(path)
    place = place if place.is_dir() else place.parent
    found = os.statvfs(place)
    return place, found.f_bavail * found.f_frsize


def clock_kept() -> bool | None:
    """Whether the kernel says that something keeps its clock in step; None where it cannot be asked."""
    with contextlib.suppress(OSError, AttributeError):
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
        return None if answer < 0 else answer != _TIME_ERROR
    return None


@dataclass(frozen=True, slots=True)
class FileSeen:
    """A file that should be there. ``why`` says why it cannot be read, "" when it can; ``mode`` its permission bits."""

    why: str
    mode: int = 0


def seen(file: Path) -> FileSeen:
    """Whether ``file`` can be read by whoever asks; nothing in it is read."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return FileSeen((error.strerror or str(error)).lower())
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return FileSeen("" if stat.S_ISREG(found.st_mode) else "it is no file", stat.S_IMODE(found.st_mode))


def writable(directory: Path) -> bool:
    """Whether whoever asks may make files in ``directory``."""
    return directory.is_dir() and os.access(directory, os.W_OK | os.X_OK)
