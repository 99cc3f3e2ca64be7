"""Which files' turn it is to be read again, though nothing says that they changed: the rolling rehash.

Each file has a place in each period, by a checksum of its path, so that all of them are read in the course of one and
about as many at any time.
"""

import zlib
from typing import Any, Dict, List, Tuple

from driftd.probe import frames

Due = Tuple[float, int, int, bytes, bytes, bytes]  # how late, span, phase after "from", file system, directory, name


class Schedule(object):
    """``spans`` are [period, from, to, prefixes]: a file is of the first span with a prefix at or above it.

    Its phase is crc32 of its path, begun with crc32 of ``salt``, scaled to the period; it is due when that lies in
    (from, to] modulo the period. Raises WireError for spans that are none.
    """

    def __init__(self, salt, spans):
        # type: (bytes, List[Any]) -> None
        self._seed = zlib.crc32(salt)
        self._spans = spans
        self._none = len(spans)
        self._at = {}  # type: Dict[bytes, int]
        self._known = {}  # type: Dict[bytes, int]
        self._files = {}  # type: Dict[bytes, Dict[bytes, int]]  # directory: names that a prefix is the path of
        self.due = []  # type: List[Due]
        for number, span in enumerate(spans):
            if len(span) != 4 or not all(isinstance(one, int) for one in span[:3]) or not 0 < span[0] <= 1 << 40:
                raise frames.WireError("a span of the rehash is none")
            for prefix in span[3]:
                if self._at.setdefault(prefix, number) == number and prefix != b"/":
                    self._files.setdefault(frames.parent(prefix), {})[frames.basename(prefix)] = number

    def _span(self, path):
        # type: (bytes) -> int
        """The number of the span of directory ``path``; that of all spans where it is of none."""
        if path not in self._known:
            above = self._none if path == b"/" else self._span(frames.parent(path))
            self._known[path] = min(above, self._at.get(path, self._none))
        return self._known[path]

    def add(self, point, path, blob):
        # type: (bytes, bytes, bytes) -> None
        """Note which names in directory ``path`` are due, files or not; they come joined by NUL."""
        if not path or not blob:
            return
        names = blob.split(b"\0")
        span, own = self._span(path), self._files.get(path)
        if own:
            alone = [name for name in names if own.get(name, span) < span]
            for name in alone:
                self._add(point, path, [name], own[name])
            names = [name for name in names if name not in alone]
        if span != self._none:
            self._add(point, path, names, span)

    def _add(self, point, path, names, number):
        # type: (bytes, bytes, List[bytes], int) -> None
        period, begin, end, _ = self._spans[number]
        seed, crc32 = zlib.crc32(frames.join(path, b""), self._seed), zlib.crc32
        begin, width = begin + 1, min(end - begin, period)
        for name in names:
            phase = ((crc32(name, seed) * period >> 32) - begin) % period
            if phase < width:
                self.due.append((float(phase - width) / period, number, phase + 1, point, path, name))

    def reached(self, left):
        # type: (List[Due]) -> List[int]
        """Per span how far it came, when all that was due but those ``left`` were read: the next "from"."""
        reached = [span[2] for span in self._spans]
        for _, number, phase, _, _, _ in left:
            reached[number] = min(reached[number], self._spans[number][1] + phase - 1)
        return reached
