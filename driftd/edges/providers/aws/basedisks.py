"""Disks of images, kept here so that of an instance's disk only what differs has to be read.

    DIR/SNAPSHOT.raw    the root disk of an image, by its snapshot; with holes
    DIR/.SNAPSHOT.…     one that is being read, or whose reader was ended

Each can be deleted at any time, and is read again when it is wanted. Those that nobody used for longest go first when
all together take more than they may.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from driftd.core.errors import Unavailable

_NAME = re.compile(r"snap-[0-9a-f]{1,64}")
_LEFT_S = 86400.0  # after which nobody reads into it any more


class BaseDisks:
    """At most ``most`` bytes of them in ``folder``; none without one."""

    def __init__(self, folder: Path | None, most: int) -> None:
        self._folder = folder
        self._most = most

    @property
    def kept(self) -> bool:
        """Whether any are kept at all."""
        return self._folder is not None

    def has(self, snapshot: str) -> bool:
        """Whether this one is here, whole."""
        return self._path(snapshot).is_file()

    def keep(self, snapshot: str, read: Callable[[Path], None]) -> None:
        """Have ``read`` write it. One that is larger than all may be is not kept: see ``has`` afterwards."""
        path = self._path(snapshot)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = path.with_name(f".{snapshot}.{uuid.uuid4().hex}")
            try:
                read(draft)
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
            self._bounded()
        except OSError as error:
            raise Unavailable(f"disks of images cannot be kept in {path.parent}: {error.strerror}") from error

    def used(self, snapshot: str) -> Path:
        """The disk, for reading; it counts as used now."""
        path = self._path(snapshot)
        try:
            os.utime(path)
        except OSError as error:
            raise Unavailable(f"{path} is gone: {error.strerror}", "did somebody delete it just now?") from error
        return path

    def _path(self, snapshot: str) -> Path:
        if self._folder is None or not _NAME.fullmatch(snapshot):
            raise Unavailable(f"no disk of an image is kept by the name {snapshot!r}")
        return self._folder / f"{snapshot}.raw"

    def _bounded(self) -> None:
        """Delete those used longest ago until the others fit, and what readers that were ended left."""
        if self._folder is None:
            return
        for left in self._folder.glob(".snap-*"):
            if left.stat().st_mtime < time.time() - _LEFT_S:
                left.unlink(missing_ok=True)
        taken = 0
        for path in sorted(self._folder.glob("snap-*.raw"), key=lambda one: one.stat().st_mtime, reverse=True):
            taken += path.stat().st_blocks * 512
            if taken > self._most:
                path.unlink(missing_ok=True)


def copied(base: Path | None, into: Path) -> None:
    """A new file for root alone: with what is in ``base``, holes as holes, or empty. Raises OSError."""
    into.touch(mode=0o600, exist_ok=False)
    if base is None:
        return
    words = ["cp", "--reflink=auto", "--sparse=always", "--", str(base), str(into)]
    done = subprocess.run(words, check=False, capture_output=True, timeout=3600)
    if done.returncode:
        raise OSError(None, "it could not be copied", str(into))
