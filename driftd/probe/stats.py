"""The stat tree: what an instance's inodes say of themselves, as 16 bytes a directory, 256 buckets and one root.

It belongs to one instance and says only whether something may have changed since it was last asked (docs/merkle.md);
what is compared with an image is the content tree. Everything here is pure.
"""

import hashlib
import struct
from typing import Any, Dict, Iterable, List, Tuple

SIZE = 16  # bytes of the digest of a directory, of a bucket, of what is around
STAT = 8  # bytes of the digest of one name's stat
BUCKETS = 256
_DIRECTORY = b"driftd-stat/2\x00"
_BUCKET = b"driftd-stat-bucket/2\x00"
_ROOT = b"driftd-stat-root/2\x00"
_WHOLE = (1 << 64) - 1

# mode as st_mode has it, inode number, device, links, uid, gid, size, device that it is, mtime, ctime, word. The first
# seven stand in the order of a stat_result, which is the cheapest way to get at them.
PACK = struct.Struct(">IQQQIIQQqqQ").pack


def row(found, word=0):
    # type: (Any, int) -> bytes
    """What ``found`` (an os.stat_result) says of one name. ``word`` is random where it may change and look the same."""
    times = found.st_mtime_ns, found.st_ctime_ns
    try:
        return PACK(*found[:7], found.st_rdev, *times, word)
    except struct.error:  # a time centuries away: its lower 64 bits count
        mtime, ctime = (((time + (1 << 63)) & _WHOLE) - (1 << 63) for time in times)
        return PACK(*found[:7], found.st_rdev, mtime, ctime, word)


def opening(point, path):
    # type: (bytes, bytes) -> Any
    """The hash of the directory ``path`` on the file system mounted at ``point``, before its rows.

    Its first byte is the bucket that the directory belongs to.
    """
    return hashlib.sha256(_DIRECTORY + point + b"\0" + path + b"\0")


def bucket(point, path):
    # type: (bytes, bytes) -> int
    """The number (0 to 255) of the bucket that a directory belongs to."""
    return bytearray(opening(point, path).digest())[0]


def directory(point, path, rows):
    # type: (bytes, bytes, Iterable[Tuple[bytes, bytes]]) -> bytes
    """The digest of a directory whose ``rows`` (name, ``row``) are sorted by name."""
    made = opening(point, path)
    made.update(b"".join(name + b"\0" + one for name, one in rows))
    return bytes(made.digest()[:SIZE])


def vector(digests):
    # type: (Dict[int, List[bytes]]) -> bytes
    """The digests of all buckets, in order, from the digests of the directories in each (in any order)."""
    return b"".join(digest(_BUCKET + b"".join(sorted(digests.get(number, ())))) for number in range(BUCKETS))


def root(vector, around):
    # type: (bytes, bytes) -> bytes
    """The 32-byte root: of all buckets' digests, one behind the other, and of what is around the walk."""
    return hashlib.sha256(_ROOT + around + vector).digest()


def digest(data):
    # type: (bytes) -> bytes
    """The 16 bytes that stand for ``data``."""
    return hashlib.sha256(data).digest()[:SIZE]


def short(one):
    # type: (bytes) -> bytes
    """The 8 bytes that stand for a ``row``: another row of the same 8 costs 2^64 tries to find."""
    return hashlib.sha256(one).digest()[:STAT]
