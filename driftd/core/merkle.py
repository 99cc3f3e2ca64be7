"""The closed tree's root: one digest over every name and everything about it, that a stranger can compute again.

All digests are SHA-256. ``body`` is ``wire.encode_body`` of an entry: all about it except its name
and its hard links.

* anything but a directory: H("driftd-entry/2" 0x00 body, length of ``same`` (u32, big-endian), ``same``)
* a directory: H("driftd-tree/2" 0x00 body and then, for each child sorted by the bytes of its name: the length of the
  name (u16, big-endian), the name, the child's digest (32 bytes))
* the tree: the digest of the entry "/"

Two trees have one root exactly when they hold the same names with the same bodies: nothing changed, nothing is missing
and nothing was added. docs/merkle.md has test vectors. The order of the entries given does not matter.

The *closed* tree is the same over the members alone: what is ``exact`` with all about it, what is ``presence`` with its
kind alone, and of all else only the directories that hold a member, likewise with their kind alone:

* such a thing that is no directory: H("driftd-presence/1" 0x00 kind)
* such a directory: H("driftd-presence-tree/1" 0x00 and then its members as above)

So both roots are one where everything is exact.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping

from driftd.core.classes import EXACT, NO_CLASSES, Expected
from driftd.probe import wire
from driftd.probe.wire import Entry

_LEAF = b"driftd-entry/2\x00"
_TREE = b"driftd-tree/2\x00"
_THERE = b"driftd-presence/1\x00"
_THERE_TREE = b"driftd-presence-tree/1\x00"
_LENGTH = struct.Struct(">H")
_LONG = struct.Struct(">I")
# A child: its name, its digest, and its digest as a member of the closed tree (None: it is none).
_Child = tuple[bytes, bytes, bytes | None]


def root(entries: Iterable[Entry]) -> bytes:
    """The 32-byte root digest of a whole tree. Raises as ``roots`` does."""
    return roots(entries)[0]


def roots(
    entries: Iterable[Entry],
    classes: Mapping[bytes, Expected] = NO_CLASSES,
    nodes: dict[bytes, bytes] | None = None,
) -> tuple[bytes, bytes]:
    """The 32-byte root digests of a whole tree and of its closed tree. ``classes`` are those that are not exact.

    ``nodes`` takes the content tree's digest of every directory, by its path.
    Raises ``ValueError`` when a path stands twice or is not absolute, or an entry's parent or "/" is not there as a
    directory.
    """
    children: dict[bytes, list[_Child]] = {}
    last: bytes | None = None
    whole, closed = b"", b""
    # A parent sorts before all that it holds, so from the back every child is done before its directory.
    for entry in sorted(entries, key=lambda one: one.path, reverse=True):
        if entry.path == last:
            raise ValueError(f"{entry.path!r} stands twice")
        if entry.path[:1] != b"/":
            raise ValueError(f"{entry.path!r} is no absolute path")
        last = entry.path
        held = sorted(children.pop(entry.path, []))
        if held and entry.kind != wire.DIRECTORY:
            raise ValueError(f"{entry.path!r} holds entries and is no directory")
        whole = _digest(entry, held)
        if nodes is not None and entry.kind == wire.DIRECTORY:
            nodes[entry.path] = whole
        member = _member(entry, held, whole, classes.get(entry.path, EXACT))
        if entry.path == b"/":
            closed = member or _presence(entry, [])
            continue
        children.setdefault(wire.parent(entry.path), []).append((wire.basename(entry.path), whole, member))
    if last != b"/":
        raise ValueError("there is no entry for the root directory")
    if children:
        raise ValueError(f"{min(children)!r} holds entries and is not there")
    return whole, closed


def nodes(entries: Iterable[Entry]) -> dict[bytes, bytes]:
    """Every directory's digest in the content tree of ``entries``, by its path. Raises as ``roots`` does."""
    found: dict[bytes, bytes] = {}
    roots(entries, nodes=found)
    return found


def leaf(entry: Entry) -> bytes:
    """The digest of anything but a directory."""
    return hashlib.sha256(_LEAF + wire.encode_body(entry) + _LONG.pack(len(entry.same)) + entry.same).digest()


def tree(entry: Entry, held: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The digest of a directory; ``held`` are its children sorted by name: (name, digest)."""
    return _tree(_TREE + wire.encode_body(entry), held)


def _digest(entry: Entry, held: list[_Child]) -> bytes:
    if entry.kind != wire.DIRECTORY:
        return leaf(entry)
    return tree(entry, ((name, digest) for name, digest, _ in held))


def _tree(beginning: bytes, held: Iterable[tuple[bytes, bytes]]) -> bytes:
    digest = hashlib.sha256(beginning)
    for name, child in held:
        digest.update(_LENGTH.pack(len(name)) + name + child)
    return digest.digest()


def _member(entry: Entry, held: list[_Child], whole: bytes, given: Expected) -> bytes | None:
    """The digest in the closed tree; ``whole`` is the one in the content tree, which most entries have there, too."""
    if given.expect == EXACT.expect:
        if all(digest == member for _, digest, member in held):
            return whole
        return _tree(_TREE + wire.encode_body(entry), _members(held))
    if given.expect != "presence" and not any(member for _, _, member in held):
        return None
    return _presence(entry, held)


def _presence(entry: Entry, held: list[_Child]) -> bytes:
    if entry.kind != wire.DIRECTORY:
        return hashlib.sha256(_THERE + entry.kind).digest()
    return _tree(_THERE_TREE, _members(held))


def _members(held: list[_Child]) -> Iterable[tuple[bytes, bytes]]:
    return ((name, member) for name, _, member in held if member is not None)
