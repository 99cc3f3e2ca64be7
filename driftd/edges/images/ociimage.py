"""Read an OCI image into a tree, each layer once, and keep what the collectors will ask for.

What is unpacked goes through a digest and is gone. Small files below the directories that collectors read are kept in
one nameless temporary file. Where another is asked for, its layer is read again, and then all its small files are kept.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from driftd.edges.images import oci
from driftd.edges.images.errors import ImageError
from driftd.edges.images.layers import Layers, Parts
from driftd.edges.images.tarball import FILE, Member, TarReader
from driftd.edges.images.tree import Inode, directory
from driftd.edges.images.unpacking import Budget, Unpacked

KEPT_LIMIT = 1024 * 1024 * 1024  # bytes of contents kept
SMALL = 4 * 1024 * 1024  # bytes of a file that is kept: what a collector reads of most
LARGE = 512 * 1024 * 1024  # bytes of a database of packages
_SETTINGS = {b"etc", b"root", b"home", b"run"}
_BELOW = {b"systemd", b"sysctl.d", b"modprobe.d", b"modules-load.d", b"binfmt.d", b"pam.d", b"cron.d", b"dbus-1"}
_DATABASES = (b"var/lib/dpkg/", b"var/lib/rpm/", b"usr/lib/sysimage/rpm/", b"lib/apk/db/", b"var/spool/")
_LOOSE = (b"METADATA", b"PKG-INFO", b"passwd", b"group", b"os-release")


class OciImage:
    """One image, read whole by ``read``; afterwards the contents of its files can be had (place.Contents)."""

    def __init__(self, path: Path, platform: str, limit: int) -> None:
        self.root = directory()
        self._layers = oci.layers(path, platform)
        self._limit = limit
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process
        self._kept: dict[tuple[int, ...], int] = {}  # where a file is -> where it is in the spool
        self._end = 0
        self._read_again: set[int] = set()

    def read(self) -> None:
        """Apply every layer. Raises ImageError, and then there is no image."""
        made, budget = Layers(), Budget(self._limit)
        for number in range(len(self._layers)):
            self._one(number, budget, partial(made.apply, number, taker=self._taker(number)))
        self.root = made.root

    def _one(self, number: int, budget: Budget, take: Callable[[TarReader], object]) -> None:
        """Read one layer to its end, and verify both of its digests."""
        layer = self._layers[number]
        part = layer.part()
        stream = Unpacked(part, budget)
        try:
            take(TarReader(stream, budget.spend))
            stream.drain()
        except ImageError as error:
            raise ImageError(f"layer {number + 1} of {len(self._layers)}: {error}", error.hint) from None
        said = (
            (part.digest, layer.digest, "does not have the digest that names it"),
            (stream.digest, layer.diff_id, "unpacks to something else than the image's configuration says"),
        )
        for digest, wanted, wrong in said:
            if wanted and digest.hexdigest() != wanted.partition(":")[2]:
                raise ImageError(f"layer {number + 1} of {len(self._layers)} {wrong}")

    # --- contents ----------------------------------------------------------------------------------------------------

    def _taker(self, number: int) -> Callable[[Parts, Member], Callable[[bytes], object] | None]:
        def take(at: Parts, member: Member) -> Callable[[bytes], object] | None:
            return self._keep(number, member) if _is_asked_for(at, member.size) else None

        return take

    def _keep(self, number: int, member: Member) -> Callable[[bytes], object] | None:
        if self._end + member.size > KEPT_LIMIT:
            return None
        self._kept[number, member.offset] = self._end
        self._spool.seek(self._end)
        self._end += member.size
        return self._spool.write

    def open(self, inode: Inode) -> int:
        """See ``place.Contents``."""
        if inode.where not in self._kept:
            self._fetch(inode)
        fd = os.memfd_create("content", os.MFD_CLOEXEC)
        at, left = self._kept[inode.where], inode.size
        self._spool.flush()
        while left:
            sent = os.sendfile(fd, self._spool.fileno(), at, left)
            at, left = at + sent, left - sent
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def _fetch(self, inode: Inode) -> None:
        """Keep what was not thought to be asked for: the first time with all that is small in its layer."""
        number, offset = inode.where
        first = number not in self._read_again
        self._read_again.add(number)

        def take(archive: TarReader) -> None:
            for member in archive:
                if member.kind != FILE or (number, member.offset) in self._kept:
                    continue
                if member.offset == offset or (first and member.size <= SMALL):
                    more = self._keep(number, member)
                    if more is not None:
                        for piece in archive.content(member):
                            more(piece)

        self._one(number, Budget(self._limit), take)
        if inode.where not in self._kept:
            raise OSError(errno.EFBIG, "more than is kept of an image's contents")


def _is_asked_for(at: Parts, size: int) -> bool:
    """Whether a collector may want to read it. Nothing depends on it but the time that a second reading takes."""
    if not at or size > LARGE:
        return False
    if size > SMALL:
        return b"/".join(at).startswith(_DATABASES)
    return (
        at[0] in _SETTINGS or at[-1] in _LOOSE or b"/".join(at).startswith(_DATABASES) or not _BELOW.isdisjoint(at[:-1])
    )
