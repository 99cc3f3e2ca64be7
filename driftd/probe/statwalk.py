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
AHEAD = 3600 * 10**9  # ns; a time that lies further ahead was set by somebody, and says nothing of when


class Walk(object):
    """One walk. ``root`` and ``skip`` as a look has them; ``settled`` seconds make a change sure to be seen the next time.

    ``watcher(file system, path, names)``, if there is one, hears of each directory. Afterwards ``directories`` are,
    for each bucket, (digest, file system, path); ``views`` says of each file system whether it was seen privately;
    ``linked`` has the paths of all that has several links by (file system, inode, device); ``around`` is the digest of
    all that decides what a full look shows and is no directory of the walk. Raises OSError where the root is not there.
    """

    def __init__(self, root, skip=(), settled=SETTLED, watcher=None):
        # type: (bytes, Iterable[bytes], int, Any) -> None
        self.tally = Tally()
        self._watcher = watcher
        self._fresh = int((time.time() - settled) * 1e9)
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
            for path in self.places.walked:
                while path != b"/":
                    way.add(path)
                    path = frames.parent(path)
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
        for point in self.places.walked if self.places else ():
            if point in self._replaced:
                if point in self.reached:
                    self._from_above(point)
                continue
            way = self.places and self.places.way(point, self.reached, self._met.__contains__)
            if way is not None:
                for path in way:
                    self._from_above(path)
                self.reached.add(point)
                self._file_system(point)

    def _from_above(self, path):
        # type: (bytes) -> None
        """The one name at ``path`` as programs see it: a directory of its own, at (path, the directory above)."""
        directory = frames.parent(path)
        os.chdir(directory)
        self._rows(path, directory, [frames.basename(path)])

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
                self._rows(point, b"", [b"/"], b".")
            todo = [point]
            while todo:
                path = todo.pop()
                if len(path) > frames.PATH_LIMIT:
                    self.tally.not_read(path, "path longer than %d bytes" % frames.PATH_LIMIT)
                    continue
                try:
                    fd = ways.to(path)
                    names = self.listing(fd, point, path)
                    if names:
                        os.fchdir(fd)
                except OSError as error:
                    if error.errno not in opening.GONE:
                        self.tally.not_read(path, "changed while read" if error.errno in opening.EXCHANGED else error)
                    continue
                below = self._rows(point, path, names)
                above, special = path.rstrip(b"/") + b"/", self._special.get(path)
                if special:
                    below = [name for name in below if name not in special or self._goes_into(above + name, point)]
                todo += [above + name for name in reversed(below)]

    def listing(self, fd, point, path):
        # type: (int, bytes, bytes) -> List[bytes]
        """The names of directory ``path`` that are in the tree. Raises OSError."""
        names, special = opening.listing(fd), self._special.get(path)
        return [n for n in names if n not in special or self._seen(frames.join(path, n), point)] if special else names

    def _rows(self, point, path, names, name_of_root=b""):
        # type: (bytes, bytes, List[bytes], bytes) -> List[bytes]
        """Note the ``names`` in the working directory, which is ``path``; those that are directories."""
        made, rows, below = stats.opening(point, path), [], []  # type: Any, List[bytes], List[bytes]
        lstat, pack, add, fresh, ahead = os.lstat, stats.PACK, rows.append, self._fresh, self._fresh + AHEAD
        for name in names:
            try:
                found = lstat(name_of_root or name)
            except OSError as error:
                if error.errno not in opening.GONE:
                    self.tally.not_read(path, error)
                if error.errno in opening.NOT_PERMITTED:
                    break
                continue
            first = found[:7]
            mtime, ctime = found.st_mtime_ns, found.st_ctime_ns
            word = 0
            if ctime > fresh or fresh < mtime < ahead:
                word = self.word(found)
            try:
                add(name + b"\0" + pack(*first, found.st_rdev, mtime, ctime, word))
            except stats.struct.error:
                add(name + b"\0" + stats.row(found, word))
            if first[0] & 0o170000 == 0o040000:
                below.append(name)
            elif first[3] > 1:
                self.linked.setdefault((point,) + first[1:3], []).append(frames.join(path, name))
        self.entries += len(rows)
        number = made.digest()[0]
        made.update(b"".join(rows))
        self.directories.setdefault(number, []).append((made.digest()[: stats.SIZE], point, path))
        if self._watcher:
            self._watcher(point, path, names)
        return below

    def word(self, found):
        # type: (os.stat_result) -> int
        """0 where another state of the file would look otherwise; else a random number, so that it never looks the same."""
        if found.st_ctime_ns > self._fresh or self._fresh < found.st_mtime_ns < self._fresh + AHEAD:
            return int.from_bytes(os.urandom(8), "big") | 1
        return 0

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
