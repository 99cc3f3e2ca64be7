"""The walk that stats every name and opens nothing but directories; what it finds is the stat tree (stats.py).

Each persistent file system is walked wholly, through its private view where there is one: what lies beneath mounts is
seen at (mount point of its file system, path), and identity is both. Mount points, what is left out, and what was seen
from above are as tree.py has it. Nothing is made per name but one row, which is forgotten with its directory.
"""

import os
import time
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

from driftd.probe import bencode, frames, mounts, opening, places, stats
from driftd.probe.tally import Tally
from driftd.probe.ways import Ways

SETTLED = 2  # seconds; longer than one tick of any file system's clock
SOME = 4096  # names whose rows are held at once
AHEAD = 3600 * 10**9  # ns; a time that lies further ahead was set by somebody, and says nothing of when


class Walk(object):
    """One walk; ``root`` and ``skip`` as a look has them. What is ``settled`` seconds old cannot change unseen.

    ``watcher(file system, path, names)``, if there is one, hears of each directory, the names joined by NUL.
    Afterwards ``directories`` are, for each bucket, (digest, file system, path); ``views`` says of each file system
    whether it was seen privately; ``linked`` has the paths of all that has several links by (file system, inode,
    device); ``around`` is the digest of all that decides what a full look shows and is no directory of the walk.
    Raises OSError where the root is not there.
    """

    def __init__(self, root, skip=(), settled=SETTLED, watcher=None):
        # type: (bytes, Iterable[bytes], int, Any) -> None
        self.tally = Tally()
        self._watcher = watcher
        self.fresh = int((time.time() - settled) * 1e9)
        self.root = self._base = root
        self.directories = {}  # type: Dict[int, List[Tuple[bytes, bytes, bytes]]]
        self.views = {}  # type: Dict[bytes, int]
        self.linked = {}  # type: Dict[Tuple[bytes, int, int], List[bytes]]
        self.entries = 0
        self.places = None  # type: Optional[places.Places]
        self._replaced = set()  # type: Set[bytes]
        way = set()  # type: Set[bytes]
        if root == b"/":
            self.places = places.Places(self.tally)
            self._shown, hanging, self._replaced = self.places.shown, self.places.hanging, self.places.replaced
            for point in self.places.walked:
                at = point
                while at != b"/":
                    way.add(at)
                    at = frames.parent(at)
        else:
            self._base, self._shown, hanging = places.elsewhere(root)
        self._skip, self._hanging = frozenset(skip), frozenset(hanging)
        self.reached = set()  # type: Set[bytes]
        self._met = set()  # type: Set[bytes]
        self._special = {}  # type: Dict[bytes, Set[bytes]]  # directories in which a name is no ordinary one
        for path in self._skip | set(self._shown) - {b"/"} | way:
            self._special.setdefault(frames.parent(path), set()).add(frames.basename(path))
        here = os.open(b".", os.O_PATH | os.O_CLOEXEC)
        try:
            self._all()
        finally:
            os.fchdir(here)
            os.close(here)
        tally = self.tally
        reasons = [[reason.encode("utf-8", "replace"), count] for reason, count in tally.reasons.items()]
        paths = tally.unreadable, tally.covered, tally.mounted, self._skip, reasons, self._shown.items()
        told = [root, sorted(self.views.items())] + [sorted(some) for some in paths]
        self.around = stats.digest(bencode.pack(told))

    def view(self, point):
        # type: (bytes) -> Tuple[int, int]
        """A descriptor of the file system at ``point``, and 1 where it is a private view. Raises OSError."""
        if self.places:
            try:
                return mounts.private_view(point), 1
            except mounts.NoViewError as reason:
                self.tally.count("seen without a private view, so that atimes may move: %s" % reason)
        return opening.open_quietly(self._base if point == b"/" else point, os.O_DIRECTORY), 0

    def vector(self):
        # type: () -> bytes
        """The digests of all buckets."""
        return stats.vector({at: [row[0] for row in rows] for at, rows in self.directories.items()})

    def _all(self):
        # type: () -> None
        self._file_system(b"/")
        if not self.places:
            return
        for point in self.places.walked:
            if point in self._replaced:
                if point in self.reached:
                    self._from_above(point)
                continue
            way = self.places.way(point, self.reached, self._met.__contains__)
            if way is not None:
                for path in way:
                    self._from_above(path)
                self.reached.add(point)
                self._file_system(point)

    def _from_above(self, path):
        # type: (bytes) -> None
        """The one name at ``path`` as programs see it: a directory of its own, at (path, the directory above)."""
        directory, name = frames.parent(path), frames.basename(path)
        os.chdir(directory)
        self._note(path, directory, [name], name)

    def _file_system(self, point):
        # type: (bytes) -> None
        try:
            fd, self.views[point] = self.view(point)
        except OSError as error:
            if point == b"/":
                raise
            self.tally.not_read(point, error)
            return
        with Ways(fd, point) as ways:
            if point == b"/":
                os.fchdir(fd)
                self._note(point, b"", [b"."], b"/")
            todo = [point]
            while todo:
                path = todo.pop()
                if len(path) > frames.PATH_LIMIT:
                    self.tally.not_read(path, "path longer than %d bytes" % frames.PATH_LIMIT)
                    continue
                try:
                    fd = ways.to(path)
                    names, blob = self.listing(fd, point, path)
                    if names:
                        os.fchdir(fd)
                except OSError as error:
                    if error.errno not in opening.GONE:
                        self.tally.not_read(path, "changed while read" if error.errno in opening.EXCHANGED else error)
                    continue
                below = self._note(point, path, names, blob)
                above, special = path.rstrip(b"/") + b"/", self._special.get(path)
                if special:
                    below = [name for name in below if name not in special or self._goes_into(above + name, point)]
                todo += [above + name for name in reversed(below)]

    def listing(self, fd, point, path):
        # type: (int, bytes, bytes) -> Tuple[List[Any], bytes]
        """The names of directory ``path`` that are in the tree, in the order of their bytes; and joined by NUL.

        They are as os.lstat takes them, text where that needs no care. Raises OSError.
        """
        special = self._special.get(path)
        if not special:
            names = os.listdir(fd)  # type: List[Any]
            names.sort()
            try:
                return names, "\0".join(names).encode("ascii")
            except UnicodeEncodeError:
                pass
        names = opening.listing(fd)
        if special:
            names = [n for n in names if n not in special or self._seen(frames.join(path, n), point)]
        return names, b"\0".join(names)

    def _note(self, point, path, names, blob):
        # type: (bytes, bytes, List[Any], bytes) -> List[bytes]
        """Keep what is to be kept of the working directory, which is ``path``; its names that are directories."""
        below = []  # type: List[bytes]
        digest, number, odd, count = self.read(point, path, names, blob)
        for name, row in odd:
            if row[0] & 0o170000 == 0o040000:
                below.append(os.fsencode(name))
            elif row[3] > 1:
                self.linked.setdefault((point, row[1], row[2]), []).append(frames.join(path, os.fsencode(name)))
        self.entries += count
        self.directories.setdefault(number, []).append((digest, point, path))
        if self._watcher:
            self._watcher(point, path, blob)
        return below

    def read(self, point, path, names, blob, each=None):
        # type: (bytes, bytes, List[Any], bytes, Any) -> Tuple[bytes, int, List[Tuple[Any, Any]], int]
        """The digest of the working directory, its bucket, (name, row) of all that is no ordinary file, and how many.

        ``each(names, rows)`` hears of some after the other.
        """
        made, odd, count, fresh = stats.opening(point, path), [], 0, self.fresh  # type: Any, List[Any], int, int
        number = made.digest()[0]
        made.update(blob + b"\0\0")
        for at in range(0, len(names), SOME):
            some = names[at : at + SOME]
            try:
                rows = list(map(stats.ROW, map(os.lstat, some)))
            except OSError:
                some, rows = self._one_by_one(some, path)
            if path in self._special:  # how many processes there are is no news of /proc
                points = {frames.basename(one) for one in self._shown if frames.parent(one) == path}
                pairs = zip(some, rows)  # noqa: B905  # strict came with Python 3.10
                rows = [r[:3] + (0,) + r[4:] if os.fsencode(n) in points else r for n, r in pairs]
            made.update(stats.packed(rows))
            count += len(rows)
            # Directories, devices, links; and what is new (mode, links, mtime, ctime: the order is that of stats.py).
            odd += [
                (name, row)
                for name, row in zip(some, rows)  # noqa: B905  # as above
                if row[0] < 0o50000 or row[3] > 1 or row[9] > fresh or row[8] > fresh
            ]
            if each:
                each(some, rows)
        if any(self.is_new(row) for _, row in odd):
            made.update(os.urandom(8))
        return made.digest()[: stats.SIZE], number, odd, count

    def _one_by_one(self, names, path):
        # type: (List[Any], bytes) -> Tuple[List[Any], List[Any]]
        """The names that are there still, and their rows."""
        some, rows = [], []  # type: List[Any], List[Any]
        for name in names:
            try:
                rows.append(stats.ROW(os.lstat(name)))
                some.append(name)
            except OSError as error:
                if error.errno not in opening.GONE:
                    self.tally.not_read(path, error)
        return some, rows

    def is_new(self, row):
        # type: (Any) -> bool
        """Whether it may change and look the same, so that it must never look the same."""
        return bool(row[9] > self.fresh or self.fresh < row[8] < self.fresh + AHEAD)

    def _seen(self, path, point):
        # type: (bytes, bytes) -> bool
        """Whether a name is in the tree."""
        if path in self._skip:
            return False
        hanging = path in self._hanging and not self.views[point]
        if path in self._replaced or hanging:
            self.reached.add(path)
        if hanging:
            self.tally.covered.add(path)
        return not hanging and path not in self._replaced

    def _goes_into(self, path, point):
        # type: (bytes, bytes) -> bool
        self._met.add(path)
        if path not in self._shown:
            return True
        self.reached.add(path)
        if not self.views[point]:
            self.tally.covered.add(path)
        return bool(self.views[point])
