"""One image's tree, kept once for all its instances: what an answer is held against as bytes, directory by directory.

An instance's own tree is then only what differs from it (``Apart``): no more of an answer is parsed than that, and its
root follows from the digests of the directories that did not change (core/merkle.py).
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate, chain

from driftd.core import entries, merkle
from driftd.probe import wire
from driftd.probe.wire import Entry, WireError

_WORD = struct.Struct(">I")
HEAD = 2 * _WORD.size  # of a block, besides the directory's path
ROWS_KEPT = 100_000  # of frames that are remembered: some 20 MB
Changes = Mapping[bytes, Entry | None]  # by path; None where the tree has no such name


@dataclass(frozen=True, slots=True)
class Apart:
    """A tree as what it does not share with ``base``, whose entries are sorted by raw path bytes."""

    base: tuple[Entry, ...] = field(repr=False)
    changes: Changes


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is made of the entries once, at their first use."""

    held: Mapping[bytes, tuple[Entry, ...]]  # by directory, as a look sends it; of b"" the root's own entry
    rows: Mapping[bytes, bytes]  # by directory: the rows of all that it holds, in that order (docs/wire.md)
    whole: Mapping[bytes, tuple[bytes, int]]  # by a block that is all of a directory: which, and how many entries
    sizes: Mapping[bytes, int]  # by directory: how many bytes its rows are
    links: Mapping[bytes, bytes]  # by path: the smallest of its hard links
    nodes: Mapping[bytes, bytes]  # by directory: its digest in the content tree
    ends: dict[bytes, dict[int, int]] = field(default_factory=dict)  # see ``upto``


@dataclass(frozen=True, slots=True)
class Alike:
    """What a frame came to all of whose blocks are as in the image: of each directory from where to where its rows.

    ``spent`` bytes and ``entries`` count against an answer's limits.
    """

    rows: tuple[tuple[bytes, int, int], ...]
    spent: int
    entries: int


class Interned:
    """The ``tree`` of one image: its entries, sorted by raw path bytes. Raises as ``merkle.root`` at its first use."""

    def __init__(self, tree: tuple[Entry, ...]) -> None:
        self.entries = tree
        self._kept: _Kept | None = None
        self._making = threading.Lock()
        self._frames: dict[bytes, Alike] = {}  # by the SHA-256 of what came, the oldest first
        self._room = ROWS_KEPT

    def alike(self, digest: bytes) -> Alike | None:
        """What a frame came to whose bytes have this SHA-256; None where none came that was wholly as in the image."""
        return self._frames.get(digest)

    def keep(self, digest: bytes, frame: Alike) -> None:
        """Remember a frame; the oldest are forgotten, so that no instance fills the memory."""
        with self._making:
            if digest in self._frames or len(frame.rows) > ROWS_KEPT:
                return
            self._frames[digest] = frame
            self._room -= len(frame.rows) + 1
            while self._room < 0:
                self._room += len(self._frames.pop(next(iter(self._frames))).rows) + 1

    def held(self, directory: bytes) -> tuple[Entry, ...]:
        """What the directory holds, directories last, each sorted by name; of b"" the entry of "/" itself."""
        return self._made().held.get(directory, ())

    def rows(self, directory: bytes) -> bytes:
        """The rows of a directory as a look sends them, of all its blocks; b"" where there is no such."""
        return self._made().rows.get(directory, b"")

    @property
    def whole(self) -> Mapping[bytes, tuple[bytes, int]]:
        """By a block that is all of a directory: that directory, and how many entries it has."""
        return self._made().whole

    @property
    def sizes(self) -> Mapping[bytes, int]:
        """How many bytes the rows of each directory are that holds something, and of b""."""
        return self._made().sizes

    def upto(self, directory: bytes, size: int) -> int | None:
        """How many entries the first ``size`` bytes of a directory's rows are; None where they end within one."""
        kept = self._made()
        held = kept.held.get(directory, ())
        if size in (0, kept.sizes.get(directory, 0)):
            return len(held) if size else 0
        if directory not in kept.ends:  # of a directory that takes several blocks
            sizes = (len(rows(wire.encode_block(directory, [one]))[2]) for one in held)
            kept.ends[directory] = {end: number for number, end in enumerate(accumulate(sizes), 1)}
        return kept.ends[directory].get(size)

    @property
    def links(self) -> Mapping[bytes, bytes]:
        """``Entry.same`` by path, of those that have one."""
        return self._made().links

    @property
    def root(self) -> bytes:
        """The root of the content tree, 32 bytes."""
        return self._made().nodes[b"/"]

    def at(self, path: bytes) -> Entry | None:
        """The entry at ``path``."""
        return entries.at(self.entries, path)

    def changed(self, changes: Changes) -> tuple[tuple[Entry, ...], bytes]:
        """The entries with ``changes``, sorted, and their root. Raises ``ValueError`` as ``merkle.root`` does."""
        if not changes:
            return self.entries, self.root
        return self._overlaid(changes), _Above(self, self._made(), changes).root()

    def _overlaid(self, changes: Changes) -> tuple[Entry, ...]:
        pieces, done = [], 0
        for path in sorted(changes):
            here = entries.place(self.entries, path, done)
            pieces.append(self.entries[done:here])
            done = here + (here < len(self.entries) and self.entries[here].path == path)
            now = changes[path]
            pieces.append((now,) if now is not None else ())
        pieces.append(self.entries[done:])
        return tuple(chain.from_iterable(pieces))

    def _made(self) -> _Kept:
        if self._kept is None:
            with self._making:
                if self._kept is None:
                    self._kept = _made(self.entries)
        return self._kept


def _made(tree: tuple[Entry, ...]) -> _Kept:
    held: dict[bytes, list[Entry]] = {}
    for entry in tree:
        above = wire.parent(entry.path) if entry.path != b"/" else b""
        held.setdefault(above, []).append(entry)
    whole: dict[bytes, tuple[bytes, int]] = {}
    came: dict[bytes, bytes] = {}
    for path, those in held.items():
        whole[wire.encode_block(path, those)] = path, len(those)
        those.sort(key=lambda one: (one.kind == wire.DIRECTORY, wire.basename(one.path)))
        others = sum(one.kind != wire.DIRECTORY for one in those)
        # A look that goes on into directories tells of them afterwards, in another block.
        parts = [part for part in (those[:others], those[others:]) if part]
        came[path] = b"".join(rows(wire.encode_block(path, part))[2] for part in parts)
    return _Kept(
        held={path: tuple(those) for path, those in held.items()},
        rows=came,
        whole=whole,
        sizes={path: len(those) for path, those in came.items()},
        links={entry.path: entry.same for entry in tree if entry.same},
        nodes=merkle.nodes(tree),
    )


def rows(block: bytes) -> tuple[bytes, int, bytes]:
    """The directory of one block, how many entries it says that it has, and their rows. Raises ``WireError``."""
    if len(block) < _WORD.size:
        raise WireError("block cut short")
    end = _WORD.size + _WORD.unpack_from(block)[0]
    if len(block) < end + _WORD.size:
        raise WireError("block cut short")
    return block[_WORD.size : end], _WORD.unpack_from(block, end)[0], block[end + _WORD.size :]


class _Above:
    """Digests anew from the changes up to the root, and sees that every name has a directory."""

    def __init__(self, image: Interned, kept: _Kept, changes: Changes) -> None:
        self._image = image
        self._kept = kept
        self._changes = changes
        self._nodes: dict[bytes, bytes] = {}
        self._into: dict[bytes, dict[bytes, Entry | None]] = {}  # by directory: what changes in it, by path
        for path, now in changes.items():
            if path[:1] != b"/" or (path != b"/" and path[-1:] == b"/"):
                raise ValueError(f"{path!r} is no absolute path")
            if path != b"/":
                self._into.setdefault(wire.parent(path), {})[path] = now

    def root(self) -> bytes:
        top = self._now(b"/")
        if top is None:
            raise ValueError("there is no entry for the root directory")
        for path in sorted(self._moved(), reverse=True):  # what a directory holds sorts behind it
            entry, held = self._now(path), self._holds(path)
            if entry is None or entry.kind != wire.DIRECTORY:
                if held:
                    why = "is no directory" if entry is not None else "is not there"
                    raise ValueError(f"{path!r} holds entries and {why}")
                continue
            children = sorted((wire.basename(one.path), self._digest(one)) for one in held)
            self._nodes[path] = merkle.tree(entry, children)
        return self._digest(top)

    def _moved(self) -> set[bytes]:
        """Every directory whose digest may be another, and what is no directory any more."""
        found: set[bytes] = set()
        for path in self._changes:
            above = path
            while above not in found:
                found.add(above)
                above = wire.parent(above)
        return {
            path for path in found if path in self._kept.nodes or path in self._into or _is_directory(self._now(path))
        }

    def _now(self, path: bytes) -> Entry | None:
        return self._changes[path] if path in self._changes else self._image.at(path)

    def _holds(self, path: bytes) -> list[Entry]:
        there = self._kept.held.get(path, ())
        into = self._into.get(path)
        if into is None:
            return list(there)
        left = [one for one in there if one.path not in into]
        return left + [one for one in into.values() if one is not None]

    def _digest(self, entry: Entry) -> bytes:
        if entry.kind != wire.DIRECTORY:
            return merkle.leaf(entry)
        return self._nodes.get(entry.path) or self._kept.nodes[entry.path]


def _is_directory(entry: Entry | None) -> bool:
    return entry is not None and entry.kind == wire.DIRECTORY
