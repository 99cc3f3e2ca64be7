"""What of driftd is measured, a function each. One that gives None measures what is not built yet; the page says so.

The probe runs as on an instance: the bytes that the daemon streams, on the standard input of an instance's Python.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from bench.speed import spending
from bench.speed.peers import Bed
from bench.speed.spending import Spent
from driftd.core import drift, manifest
from driftd.core.difference import Difference
from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.core.glance.streams import View
from driftd.core.glance.talk import unequal
from driftd.core.interned import Interned
from driftd.core.manifest import Manifest
from driftd.edges.ssh.command import PYTHONS
from driftd.probe import bundle, frames, wire

NONCE = b"bench-" * 2 + b"1234"
_PIECE = 256 * 1024


def python() -> str:
    """The Python that an instance's probe would run on here."""
    return next(path for path in PYTHONS if os.access(path, os.X_OK))


def question(root: Path, sections: tuple[bytes, ...] = ()) -> bytes:
    """What the daemon sends for one full look: the program and a request."""
    return bundle.program() + wire.encode_request(NONCE, os.fsencode(root), sections)


def _streamed(bed: Bed, asked: bytes, out: str) -> Spent:
    given = bed.work / f"{out}.in"
    given.write_bytes(asked)
    return spending.run(bed.spent, [python(), *bundle.ARGUMENTS], stdin=given, out=bed.work / out)


def look(bed: Bed, sections: tuple[bytes, ...] = ()) -> Spent:
    """A full look; its answer is in ``look.out``."""
    return _streamed(bed, question(bed.root, sections), "look.out")


def answer(bed: Bed) -> bytes:
    """What the last ``look`` sent."""
    return (bed.work / "look.out").read_bytes()


def glancing(root: bytes) -> dict[bytes, object]:
    """A question of the stat stage by somebody who knows nothing."""
    asked = {b"nonce": NONCE, b"limits": {}, b"schema": wire.SCHEMA, b"root": root, b"skip": []}
    return asked | {b"known": b"", b"rehash": {}}


def stats(bed: Bed, out: str = "stats.out") -> Spent:
    """The stat stage of a look at an instance; its answer is in ``out``."""
    payload = wire.pack(glancing(os.fsencode(bed.root)))
    return _streamed(bed, bundle.glance_program() + frames.HEAD.pack(b"G", len(payload)) + payload, out)


def stat_root(said: bytes) -> bytes:
    """The root of the stat tree that an answer to ``stats`` names."""
    view = View(NONCE)
    view.feed(said)
    if failure := view.failed():
        raise SystemExit(f"driftd could not glance: {failure.reason}")
    return view.root


def stat_vector(said: bytes) -> bytes:
    """The digests of all buckets in such an answer."""
    view = View(NONCE)
    view.feed(said)
    return view.vector


def read(said: bytes, sections: tuple[bytes, ...] = (), image: Interned | None = None) -> Fingerprint:
    """An answer as the daemon reads it, held against its image. SystemExit when it is none."""
    reader = Reader(NONCE, sections, image=image)
    for at in range(0, len(said), _PIECE):
        reader.feed(said[at : at + _PIECE])
    return _seen(reader)


def _seen(reader: Reader) -> Fingerprint:
    seen = reader.finish()
    if isinstance(seen, Unseen):
        raise SystemExit(f"driftd could not look: {seen.reason}")
    return seen


def total(seen: Fingerprint) -> tuple[int, int, int, int]:
    """Entries, files, bytes and the sum over the digests, as bench/limit/limit.c says them."""
    files = [one for one in seen.entries if one.kind == wire.FILE]
    heads = sum(int.from_bytes(one.sha256[:8], "big") for one in files)
    return len(seen.entries), len(files), sum(one.size for one in files), heads % (1 << 64)


def baked(seen: Fingerprint) -> Manifest:
    """The manifest of the tree as it is now."""
    return manifest.from_fingerprint(seen, "bench", provisional=False)


class Daemon:
    """The daemon's part of a full look, in this process: it starts the probe, reads what comes and compares it.

    It has the manifest already, as a daemon has that of its images.
    """

    def __init__(self, bed: Bed, known: Manifest) -> None:
        self._bed, self._known = bed, known
        self.found: tuple[Difference, ...] = ()
        self.cpu = 0.0  # seconds, of the last look's, that were this process's
        self.answered = 0  # bytes

    def look(self) -> Spent:
        """One full look and its differences."""
        note = self._bed.work / "compare.spent"
        words = [str(self._bed.spent), str(note), python(), *bundle.ARGUMENTS]
        asked = question(self._bed.root)
        own, began = time.process_time(), time.perf_counter()
        reader, self.answered = Reader(NONCE, (), image=self._known.tree), 0
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdin is not None and child.stdout is not None  # noqa: S101, PT018  # pipes
            child.stdin.write(asked)
            child.stdin.close()
            while piece := os.read(child.stdout.fileno(), _PIECE):
                self.answered += len(piece)
                reader.feed(piece)
        self.found = drift.compare(self._known, _seen(reader))
        wall, self.cpu = time.perf_counter() - began, time.process_time() - own
        there = spending.read(note)
        return Spent(wall, there.cpu + self.cpu, there.rss)


def compare_resent(known: Manifest, said: bytes) -> Spent:
    """The daemon's work on a full answer that came: from its bytes to the differences."""
    return spending.own(lambda: drift.compare(known, read(said, image=known.tree)))


def compare_vector(vector: bytes) -> Spent:
    """The daemon's work on the digests of an unchanged instance's directories that came, all 256 buckets."""
    other = bytes(bytearray(vector))  # as it comes: another object
    return spending.own(lambda: unequal(vector, other))
