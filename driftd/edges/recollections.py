"""What the last looks left, in files beside the store: a cache, from which anything may go at any time.

Two files for an instance, named by a digest of its id: FILE.head and FILE.names. Nothing here raises: what cannot be
read is not there, and what cannot be written costs the next look its shortcut.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
import threading
from pathlib import Path

import structlog

_log = structlog.get_logger()
_HEAD, _NAMES = ".head", ".names"
_LARGEST = 256 * 1024 * 1024  # bytes of one file
_CHECKED = 64  # how many are kept between two sweepings


class RecollectionDirectory:
    """``Recollections`` in ``directory``, which is made; at most ``limit`` bytes, the longest unused going first.

    A tenth of its file system stays free.
    """

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        self._kept = 0
        self._told = False
        self._sweeping = threading.Lock()

    def head(self, instance_id: str) -> bytes:
        """See ``Recollections.head``."""
        return self._read(instance_id, _HEAD)

    def directories(self, instance_id: str) -> bytes:
        """See ``Recollections.directories``."""
        return self._read(instance_id, _NAMES)

    def keep(self, instance_id: str, head: bytes, directories: bytes | None) -> None:
        """See ``Recollections.keep``. The head is written last: it is what says that the rest belongs to it."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._room(len(head) + len(directories or b""))
            if directories is not None:
                self._write(self._file(instance_id, _NAMES), directories)
            self._write(self._file(instance_id, _HEAD), head)
        except OSError as error:
            if not self._told:  # once, and not for each look
                _log.warning("what a look left cannot be kept", directory=str(self._directory), error=error.strerror)
            self._told = True
            self.forget(instance_id)
            return
        self._told = False
        self._kept += 1
        if self._kept % _CHECKED == 1 and self._sweeping.acquire(blocking=False):
            try:
                self._sweep()
            finally:
                self._sweeping.release()

    def forget(self, instance_id: str) -> None:
        """See ``Recollections.forget``."""
        for suffix in (_HEAD, _NAMES):
            with contextlib.suppress(OSError):
                self._file(instance_id, suffix).unlink()

    def _room(self, needed: int) -> None:
        """Raises OSError where a tenth of the file system would not stay free: the store may need it."""
        there = os.statvfs(self._directory)
        if there.f_bavail * there.f_frsize - needed < there.f_blocks * there.f_frsize // 10:
            raise OSError(errno.ENOSPC, "less than a tenth of its file system is free")

    def _file(self, instance_id: str, suffix: str) -> Path:
        return self._directory / (hashlib.sha256(instance_id.encode()).hexdigest()[:32] + suffix)

    def _read(self, instance_id: str, suffix: str) -> bytes:
        file = self._file(instance_id, suffix)
        try:
            with file.open("rb") as stream:
                os.utime(stream.fileno())  # what is used stays
                data = stream.read(_LARGEST + 1)
        except OSError:
            return b""
        return data if len(data) <= _LARGEST else b""

    def _write(self, file: Path, data: bytes) -> None:
        # No fsync: a file that a crash left in part has not the digest that it says (core/glance/recalled.py).
        with tempfile.NamedTemporaryFile(dir=self._directory, prefix=".", delete=False) as temporary:
            try:
                temporary.write(data)
                temporary.flush()
                Path(temporary.name).replace(file)
            except OSError:
                Path(temporary.name).unlink(missing_ok=True)
                raise

    def _sweep(self) -> None:
        found = []
        for file in self._directory.iterdir():
            with contextlib.suppress(OSError):
                seen = file.stat()
                found.append((seen.st_mtime_ns, seen.st_size, file))
        total = sum(size for _, size, _ in found)
        for _, size, file in sorted(found):
            if total <= self._limit:
                break
            with contextlib.suppress(OSError):
                file.unlink()
                total -= size
