"""The closed world: everything below a root, on every local and persistent file system, as one tree.

Below "/" each file system is looked at through a private view of its own (mounts.py), which also shows what other
mounts hide. Where something is mounted, the tree then holds

* for the mount point itself what is beneath: the directory that was there before;
* for what is below it the mounted file system (if it is one to look at) and, of what is beneath, every name that the
  mounted one does not have too. Names that both have are reported as programs see them, and counted as hidden.

Without a view (no right, no tools) what is beneath a mount is reported as covered, and a mount point whose server may
never answer is not even described. A root elsewhere (a directory that
holds a server's tree) is walked as it is, and whatever is mounted in it counts as covered.
"""

import os
import stat
from typing import Dict, Iterable, Iterator, List, Set, Type

from driftd.probe import fullwalk, mounts, walk, wire
from driftd.probe.tally import Tally

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def scan(root, tally, skip=(), file_limit=walk.FILE_LIMIT, walker=fullwalk.FullWalker):
    # type: (bytes, Tally, Iterable[bytes], int, Type[walk.Walker]) -> Iterator[walk.Batch]
    """Batches (directory, entries) of the whole tree; a directory's own entry always comes before what it holds.

    ``skip`` are paths, as the instance calls them, to leave out; ``walker`` makes the entries. Raises OSError when the
    root cannot be opened, or when /proc does not tell what is mounted.
    """
    if root == b"/":
        return _Live(tally, skip, file_limit, walker).scan()
    return _elsewhere(root, tally, skip, file_limit, walker)


def _elsewhere(root, tally, skip, file_limit, walker):
    # type: (bytes, Tally, Iterable[bytes], int, Type[walk.Walker]) -> Iterator[walk.Batch]
    real = os.path.realpath(root)
    shown, _ = mounts.read()
    below = {point[len(real.rstrip(b"/")) :]: kind for point, kind in shown.items() if mounts.is_below(point, real)}
    hanging = [point for point, kind in below.items() if mounts.may_hang(kind)]
    walks = walker(tally, skip, below, hanging=hanging, file_limit=file_limit)
    return walks.walk(walk.open_quietly(real, os.O_DIRECTORY), b"/", stop=True)


class _Live(object):
    """The tree of the machine that this runs on."""

    def __init__(self, tally, skip, file_limit, walker):
        # type: (Tally, Iterable[bytes], int, Type[walk.Walker]) -> None
        self._tally = tally
        self._shown, hidden = mounts.read()
        tally.count("skipped: mount covered by another mount", hidden)
        self._walked = []  # type: List[bytes]
        hanging = [point for point, kind in self._shown.items() if point != b"/" and mounts.may_hang(kind)]
        for point, kind in sorted(self._shown.items()):
            if any(mounts.is_below(point, above) for above in hanging):
                tally.count("skipped: mount below one whose server may not answer")
                tally.mounted.add(point)
            elif point != b"/" and kind not in mounts.PERSISTENT:
                tally.count("skipped: %s file system" % kind.decode("ascii", "backslashreplace"))
                tally.mounted.add(point)
            elif point != b"/":
                self._walked.append(point)
        points = {point for point in self._shown if point != b"/"}
        replaced = {point for point in self._walked if not _is_directory(point)}
        self._walker = walker(tally, skip, points, replaced, hanging, file_limit)
        # Points with a walked mount on them or below: there two file systems may have the same name.
        self._shared = {p for p in points if any(p == w or mounts.is_below(w, p) for w in self._walked)}
        self._beneath = {}  # type: Dict[bytes, wire.Entry]
        self._overlaid = {}  # type: Dict[bytes, bool]  # path beneath that the mounted tree has too: is it a directory?

    def scan(self):
        # type: () -> Iterator[walk.Batch]
        for batch in self._file_system(b"/"):
            yield batch
        for point in self._walked:
            for batch in self._mounted(point):
                yield batch
        for batch in self._left_beneath():
            yield batch

    def _mounted(self, point):
        # type: (bytes) -> Iterator[walk.Batch]
        reached = self._walker.reached
        if point in self._walker.replaced:
            if point in reached:
                for batch in self._seen_from_above(point):
                    yield batch
            return
        missing = []  # type: List[bytes]
        at = point
        while at != b"/" and at not in reached:
            missing.append(at)
            at = wire.parent(at)
        if at == b"/":
            self._tally.count("skipped: mount that could not be reached")
            return
        # The way to it leads through a file system that is not looked at (a disk mounted below /run, a tmpfs).
        for path in reversed(missing):
            beneath = self._beneath.get(path)
            if beneath is None or beneath.kind != wire.DIRECTORY:
                for batch in self._seen_from_above(path):
                    yield batch
        reached.add(point)
        for batch in self._file_system(point):
            yield batch

    def _seen_from_above(self, path):
        # type: (bytes) -> Iterator[walk.Batch]
        """The one entry at ``path`` as programs see it."""
        fd = os.open(wire.parent(path), _DIRECTORY)
        try:
            entry = self._walker.entry(fd, wire.basename(path), path)
        finally:
            os.close(fd)
        if entry is not None:
            if entry.same:
                entry = entry._replace(same=b"")  # its hard links are on a file system that this walk does not see
            self._lay_over([entry])
            yield wire.parent(path), [entry]

    def _file_system(self, point):
        # type: (bytes) -> Iterator[walk.Batch]
        try:
            fd, private = mounts.private_view(point), True
        except mounts.NoViewError as reason:
            self._tally.count("seen without a private view, so that atimes may move: %s" % reason)
            private = False
            try:
                fd = walk.open_quietly(point, os.O_DIRECTORY)
            except OSError as error:
                self._tally.not_read(point, error)
                return
        hides = any(mounts.is_below(path, point) for path in self._beneath)
        self._walker.apart = lambda path: hides or self._is_beneath(path, point)
        for directory, entries in self._walker.walk(fd, point, not private):
            if self._is_beneath(directory, point):
                self._bury(entries)
            else:
                self._lay_over(entries)
                yield directory, entries

    def _is_beneath(self, directory, base):
        # type: (bytes, bytes) -> bool
        return any(
            mounts.is_below(shared, base) and (directory == shared or mounts.is_below(directory, shared))
            for shared in self._shared
        )

    def _bury(self, entries):
        # type: (List[wire.Entry]) -> None
        """Keep entries from beneath until the file systems above are known; they hide those further below."""
        for entry in entries:
            if entry.path in self._beneath:
                self._hide()
            self._beneath[entry.path] = entry

    def _hide(self):
        # type: () -> None
        self._tally.count("hidden: beneath a mount, by a name on it")
        self._tally.entries -= 1

    def _lay_over(self, entries):
        # type: (List[wire.Entry]) -> None
        if not self._beneath:
            return
        for entry in entries:
            if self._beneath.pop(entry.path, None) is not None:
                self._overlaid[entry.path] = entry.kind == wire.DIRECTORY
                self._hide()

    def _over(self, path):
        # type: (bytes) -> List[bytes]
        """The mounted file system that has no such name, so that programs do not see what is beneath."""
        return [point for point in self._walked if mounts.is_below(path, point)][-1:]

    def _left_beneath(self):
        # type: () -> Iterator[walk.Batch]
        kept = set(self._walker.reached)
        blocks = {}  # type: Dict[bytes, List[wire.Entry]]
        for path in sorted(self._beneath):
            directory = wire.parent(path)
            if directory in kept or self._overlaid.get(directory):
                self._tally.mounted.update(self._over(path))
                blocks.setdefault(directory, []).append(self._beneath[path])
                if self._beneath[path].kind == wire.DIRECTORY:
                    kept.add(path)
            else:
                self._hide()
        for directory in sorted(blocks):
            entries = blocks[directory]
            for at in range(0, len(entries), 1024):
                yield directory, entries[at : at + 1024]


def _is_directory(path):
    # type: (bytes) -> bool
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return True  # not to be reached; it is counted when its turn comes
