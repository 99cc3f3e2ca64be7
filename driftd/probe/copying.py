"""Copies of programs, piece by piece: of files that the kernel executes, and of nothing that holds a private key.

What a program is its first bytes say. Texts are never copied: they are shown without their secrets (redact.py), and of
all else only the digest leaves the host. Nobody asks for them but evidence (core/custody).
"""

import os
import re
from typing import Optional, Tuple

from driftd.probe.dialogue import COPY_LIMIT, COPY_PIECE

_ELF = b"\x7fELF"
_PRIVATE = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
_READ = 1 << 20
_OVERLAP = 128  # more than such a line is long


class Copier(object):
    """Remembers what it last found fit to be copied, as the pieces of one file are asked for one after the other."""

    def __init__(self):
        # type: () -> None
        self._fit = None  # type: Optional[Tuple[int, ...]]

    def piece(self, fd, at):
        # type: (int, int) -> Tuple[bytes, int, bytes]
        """What lies at the byte ``at``, the file's size, and why nothing of it is copied (b"" where it is); closes
        ``fd``.
        """
        try:
            found = os.fstat(fd)
            now = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
            if now != self._fit:
                why = _unfit(fd, found.st_size)
                if why:
                    return b"", found.st_size, why
                self._fit = now
            return os.pread(fd, COPY_PIECE, at), found.st_size, b""
        finally:
            os.close(fd)


def _unfit(fd, size):
    # type: (int, int) -> bytes
    if size > COPY_LIMIT:
        return b"it is longer than what is copied"
    if os.pread(fd, len(_ELF), 0) != _ELF:
        return b"it is no program"
    done, tail = 0, b""
    while done < size:  # as long as it was: one that grows while it is read has no end
        data = os.pread(fd, _READ, done)
        if not data:
            break
        if _PRIVATE.search(tail + data):
            return b"it holds a private key"
        done, tail = done + len(data), data[-_OVERLAP:]
    return b""
