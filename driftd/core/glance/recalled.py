"""Recalled: what the last look at an instance left, so that the next one sees only what changed.

It is a cache: losing it, or any doubt about it, costs one whole look. It comes in two parts. The head is read for every
look, the directories only where something changed, and of them no more than the buckets that are unequal. The head is
bencoded (BEP 3), compressed, and begins with a line that says what it is and the SHA-256 of all that follows it. The
directories begin with a line of their own, the vector, and how long each bucket is; a bucket is made as the head is.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Protocol

from driftd.core.glance.known import KnownFacts
from driftd.core.interned import Changes
from driftd.probe import bencode, stats, wire

_FORMAT = b"driftd-recalled/2\n"
_LISTED = b"driftd-listed/1\n"
_LENGTHS = struct.Struct(f">{stats.BUCKETS}I")
_DIGEST = 32
_INFLATED = 1 << 30  # bytes; far more than any of ours
Place = tuple[bytes, bytes]  # the mount point of a file system, and a directory on it


@dataclass(frozen=True, slots=True)
class Listed:
    """One directory: its digest in the stat tree, its names (sorted), a letter of ``find -type`` for each, and 8 bytes
    of its stat's digest for each.
    """

    digest: bytes
    names: tuple[bytes, ...]
    kinds: bytes
    stats: bytes

    def stat(self, at: int) -> bytes:
        """What stands for the stat of the name at this place."""
        return self.stats[at * stats.STAT : (at + 1) * stats.STAT]


Directories = Mapping[Place, Listed]
EVERY = range(stats.BUCKETS)


@dataclass(frozen=True, slots=True)
class Head:
    """``of`` is what it belongs to (instance, host key, program …). ``around`` and ``vector`` make the root of the stat
    tree; ``beneath`` is a digest of what lies beneath mounts.

    ``changes`` is how the content tree differs from the image's, whose root is ``image``; ``root`` is its own.
    ``links`` is the digest of its hard links as it was told. ``salt`` and ``reached`` are of the rolling rehash:
    how far each span has come, in seconds since 1970.
    """

    of: bytes
    around: bytes
    beneath: bytes
    vector: bytes
    image: bytes
    changes: Changes
    root: bytes
    links: bytes
    unreadable: tuple[bytes, ...]
    covered: tuple[bytes, ...]
    mounted: tuple[bytes, ...]
    reasons: Mapping[str, int]
    facts: KnownFacts
    salt: bytes
    reached: tuple[int, ...]

    @property
    def stat_root(self) -> bytes:
        """The 32-byte root of the stat tree."""
        return stats.root(self.vector, self.around)


class Recollections(Protocol):
    """Where they are kept. Any of them may be gone at any time."""

    def head(self, instance_id: str) -> bytes:
        """The head as it was kept; b"" where there is none."""
        ...

    def directories(self, instance_id: str) -> bytes: ...

    def keep(self, instance_id: str, head: bytes, directories: bytes | None) -> None:
        """Keep both, or of ``directories`` what there is where they are None. Does not raise."""
        ...

    def forget(self, instance_id: str) -> None: ...


def vector_of(directories: Directories, known: bytes = b"", numbers: Collection[int] = EVERY) -> bytes:
    """The 256 digests of the buckets, one behind the other: of ``numbers`` by their directories, else as ``known``."""
    found: dict[int, list[bytes]] = {}
    for (point, path), listed in directories.items():
        found.setdefault(stats.bucket(point, path), []).append(listed.digest)
    made = stats.vector(found)
    pieces = ((made if number in numbers else known)[_at(number)] for number in EVERY)
    return b"".join(pieces)


def _at(number: int) -> slice:
    return slice(number * stats.SIZE, (number + 1) * stats.SIZE)


# --- as bytes --------------------------------------------------------------------------------------------------------


def pack_head(head: Head) -> bytes:
    """The head, to be kept."""
    there = [(path, entry) for path, entry in sorted(head.changes.items()) if entry is not None]
    return _packed(
        {
            b"of": head.of,
            b"around": head.around,
            b"beneath": head.beneath,
            b"vector": head.vector,
            b"image": head.image,
            b"root": head.root,
            b"gone": sorted(path for path, entry in head.changes.items() if entry is None),
            b"changed": [[path, entry.same, _block(path, entry)] for path, entry in there],
            b"links": head.links,
            b"unreadable": list(head.unreadable),
            b"covered": list(head.covered),
            b"mounted": list(head.mounted),
            b"reasons": {reason.encode(): number for reason, number in head.reasons.items()},
            b"facts": head.facts.payload,
            b"lengths": head.facts.lengths,
            b"salt": head.salt,
            b"reached": list(head.reached),
        }
    )


def read_head(data: bytes) -> Head | None:
    """What ``pack_head`` made; None for anything else."""
    found = _unpacked(data)
    if not isinstance(found, dict):
        return None
    try:
        changes: dict[bytes, wire.Entry | None] = dict.fromkeys(found[b"gone"])
        for path, same, block in found[b"changed"]:
            _, (entry,) = wire.decode_block(block)
            changes[path] = entry._replace(same=same)
        return Head(
            of=found[b"of"],
            around=found[b"around"],
            beneath=found[b"beneath"],
            vector=found[b"vector"],
            image=found[b"image"],
            changes=changes,
            root=found[b"root"],
            links=found[b"links"],
            unreadable=tuple(found[b"unreadable"]),
            covered=tuple(found[b"covered"]),
            mounted=tuple(found[b"mounted"]),
            reasons={reason.decode(): number for reason, number in found[b"reasons"].items()},
            facts=KnownFacts(found[b"facts"], found[b"lengths"]),
            salt=found[b"salt"],
            reached=tuple(found[b"reached"]),
        )
    except (KeyError, ValueError, TypeError, wire.WireError):
        return None


def pack_directories(
    vector: bytes, directories: Directories, known: bytes = b"", numbers: Collection[int] = EVERY
) -> bytes:
    """The directories whose buckets are ``vector``, to be kept.

    Of the buckets ``numbers``, and there are none in any other, they are all that there is; the others are as in
    ``known``, which was made by this. b"" where it was not, or where what it has of the others is of another time.
    """
    rows: dict[int, list[object]] = {number: [] for number in numbers}
    for (point, path), one in sorted(directories.items()):
        row = [point, path, one.digest, b"\0".join(one.names), one.kinds, one.stats]
        rows[stats.bucket(point, path)].append(row)
    if len(rows) < len(EVERY):
        before, pieces = _pieces(known)
        if not pieces or any(before[_at(number)] != vector[_at(number)] for number in EVERY if number not in rows):
            return b""  # somebody else has kept what another look left
    else:
        pieces = [b""] * len(EVERY)
    for number, some in rows.items():
        pieces[number] = _packed(some) if some else b""
    return _LISTED + vector + _LENGTHS.pack(*map(len, pieces)) + b"".join(pieces)


def read_directories(data: bytes, vector: bytes, numbers: Collection[int] = EVERY) -> Directories | None:
    """What ``pack_directories`` made of the same ``vector``, of it the buckets ``numbers``; None for anything else."""
    kept, pieces = _pieces(data)
    if not pieces or kept != vector:
        return None
    found: dict[Place, Listed] = {}
    try:
        for number in numbers:
            for point, path, digest, names, kinds, short in _unpacked(pieces[number]) if pieces[number] else ():
                found[point, path] = Listed(digest, tuple(names.split(b"\0")) if kinds else (), kinds, short)
    except (ValueError, TypeError, AttributeError):
        return None
    return found if vector_of(found, vector, numbers) == vector else None


def _pieces(data: bytes) -> tuple[bytes, list[bytes]]:
    """The vector, and the buckets as they were packed; none where it is anything else."""
    begin = len(_LISTED) + stats.BUCKETS * stats.SIZE
    if not data.startswith(_LISTED) or len(data) < begin + _LENGTHS.size:
        return b"", []
    ends = list(accumulate(_LENGTHS.unpack_from(data, begin), initial=begin + _LENGTHS.size))
    if ends[-1] != len(data):
        return b"", []
    return data[len(_LISTED) : begin], [data[at:end] for at, end in pairwise(ends)]


def _block(path: bytes, entry: wire.Entry) -> bytes:
    return wire.encode_block(wire.parent(path) if path != b"/" else b"", [entry])


def _packed(value: object) -> bytes:
    body = zlib.compress(bencode.pack(value), 1)
    return _FORMAT + hashlib.sha256(body).digest() + body


def _unpacked(data: bytes) -> Any:
    body = data[len(_FORMAT) + _DIGEST :]
    if data[: -len(body) or None] != _FORMAT + hashlib.sha256(body).digest():
        return None
    inflate = zlib.decompressobj()
    try:
        return bencode.unpack(inflate.decompress(body, _INFLATED))
    except (zlib.error, bencode.WireError):
        return None


def first(names: Iterable[bytes]) -> Mapping[bytes, int]:
    """The place of each name."""
    return {name: at for at, name in enumerate(names)}
