"""The streams of a glance, read from frames that the instance may have forged (docs/wire.md, The glance)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from driftd.core.arriving import Arrived, Arriving, Limits, path_of
from driftd.core.facts import Unseen
from driftd.core.fingerprint import Reader
from driftd.core.framing import FrameReader, dictionary
from driftd.core.glance.recalled import Listed, Place
from driftd.core.values import number
from driftd.probe import stats, wire
from driftd.probe.wire import WireError

_VIEW, _DIRECTORIES, _GONE, _KNOWN, _REACHED = b"V", b"D", b"X", b"K", b"U"
_WORD = struct.Struct(">I")
_NAMES = 5_000_000  # in all directories that are told


class Told(FrameReader):
    """One stream: a greeting with this nonce, then frames of these ``kinds``.

    ``beneath`` is a digest of what lies beneath mounts, where the stream is about names.
    """

    damaged = "the answer to a glance is damaged"
    kinds = b""
    beneath = b""

    def __init__(self, nonce: bytes) -> None:
        super().__init__()
        self._nonce = nonce
        self._greeted = False

    def failed(self) -> Unseen | None:
        """What it amounts to where it is none, once no more of it will come."""
        if self._failure is None and not self._decoder.finished:
            self._fail("the answer to a glance was cut off", "look again")
        return self._failure

    @property
    def counts(self) -> Mapping[bytes, int]:
        """What its trailer counts."""
        return self._decoder.counts

    def _take(self, frame: wire.Frame) -> None:
        if not self._greeted:
            hello = dictionary(frame.payload) if frame.tag == wire.HELLO else {}
            if hello.get(b"nonce") != self._nonce or hello.get(b"schema") != wire.SCHEMA:
                raise WireError("it is not to this question")
            beneath = hello.get(b"beneath", b"")
            self.beneath = beneath if isinstance(beneath, bytes) else b""
            self._greeted = True
        elif frame.tag not in self.kinds:
            raise WireError(f"a frame of no known kind ({frame.tag!r})")
        else:
            self._frame(frame)

    def _frame(self, frame: wire.Frame) -> None:
        raise NotImplementedError

    def _forget(self) -> None:
        pass


class View(Told):
    """The stat tree: its root, and where that is not the known one its buckets and what is around the walk."""

    kinds = _VIEW
    root = vector = around = b""

    def _frame(self, frame: wire.Frame) -> None:
        found = dictionary(frame.payload)
        self.root, self.vector, self.around = (found.get(key, b"") for key in (b"root", b"buckets", b"around"))
        if not all(isinstance(one, bytes) for one in (self.root, self.vector, self.around)):
            raise WireError("the stat tree is none")
        if self.vector and (
            len(self.vector) != stats.BUCKETS * stats.SIZE or stats.root(self.vector, self.around) != self.root
        ):
            raise WireError("the stat tree does not have the root that it says")


class Names(Told):
    """Directories as they are now, by place, and digests of such as are there no more."""

    kinds = _DIRECTORIES + _GONE

    def __init__(self, nonce: bytes) -> None:
        super().__init__(nonce)
        self.directories: dict[Place, Listed] = {}
        self.gone: set[bytes] = set()
        self._begun: dict[Place, tuple[list[bytes], bytes, bytes]] = {}
        self._names = 0

    def _frame(self, frame: wire.Frame) -> None:
        if frame.tag == _GONE:
            digests = dictionary(frame.payload).get(b"gone")
            if not isinstance(digests, bytes) or len(digests) % stats.SIZE:
                raise WireError("digests of directories are none")
            self.gone.update(digests[at : at + stats.SIZE] for at in range(0, len(digests), stats.SIZE))
            return
        rows = _inflated(frame.payload)
        if not isinstance(rows, list):
            raise WireError("directories are no list")
        for row in rows:
            self._row(row)

    def _row(self, row: Any) -> None:
        if not isinstance(row, list) or len(row) != 6 or not isinstance(row[3], list):
            raise WireError("a directory has not the right fields")
        digest, point, path, names, kinds, short = row
        if not all(isinstance(one, bytes) for one in (digest, point, path, kinds, short, *names)):
            raise WireError("a directory has not the right fields")
        self._names += len(names)
        known, letters, before = self._begun.pop((point, path), ([], b"", b""))
        known += names
        if self._names > _NAMES or len(names) != len(kinds) or len(short) != stats.STAT * len(names):
            raise WireError("a directory has not as many names as it says")
        if not digest:
            self._begun[point, path] = known, letters + kinds, before + short
            return
        if len(digest) != stats.SIZE or (point, path) in self.directories:
            raise WireError("a directory stands twice")
        if any(one >= other for one, other in pairwise(known)):
            raise WireError("the names of a directory are not in their order")
        self.directories[point, path] = Listed(digest, tuple(known), letters + kinds, before + short)

    def failed(self) -> Unseen | None:
        if super().failed() is None and self._begun:
            self._fail(f"{self.damaged}: a directory was not told to its end", "look again")
        return self._failure


class Part(Told):
    """Entries that were read anew, all hard links where they are not the known ones, and what could not be read."""

    kinds = wire.TREE + wire.PLAIN + wire.LINKS + wire.COVERAGE + _KNOWN + _REACHED

    def __init__(self, nonce: bytes, limits: Limits) -> None:
        super().__init__(nonce)
        self.entries: dict[bytes, wire.Entry] = {}
        self.unreadable: list[bytes] = []
        self.reached: tuple[int, ...] = ()
        self.links = b""
        self._limits = limits
        self._tree = Arriving(limits)  # counts and reads hard links

    @property
    def groups(self) -> Mapping[bytes, bytes]:
        """``Entry.same`` by path; empty too where they are the known ones."""
        return self._tree.links

    def _frame(self, frame: wire.Frame) -> None:
        self._tree.spend(len(frame.payload))
        if frame.tag in (wire.TREE, wire.PLAIN):
            split = wire.blocks if frame.tag == wire.TREE else wire.plain_blocks
            for block in split(frame.payload):
                self._tree.spend(len(block))
                for entry in wire.decode_block(block)[1]:
                    self.entries[entry.path] = entry
            if len(self.entries) > self._limits.entries:
                raise WireError(f"more than {self._limits.entries} entries")
        elif frame.tag == wire.LINKS:
            self._tree.link(wire.unpack(frame.payload))
        else:
            self._rest(frame.tag, dictionary(frame.payload))

    def _rest(self, tag: bytes, found: dict[bytes, Any]) -> None:
        if tag == wire.COVERAGE:
            self.unreadable += [path_of(path) for path in found.get(b"unreadable", ())]
        elif tag == _KNOWN:
            self.links = found.get(b"links", b"")
        else:
            self.reached = tuple(number(one, 1 << 40) for one in found.get(b"reached", ()))


class Rest(Reader):
    """Facts and sessions beside a tree that is known; facts that are as they were come as their digest alone."""

    def __init__(self, nonce: bytes, sections: tuple[bytes, ...], limits: Limits, tree: Arrived, known: bytes) -> None:
        super().__init__(nonce, sections, limits)
        self._answer.tree = _Standing(limits, tree)
        self._known = known
        self.alike = False

    def _take_rest(self, frame: wire.Frame) -> None:
        if frame.tag == _KNOWN:
            digest = dictionary(frame.payload).get(b"facts")
            self.alike = bool(self._known) and digest == self._known
            if self.alike:
                self._rows -= {b"facts", b"looked"}
        else:
            super()._take_rest(frame)


class _Standing(Arriving):
    """A tree of which nothing comes any more."""

    def __init__(self, limits: Limits, tree: Arrived) -> None:
        super().__init__(limits)
        self._tree = tree

    def arrived(self) -> Arrived:
        return self._tree


def _inflated(payload: bytes) -> Any:
    if len(payload) < _WORD.size:
        raise WireError("a frame is cut short")
    (size,) = _WORD.unpack_from(payload)
    if not size:
        return wire.unpack(payload[_WORD.size :])
    if size > wire.RAW_LIMIT:
        raise WireError("a frame is over the limit")
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(payload[_WORD.size :], size + 1)
    except zlib.error:
        raise WireError("a frame does not inflate") from None
    if len(raw) != size or not inflate.eof:
        raise WireError("a frame is not as long as it says")
    return wire.unpack(raw)
