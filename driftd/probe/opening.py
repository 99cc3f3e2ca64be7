"""Opening and listing on an instance, so that nothing is followed, waited for, or moved; and what its errors mean."""

import errno
import itertools
import operator
import os
import sys
from typing import Any, List, Optional

OPEN_LEVELS = 64  # directories held open on the way down; those further up are opened again through ".."

GONE = (errno.ENOENT, errno.ESTALE)
EXCHANGED = (errno.ELOOP, errno.ENOTDIR, errno.ENXIO)
NOT_PERMITTED = (errno.EACCES, errno.EPERM)

_COMMON = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_SOME = 4096  # names that are encoded at once: a directory may have a million


def open_quietly(name, flags=0, dir_fd=None):
    # type: (bytes, int, Optional[int]) -> int
    """Open for reading without following a link or waiting; without moving the atime where the kernel allows it."""
    try:
        return os.open(name, _COMMON | os.O_NOATIME | flags, dir_fd=dir_fd)
    except OSError as error:
        if error.errno != errno.EPERM:  # EPERM: neither owner nor privileged, so the atime cannot be spared
            raise
    return os.open(name, _COMMON | flags, dir_fd=dir_fd)


def listing(fd):
    # type: (int) -> List[bytes]
    """The names in a directory, as bytes, sorted."""
    if sys.getfilesystemencoding().lower() in ("utf-8", "ascii"):
        names = os.listdir(fd)  # type: List[Any]
        for at in range(0, len(names), _SOME):
            names[at : at + _SOME] = os.fsencode("\0".join(names[at : at + _SOME])).split(b"\0")
    else:  # other encodings do not give every name back as it was
        names = os.listdir(b"/proc/self/fd/%d" % fd)
    return rising(names)


def rising(names):
    # type: (List[bytes]) -> List[bytes]
    """The names, sorted. A directory that changes while it is read may name something twice."""
    names.sort()
    return names if all(map(operator.ne, names, itertools.islice(names, 1, None))) else sorted(set(names))
