"""The closed tree's root: one digest over every name and everything about it, that a stranger can compute again.

All digests are SHA-256. ``body`` is ``wire.encode_body`` of an entry: all about it except its name
and its hard links.

* anything but a directory: H("driftd-entry/2" 0x00 body, length of ``same`` (u32, big-endian), ``same``)
* a directory: H("driftd-tree/2" 0x00 body and then, for each child sorted by the bytes of its name: the length of the
  name (u16, big-endian), the name, the child's digest (32 bytes))
* the tree: the digest of the entry "/"

Two trees have one root exactly when they hold the same names with the same bodies: nothing changed, nothing is missing
and nothing was added. docs/merkle.md has test vectors. The order of the entries given does not matter.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

from driftd.probe import wire
from driftd.probe.wire import Entry

_LEAF = b"driftd-entry/2\x00"
_TREE = b"driftd-tree/2\x00"
_LENGTH = struct.Struct(">H")
_LONG = struct.Struct(">I")


def root(entries: Iterable[Entry]) -> bytes:
    """The 32-byte root digest of a whole tree.

    Raises ``ValueError`` when a path stands twice or is not absolute, or an entry's parent or "/" is not there as a
    directory.
    """
    children: dict[bytes, list[tuple[bytes, bytes]]] = {}
    last: bytes | None = None
    # A parent sorts before all that it holds, so from the back every child is done before its directory.
    for entry in sorted(entries, key=lambda one: one.path, reverse=True):
        if entry.path == last:
            raise ValueError(f"{entry.path!r} stands twice")
        if entry.path[:1] != b"/":
            raise ValueError(f"{entry.path!r} is no absolute path")
        last = entry.path
        digest = _digest(entry, children.pop(entry.path, []))
        if entry.path == b"/":
            continue
        children.setdefault(wire.parent(entry.path), []).append((wire.basename(entry.path), digest))
    if last != b"/":
        raise ValueError("there is no entry for the root directory")
    if children:
        raise ValueError(f"{min(children)!r} holds entries and is not there")
    return digest


def _digest(entry: Entry, held: list[tuple[bytes, bytes]]) -> bytes:
    body = wire.encode_body(entry)
    if entry.kind != wire.DIRECTORY:
        if held:
            raise ValueError(f"{entry.path!r} holds entries and is no directory")
        return hashlib.sha256(_LEAF + body + _LONG.pack(len(entry.same)) + entry.same).digest()
    digest = hashlib.sha256(_TREE + body)
    for name, child in sorted(held):
        digest.update(_LENGTH.pack(len(name)) + name + child)
    return digest.digest()
