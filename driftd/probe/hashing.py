"""The digest of what an open file holds, or that it changed while it was read."""

import os
import time
from hashlib import sha256
from typing import Dict, Optional, Tuple

from driftd.probe.tally import Tally

SMALL = 64 * 1024  # a file below this is one read; larger ones pass through the buffer
BUFFER = 256 * 1024
_ASIDE = 48
SETTLED = 2  # seconds; longer than one tick of any file system's clock


class Hasher(object):
    """Reads files, counts in ``tally`` the bytes that its digests are of, and remembers what it will meet again."""

    def __init__(self, tally):
        # type: (Tally) -> None
        self.tally = tally
        # Not at the beginning of a page (16 bytes in, where malloc puts it): there, some processors copy what comes
        # from the beginning of another page at a fifth of their speed.
        self._buffer = memoryview(bytearray(BUFFER + _ASIDE))[_ASIDE:]
        self._known = {}  # type: Dict[Tuple[int, int], Tuple[Tuple[int, int, int], bytes]]

    def once(self, fd, found, last):
        # type: (int, os.stat_result, bool) -> Optional[bytes]
        """As ``_digest``; a file with several hard links is read once as long as it stays as it was.

        Its ctime says whether it did, unless the reading came within one tick of the clock that set it.
        """
        digest = self._digest(fd, found, last) if found.st_nlink < 2 else self._linked(fd, found, last)
        if digest is not None:
            # For each of its names, read again or not: a still tree has one answer.
            self.tally.bytes_hashed += found.st_size
        return digest

    def _linked(self, fd, found, last):
        # type: (int, os.stat_result, bool) -> Optional[bytes]
        inode = found.st_dev, found.st_ino
        state = found.st_size, found.st_mtime_ns, found.st_ctime_ns
        before, digest = self._known.get(inode, (state, None))
        if digest is not None and before == state:
            return digest
        settled = abs(time.time() - found.st_ctime) > SETTLED
        digest = self._digest(fd, found, last)
        if digest is not None and settled:
            self._known[inode] = state, digest
        return digest

    def _digest(self, fd, found, last):
        # type: (int, os.stat_result, bool) -> Optional[bytes]
        """The SHA-256 of what ``fd`` holds; None when it changed while it was read.

        At the ``last`` attempt a moved mtime counts for nothing: touching a file for ever must not hide what it holds.
        """
        length = found.st_size
        if length < SMALL:
            data = os.read(fd, length + 1)
            return sha256(data).digest() if len(data) == length else None
        digest, view, size = sha256(), self._buffer, 0
        while size <= length:
            count = os.readv(fd, [view])
            if not count:
                break
            digest.update(view[:count])
            size += count
        now = os.fstat(fd)
        if size != length or now.st_size != length:
            return None
        if now.st_mtime_ns != found.st_mtime_ns and not last:
            return None
        return digest.digest()
