"""What follows a glance that saw a change: the names and stats of directories (N), and entries read anew (R).

Both speak of the last walk (statwalk.py) and look again themselves, so what is told of a directory is never older than
what the glance's digest of it says.
"""

import errno
import hashlib
import os
import stat
import struct
import time
import zlib
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Set, Tuple

from driftd.probe import frames, glance, links, opening, stats, statwalk, telling, walk, wire
from driftd.probe.due import Due, Schedule
from driftd.probe.overlap import Overlap
from driftd.probe.places import Places
from driftd.probe.tally import Tally
from driftd.probe.ways import Ways

NAMES, READ = b"N", b"R"
DIRECTORIES, GONE, REACHED = b"D", b"X", b"U"

FRAME = 256 * 1024  # bytes of rows in one frame, before they are compressed
WORTH = 1024  # bytes; what is shorter is not compressed
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def packed(message):
    # type: (Any) -> bytes
    """A payload: the length of the message as u32 and its zlib stream; a short one as it is behind the length 0."""
    data = wire.pack(message)
    return struct.pack(">I", 0) + data if len(data) < WORTH else struct.pack(">I", len(data)) + zlib.compress(data, 1)


class Again(object):
    """The directories of a walk once more, each as it is now."""

    def __init__(self, walked):
        # type: (statwalk.Walk) -> None
        self.walk = walked
        self._point = None  # type: Optional[Tuple[bytes, bool]]
        self._ways = None  # type: Optional[Ways]
        self.hidden = set()  # type: Set[Tuple[bytes, bytes]]
        self.beneath = b""  # the digest of what lies beneath mounts
        self._here = -1

    def __enter__(self):
        # type: () -> Again
        self._here = os.open(b".", os.O_PATH | os.O_CLOEXEC)
        if self.walk.places:
            self._lay_over(self.walk.places)
        return self

    def __exit__(self, *_):
        # type: (Any) -> None
        self._leave()
        os.fchdir(self._here)
        os.close(self._here)

    def _leave(self):
        # type: () -> None
        if self._ways is not None:
            self._ways.__exit__()
        self._ways = self._point = None

    def to(self, point, path):
        # type: (bytes, bytes) -> int
        """A descriptor of ``path`` on the file system at ``point``, good until the next call. Raises OSError."""
        above = _is_from_above(point, path)
        if self._ways is None or self._point != (point, above):
            self._leave()
            if above:
                self._ways = Ways(os.open(path, _DIRECTORY), path)
            else:
                fd, private = self.walk.view(point)
                self._ways = Ways(fd, point)
                if private != self.walk.views[point]:
                    raise wire.WireError("what can be seen of the file systems changed since the glance")
            self._point = point, above
        return self._ways.to(path or b"/")

    def rows(self, point, path, each):
        # type: (bytes, bytes, Callable[[List[Any], List[Any]], object]) -> bytes
        """The digest of a directory as it is now, b"" where it is gone; ``each``: see statwalk.py. Raises OSError."""
        try:
            fd = self.to(point, path)
            if not path:
                names, blob = [b"."], b"/"  # type: List[Any], bytes
            elif _is_from_above(point, path):
                names, blob = [frames.basename(point)], frames.basename(point)
            else:
                names, blob = self.walk.listing(fd, point, path)
            if names:
                os.fchdir(fd)
        except OSError as error:
            if error.errno in opening.GONE or error.errno in opening.EXCHANGED:
                return b""
            raise
        return self.walk.read(point, path, names, blob, each)[0]

    def _lay_over(self, places):
        # type: (Places) -> None
        """Find out what is hidden. What lies beneath mounts is mostly one empty directory each."""
        rows = sorted((point, path, digest) for some in self.walk.directories.values() for digest, point, path in some)
        beneath = {
            (point, path)
            for point, path, digest in rows
            if places.shared and places.is_beneath(path, point) and digest != stats.directory(point, path, [], [])
        }
        overlap, paths = Overlap(places), {path for _, path in beneath}
        for point, path, _ in rows if paths else ():
            if path in paths:
                there = []  # type: List[Tuple[bytes, bool]]
                self.rows(point, path, lambda names, rows: there.extend(_kinds(names, rows)))  # noqa: B023  # at once
                overlap.add(point, path, there)
        overlap.close(self.walk.reached)
        self.hidden, self.beneath = overlap.hidden, stats.digest(wire.pack(overlap.told))

    def links(self):
        # type: () -> List[List[bytes]]
        """All hard links of the tree, as links.py has them."""
        seen = (
            [path for path in paths if (key[0], path) not in self.hidden]
            for key, paths in self.walk.linked.items()
            if key[0] in self.walk.views
        )
        return sorted(sorted(paths) for paths in seen if len(paths) > 1)

    def greeting(self, asked):
        # type: (Dict[bytes, Any]) -> Dict[bytes, Any]
        """The HELLO of an answer."""
        return {b"nonce": asked[b"nonce"], b"schema": wire.SCHEMA, b"beneath": self.beneath}


def _is_from_above(point, path):
    # type: (bytes, bytes) -> bool
    """Whether it is a directory of the one name that was seen as programs see it: it lies above its own point."""
    return 0 < len(path) < len(point)


def _again(memory):
    # type: (glance.Memory) -> Again
    if memory.walk is None:
        raise wire.WireError("there was no glance that this could be about")
    return Again(memory.walk)


# --- names -----------------------------------------------------------------------------


def _names(memory, asked):
    # type: (glance.Memory, Dict[bytes, Any]) -> Iterator[bytes]
    glance.checked(asked, known=dict)
    stream, wanted, gone = frames.Stream(), [], []  # type: frames.Stream, List[Tuple[bytes, bytes]], List[bytes]
    with _again(memory) as again:
        yield stream.start() + stream.message(wire.HELLO, again.greeting(asked))
        for key, digests in asked[b"known"].items():
            known = {digests[at : at + stats.SIZE] for at in range(0, len(digests), stats.SIZE)}
            there = again.walk.directories.get(int(key), [])
            wanted += [(point, path) for digest, point, path in there if digest not in known]
            gone += sorted(known - {digest for digest, _, _ in there})
        told = 0
        for rows in _framed(one for point, path in sorted(wanted) for one in _directory(again, point, path)):
            told += sum(bool(row[0]) for row in rows)
            yield stream.frame(DIRECTORIES, packed(rows))
    for at in range(0, len(gone), 16384):
        yield stream.message(GONE, {b"gone": b"".join(gone[at : at + 16384])})
    yield stream.finish({b"directories": told, b"gone": len(gone)})


def _framed(directories):
    # type: (Iterable[List[Any]]) -> Iterator[List[List[Any]]]
    rows, size = [], 0  # type: List[List[Any]], int
    for one in directories:
        rows.append(one)
        size += len(one[2]) + sum(map(len, one[3])) + 14 * len(one[3]) + 64
        if size > FRAME:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _directory(again, point, path):
    # type: (Again, bytes, bytes) -> List[List[Any]]
    """[digest, file system, path, names, kinds, stats] of one directory; of a large one several, digest last."""
    pieces = []  # type: List[List[Any]]

    def each(names, rows):
        # type: (List[Any], List[Any]) -> None
        pairs = zip(names, rows)  # noqa: B905  # strict came with Python 3.10
        seen = [(os.fsencode(name) if path else b"/", row) for name, row in pairs]
        seen = [(name, row) for name, row in seen if (point, frames.join(path, name)) not in again.hidden]
        kinds = b"".join(walk.KINDS[stat.S_IFMT(row[0])] for _, row in seen)
        short = b"".join(os.urandom(stats.STAT) if again.walk.is_new(row) else stats.short(row) for _, row in seen)
        pieces.append([b"", point, path, [name for name, _ in seen], kinds, short])

    digest = again.rows(point, path, each)
    if digest:
        pieces = pieces or [[b"", point, path, [], b"", b""]]
        pieces[-1][0] = digest
    return pieces


def _kinds(names, rows):
    # type: (List[Any], List[Any]) -> List[Tuple[bytes, bool]]
    return [(os.fsencode(name), stat.S_ISDIR(row[0])) for name, row in zip(names, rows)]  # noqa: B905  # as above


# --- entries -----------------------------------------------------------------------------


class Reading(object):
    """Reads names anew, and of the files that are due as many as may be. ``left`` are those that were not."""

    def __init__(self, again, schedule, limits):
        # type: (Again, Schedule, Dict[bytes, int]) -> None
        self.tally = Tally()
        self.left = sorted(schedule.due)  # type: List[Due]
        self.read = 0
        self._again = again
        self._walker = walk.Walker(self.tally, file_limit=limits.get(b"file_bytes", walk.FILE_LIMIT))
        self._until = time.time() + limits[b"seconds"] / 2.0 if limits.get(b"seconds") else float("inf")
        self._done = set()  # type: Set[Tuple[bytes, bytes]]

    def named(self, names):
        # type: (Iterable[Any]) -> Iterator[bytes]
        """Blocks of those of [file system, path, names] that are still there."""
        due = {(path, name) for _, _, _, _, path, name in self.left}
        for point, path, some in sorted(names):
            batch, size = [], 0  # type: List[wire.Entry], int
            for name in sorted(some):
                if (path, name) in due:
                    self._done.add((path, name))
                entry = self._entry(point, path, name)
                if entry is not None:
                    batch.append(entry)
                    size += len(name) + 80 + sum(len(value) + len(key) for key, value in entry.xattrs)
                if size > walk.BATCH_BYTES or len(batch) == wire.BLOCK_ENTRIES:
                    yield wire.encode_block(path, batch)
                    batch, size = [], 0
            if batch:
                yield wire.encode_block(path, batch)

    def due(self, most, rate):
        # type: (int, int) -> Iterator[bytes]
        """Blocks of files that are due, until ``most`` bytes (0: no limit) were read, at most ``rate`` a second.

        What has one phase is read as a whole, so something is always done; and half of the time is left for the rest.
        """
        began, before, at = time.time(), self.tally.bytes_hashed, 0
        while at < len(self.left):
            _, number, phase, point, path, name = self.left[at]
            if at and (number, phase) != self.left[at - 1][1:3]:
                if time.time() > self._until or 0 < most <= self.read:
                    break
            at += 1
            entry = None if (path, name) in self._done else self._file(point, path, name)
            if entry is None:
                continue
            yield wire.encode_block(path, [entry])
            self.read = self.tally.bytes_hashed - before
            if rate:
                time.sleep(max(0.0, min(self._until, began + float(self.read) / rate) - time.time()))
        del self.left[:at]

    def _file(self, point, path, name):
        # type: (bytes, bytes, bytes) -> Optional[wire.Entry]
        try:
            found = os.stat(name, dir_fd=self._again.to(point, path), follow_symlinks=False)
        except OSError:
            return None  # what came of it the next glance says
        hidden = (point, frames.join(path, name)) in self._again.hidden
        return self._entry(point, path, name) if stat.S_ISREG(found.st_mode) and not hidden else None

    def _entry(self, point, path, name):
        # type: (bytes, bytes, bytes) -> Optional[wire.Entry]
        try:
            fd = self._again.to(point, path)
            return self._walker.entry(fd, name, frames.join(path, name)) if path else self._walker.top(fd)
        except walk.UnsearchableError:
            self.tally.not_read(path, os.strerror(errno.EACCES))
        except OSError as error:
            if error.errno not in opening.GONE:
                self.tally.not_read(path, "changed while read" if error.errno in opening.EXCHANGED else error)
        return None


def _read(memory, asked):
    # type: (glance.Memory, Dict[bytes, Any]) -> Iterator[bytes]
    glance.checked(asked, names=list, links=bytes, due=dict)
    encoder, schedule = wire.Encoder(), memory.schedule or Schedule(b"", [])
    with _again(memory) as again:
        yield encoder.start() + encoder.message(wire.HELLO, again.greeting(asked))
        reading = Reading(again, schedule, asked[b"limits"])
        for block in reading.named(asked[b"names"]):
            yield encoder.block(block)
        for block in reading.due(asked[b"due"].get(b"bytes", 0), asked[b"due"].get(b"rate", 0)):
            yield encoder.block(block)
        yield encoder.flush()
        groups = again.links()
    digest = hashlib.sha256(wire.pack(groups)).digest()
    yield encoder.message(wire.KNOWN, {b"links": digest})
    if digest != asked[b"links"]:
        reading.tally.links = sum(map(len, groups))
        for some in links.pieces(groups):
            yield encoder.message(wire.LINKS, some)
    yield encoder.message(REACHED, {b"reached": schedule.reached(reading.left), b"read": reading.read})
    schedule.due = []
    for data in telling.rest(encoder, [], reading.tally):
        yield data


def _scheduled(memory, asked):
    # type: (glance.Memory, Dict[bytes, Any]) -> Iterator[bytes]
    """A glance that notes besides which files are due."""
    glance.checked(asked, rehash=dict)
    memory.schedule = Schedule(asked[b"rehash"].get(b"salt", b""), asked[b"rehash"].get(b"spans", []))
    return glance.glance(memory, asked, memory.schedule.add)


ANSWERS = glance.ANSWERS
ANSWERS[glance.GLANCE] = _scheduled
ANSWERS[NAMES] = _names
ANSWERS[READ] = _read
