"""A glance's other end: the real program in a Python of its own, and the few lines that merge what it says."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asking import Look

from driftd.core import merkle
from driftd.probe import bundle, stats, wire
from driftd.probe.wire import Entry

COARSE = 5  # CLOCK_REALTIME_COARSE, by which the kernel stamps files (clock_gettime(2))
HEAD = struct.Struct(">cI")
Spot = tuple[bytes, bytes]  # file system, path


def frame(tag: bytes, message: Any) -> bytes:
    payload = wire.pack(message)
    return HEAD.pack(tag, len(payload)) + payload


def unpacked(payload: bytes) -> Any:
    (size,) = struct.unpack_from(">I", payload)
    raw = zlib.decompress(payload[4:]) if size else payload[4:]
    assert len(raw) == (size or len(raw))
    return wire.unpack(raw)


@dataclass
class Answer:
    frames: list[tuple[bytes, bytes]]
    counts: dict[bytes, int]
    size: int

    def of(self, tag: bytes) -> list[Any]:
        return [wire.unpack(payload) for found, payload in self.frames if found == tag]

    def one(self, tag: bytes) -> Any:
        (found,) = self.of(tag)
        return found

    @property
    def failure(self) -> str:
        return self.one(b"E")[b"reason"].decode() if self.frames[-1][0] == b"E" else ""


class Probe:
    """The started program. ``end`` says how it ended."""

    def __init__(self, python: str = sys.executable, pieces: bool = True, command: Iterable[str] = ()) -> None:
        words = [*command, python, *bundle.ARGUMENTS]
        self.child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.nonce = 0
        self.write(bundle.glance_program())
        if pieces:
            self.write(frame(b"P", {b"piece": bundle.reading_piece()}))

    def write(self, data: bytes) -> None:
        assert self.child.stdin
        self.child.stdin.write(data)
        self.child.stdin.flush()

    def answer(self) -> Answer:
        """The next stream, to its trailer or to where it says that it failed."""
        assert self.child.stdout
        decoder, frames, size = wire.Decoder(), [], 0
        while not decoder.finished and not (frames and frames[-1][0] == b"E"):
            data = os.read(self.child.stdout.fileno(), 1 << 20)
            assert data, "the probe ended without an answer"
            size += len(data)
            frames += [(one.tag, one.payload) for one in decoder.feed(data)]
        return Answer(frames, decoder.counts, size)

    def ask(self, tag: bytes, **fields: Any) -> Answer:
        self.nonce += 1
        message = {b"nonce": b"%d" % self.nonce, b"limits": {b"seconds": 60}}
        message |= {key.encode(): value for key, value in fields.items()}
        if tag == b"G" and message[b"known"]:  # a root that is known goes hidden by the nonce
            message[b"known"] = hashlib.sha256(message[b"nonce"] + message[b"known"]).digest()
        self.write(frame(tag, message))
        found = self.answer()
        if not found.failure:
            assert found.of(b"H")[0][b"nonce"] == message[b"nonce"]
        return found

    def end(self) -> int:
        assert self.child.stdin
        assert self.child.stdout
        self.child.stdin.close()
        left = self.child.stdout.read()
        assert left == b"", left
        self.child.stdout.close()
        return self.child.wait(timeout=30)


@dataclass
class Row:
    digest: bytes
    names: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict)  # kind, stat


class Known:
    """What is known of one tree, kept by glances alone. ``same`` says whether the last one found nothing."""

    def __init__(self, probe: Probe, root: Path | bytes, skip: Iterable[bytes] = (), settled: int = 0) -> None:
        self.probe = probe
        self.root = root if isinstance(root, bytes) else os.fsencode(root)
        self.skip, self.settled = sorted(skip), settled
        self.stats: dict[Spot, Row] = {}
        self.entries: dict[bytes, Entry] = {}
        self.view: dict[bytes, bytes] = {b"root": b""}
        self.links: list[list[bytes]] = []
        self.links_digest = b""
        self.unreadable: set[bytes] = set()
        self.reads: list[bytes] = []
        self.same = False
        self.reached: list[int] = []
        self.beneath = b""

    def glance(self, spans: Iterable[Any] = (), most: int = 0, rate: int = 0, read: bool = True) -> None:
        limits = {b"seconds": 60, b"settled": self.settled}
        rehash = {b"salt": b"saltsalt", b"spans": list(spans)}
        fields = {"schema": 2, "root": self.root, "skip": self.skip, "rehash": rehash, "limits": limits}
        found = self.probe.ask(b"G", known=self.view[b"root"], **fields)
        assert not found.failure, found.failure
        view = found.one(b"V")
        self.same = b"buckets" not in view
        self.reads = []
        if not self.same or spans:
            names = [] if self.same else self._names(view)
            if read:
                self._read(names, most, rate)
        if not self.same:
            assert view[b"root"] == stats.root(view[b"buckets"], view[b"around"])
            self.view = view

    def _names(self, view: dict[bytes, bytes]) -> list[Any]:
        known: dict[int, list[bytes]] = {}
        for (point, path), row in self.stats.items():
            known.setdefault(stats.bucket(point, path), []).append(row.digest)
        mine = stats.vector(known)
        unequal = [n for n in range(256) if view[b"buckets"][16 * n : 16 * n + 16] != mine[16 * n : 16 * n + 16]]
        asked = {b"%d" % number: b"".join(sorted(known.get(number, ()))) for number in unequal}
        found = self.probe.ask(b"N", known=asked)
        assert not found.failure, found.failure
        self.beneath = found.of(b"H")[0][b"beneath"]
        gone = b"".join(one[b"gone"] for one in found.of(b"X"))
        gone_digests = {gone[at : at + 16] for at in range(0, len(gone), 16)}
        old = {spot: self.stats.pop(spot) for spot, row in [*self.stats.items()] if row.digest in gone_digests}
        assert len(old) == found.counts[b"gone"]
        begun: dict[Spot, Row] = {}
        for tag, payload in found.frames:
            for digest, point, path, names, kinds, short in unpacked(payload) if tag == b"D" else ():
                row = begun.setdefault((point, path), Row(b""))
                assert len(kinds) * 8 == len(short) == 8 * len(names)
                row.names |= {n: (kinds[at : at + 1], short[8 * at : 8 * at + 8]) for at, n in enumerate(names)}
                row.digest = digest
        assert all(row.digest for row in begun.values())
        assert len(begun) == found.counts[b"directories"]
        moved = []
        for spot, row in begun.items():
            before = old.pop(spot).names if spot in old else {}
            changed = sorted(name for name in row.names if row.names[name] != before.get(name))
            self._forget(spot[1], before.keys() - row.names.keys())
            moved.append([*spot, changed])
        for spot, row in old.items():
            self._forget(spot[1], row.names)
        self.stats |= begun
        return moved

    def _forget(self, path: bytes, names: Iterable[bytes]) -> None:
        for name in names:
            self.entries.pop(wire.join(path, name), None)

    def _read(self, names: list[Any], most: int, rate: int) -> None:
        due = {b"bytes": most, b"rate": rate}
        found = self.probe.ask(b"R", names=names, links=self.links_digest, due=due)
        assert not found.failure, found.failure
        asked = {wire.join(path, name) if path else b"/" for _, path, some in names for name in some}
        self.unreadable -= asked
        came = {}
        for tag, payload in found.frames:
            for block in wire.blocks(payload) if tag == b"T" else ():
                _, entries = wire.decode_block(block)
                for entry in entries:
                    assert entry.path not in came
                    came[entry.path] = entry
        for path in asked - came.keys():
            self.entries.pop(path, None)
        self.reads = sorted(came)
        self.entries |= came
        for one in found.of(b"C"):
            self.unreadable |= set(one.get(b"unreadable", ()))
        digest = found.one(b"K")[b"links"]
        if digest != self.links_digest:
            self.links = [group for part in found.of(b"L") for group in part]
            self.links_digest = digest
        self.reached = found.one(b"U")[b"reached"]

    def tree(self) -> tuple[Entry, ...]:
        same = {path: group[0] for group in self.links for path in group}
        return tuple(e._replace(same=same.get(path, b"")) for path, e in sorted(self.entries.items()))

    def content_root(self) -> bytes:
        return merkle.root(self.tree())


def tick() -> None:
    """Wait until the clock that stamps files has moved on: two changes within one of its ticks look the same."""
    before = time.clock_gettime_ns(COARSE)
    while time.clock_gettime_ns(COARSE) == before:
        time.sleep(0.001)


def agree(known: Known, look_at: Look) -> None:
    seen = look_at(Path(os.fsdecode(known.root)), sections=(), skip=known.skip)
    assert known.tree() == seen.entries
    assert known.content_root() == seen.root
    assert known.unreadable == set(seen.unreadable)
