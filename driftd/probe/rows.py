"""What is in a directory, read and hashed, as blocks for the wire: the part of a full look that takes its time.

A regular file costs one open and one fstat. Whatever is not as plain as that (it cannot be opened, changed meanwhile,
is something else by now) is left to ``Walker.entry``, which sees the whole truth.
"""

import errno
import marshal
import os
import stat
import struct
from hashlib import sha256
from typing import Any, Iterable, List, Optional, Tuple

from driftd.probe import attributes, opening, walk, wire
from driftd.probe.hashing import SMALL

SHORTS = [struct.pack(">H", length) for length in range(256)]  # lengths of names
_FILE = struct.Struct(">cHIIBQB32sH")
_DIRECTORY = struct.Struct(">cHIIBH")


def directory_body(found, flags, xattrs):
    # type: (os.stat_result, int, wire.Xattrs) -> bytes
    """As ``wire.encode_body``, of a directory, from its stat."""
    mode, _, _, _, uid, gid = found[:6]
    body = _DIRECTORY.pack(wire.DIRECTORY, mode & 0o7777, uid, gid, flags, len(xattrs))
    return body + wire.encode_xattrs(xattrs) if xattrs else body


class Packed(List[wire.Entry]):
    """Stands in a batch for its entries: the ``payloads`` of TREE frames, and ``links``: (token of an inode, path)."""

    def __init__(self, payloads, links):
        # type: (List[bytes], List[Tuple[bytes, bytes]]) -> None
        super(Packed, self).__init__()
        self.payloads = payloads
        self.links = links


def job(number, stop, parts):
    # type: (int, bool, List[Any]) -> bytes
    """What ``Describer.work`` is to do in walk ``number``.

    A part is (directory, names in it, those of them that may be no files), names with slashes between them; or a block.
    """
    return marshal.dumps((number, stop, parts))


def opened(outcome):
    # type: (bytes) -> Tuple[Packed, Tuple[Any, ...]]
    """What came of a job, and what to add to a tally."""
    payloads, links, taken = marshal.loads(outcome)  # noqa: S302  # from a process of our own
    return Packed(payloads, links), taken


class Describer(walk.Walker):
    """Does jobs, one after the other."""

    def work(self, asked, fds):
        # type: (bytes, List[int]) -> bytes
        """What comes of a job (``opened`` reads it); ``fds`` are its directories."""
        self._walks, stop, parts = marshal.loads(asked)  # noqa: S302  # from a process of our own
        self._payloads, self._blocks, self._size = [], [], 0  # type: List[bytes], List[bytes], int
        self._links = []  # type: List[Tuple[bytes, bytes]]
        left = iter(fds)
        for part in parts:
            if isinstance(part, bytes):
                self._block(part)
                continue
            directory, names, others = part
            try:
                self._names(next(left), directory, names.split(b"/"), frozenset(others.split(b"/")), stop)
            except walk.UnsearchableError:
                self.tally.not_read(directory, os.strerror(errno.EACCES))
        self._flush()
        return marshal.dumps((self._payloads, self._links, self.tally.take()))

    # --- frames ------------------------------------------------------------------------------

    def _block(self, block):
        # type: (bytes) -> None
        self._blocks.append(wire.sized(block))
        self._size += len(block)
        if self._size >= wire.BLOCK_TARGET:
            self._flush()

    def _flush(self):
        # type: () -> None
        if self._blocks:
            self._payloads.append(wire.compressed(b"".join(self._blocks)))
            self._blocks, self._size = [], 0

    # --- a directory -------------------------------------------------------------------------

    def _names(self, fd, directory, names, others, stop):
        # type: (int, bytes, List[bytes], Iterable[bytes], bool) -> None
        prefix = directory.rstrip(b"/") + b"/"
        rows, count, size = [], 0, 0  # type: List[bytes], int, int
        try:
            for name in names:
                path = prefix + name
                body = None if name in others else self._plain(fd, name, path)
                if body is None:
                    body = self._other(fd, name, path, stop, int(name not in others))
                    if body is None:
                        continue
                rows += (SHORTS[len(name)], name, body)
                count += 1
                size += len(body)
                if size > walk.BATCH_BYTES:
                    self._block(wire.block(directory, count, rows))
                    rows, count, size = [], 0, 0
        finally:  # what was seen before a directory proves unsearchable
            if rows:
                self._block(wire.block(directory, count, rows))

    def _plain(self, dir_fd, name, path):
        # type: (int, bytes, bytes) -> Optional[bytes]
        """The body of a regular file; None where it takes another look."""
        try:
            fd = opening.open_quietly(name, 0, dir_fd)
        except OSError:
            return None
        try:
            found = os.fstat(fd)
            mode, _, _, links, uid, gid, size = found[:7]
            if not stat.S_ISREG(mode) or size > self._file_limit:
                return None
            # Most files are small and have one name, and a call costs: for them, there is none.
            if size < SMALL and links == 1:
                data = os.read(fd, size + 1)
                if len(data) != size:
                    return None
                digest = sha256(data).digest()  # type: Optional[bytes]
                self.tally.bytes_hashed += size
            else:
                digest = self._hasher.once(fd, found, last=False)
            xattrs = attributes.xattrs(fd, path, self.tally)
            flags = attributes.flags(fd, path, self.tally)
        except OSError:
            return None
        finally:
            os.close(fd)
        if digest is None:
            return None
        self.tally.entries += 1
        if links > 1:
            self._links.append((self._token(found), path))
        body = _FILE.pack(b"f", mode & 0o7777, uid, gid, flags, size, 32, digest, len(xattrs))
        return body + wire.encode_xattrs(xattrs) if xattrs else body

    def _other(self, dir_fd, name, path, stop, before):
        # type: (int, bytes, bytes, bool, int) -> Optional[bytes]
        entry = self._tried(dir_fd, name, path, before)
        if entry is None:
            return None
        if entry.kind == wire.DIRECTORY:
            self._appeared(dir_fd, name, path, stop)
        elif entry.same:
            self._links.append((entry.same, path))
        return wire.encode_body(entry)

    def _appeared(self, dir_fd, name, path, stop):
        # type: (int, bytes, bytes, bool) -> None
        """What was something else when its directory was listed: nobody else goes into it."""
        try:
            fd = opening.open_quietly(name, os.O_DIRECTORY, dir_fd)
        except OSError as error:
            self._not_entered(path, error, described=True)
            return
        for directory, entries in self._below(fd, path, stop):
            self._block(wire.encode_block(directory, entries))
            self._links.extend((entry.same, entry.path) for entry in entries if entry.same)
