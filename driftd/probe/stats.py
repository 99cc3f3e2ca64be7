"""The stat tree: what an instance's inodes say of themselves, as 16 bytes a directory and one root (docs/merkle.md).

It belongs to one instance and says only whether something may have changed since it was last asked; what is compared
with an image is the content tree. Everything here is pure.
"""

import hashlib
import struct
from typing import Iterable, NamedTuple

SIZE = 16  # bytes of one directory's digest
_DIRECTORY = b"driftd-stat/1\x00"
_ROOT = b"driftd-stat-root/1\x00"
_LONG = struct.Struct(">I")
_WHOLE = (1 << 64) - 1
_NAME = struct.Struct(">H")
_ROW = struct.Struct(">cHIIQIIQQQI")


class Inode(NamedTuple):
    """What stat(2) says of one name, in the order of its row."""

    kind: bytes  # one of wire.KINDS
    mode: int  # permission bits
    uid: int
    gid: int
    size: int  # bytes, as stat says it, of directories too
    major: int  # of the device that it is; 0 where it is none
    minor: int
    number: int
    mtime: int  # nanoseconds since 1970
    ctime: int
    links: int


def row(name, inode):
    # type: (bytes, Inode) -> bytes
    """One name and its stat. Of times the lower 64 bits count."""
    try:
        packed = _ROW.pack(*inode)
    except struct.error:  # before 1970, or centuries away
        packed = _ROW.pack(*inode._replace(mtime=inode.mtime & _WHOLE, ctime=inode.ctime & _WHOLE))
    return _NAME.pack(len(name)) + name + packed


class Directory(object):
    """Takes the rows of the directory at ``path``, sorted by name, a few at a time."""

    def __init__(self, path):
        # type: (bytes) -> None
        self.path = path
        self._digest = hashlib.sha256(_DIRECTORY + _LONG.pack(len(path)) + path)

    def add(self, rows):
        # type: (Iterable[bytes]) -> None
        self._digest.update(b"".join(rows))

    def digest(self):
        # type: () -> bytes
        return self._digest.digest()[:SIZE]


def directory(path, rows):
    # type: (bytes, Iterable[bytes]) -> bytes
    """The digest of a directory whose ``rows`` are sorted by name."""
    made = Directory(path)
    made.add(rows)
    return made.digest()


def root(vector):
    # type: (bytes) -> bytes
    """The 32-byte root over the ``vector``: every directory's digest, rising, one behind the other."""
    return hashlib.sha256(_ROOT + vector).digest()
