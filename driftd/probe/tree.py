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
from typing import Dict, Iterable, Iterator, List, Type

from driftd.probe import fullwalk, mounts, opening, places, walk, wire
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
    real, below, hanging = places.elsewhere(root)
    walks = walker(tally, skip, below, hanging=hanging, file_limit=file_limit)
    return walks.walk(opening.open_quietly(real, os.O_DIRECTORY), b"/", stop=True)


class _Live(object):
    """The tree of the machine that this runs on."""

    def __init__(self, tally, skip, file_limit, walker):
        # type: (Tally, Iterable[bytes], int, Type[walk.Walker]) -> None
        self._tally = tally
        self._places = places.Places(tally)
        points, replaced = self._places.points, self._places.replaced
        self._walker = walker(tally, skip, points, replaced, self._places.hanging, file_limit)
        self._beneath = {}  # type: Dict[bytes, wire.Entry]
        self._overlaid = {}  # type: Dict[bytes, bool]  # path beneath that the mounted tree has too: is it a directory?

    def scan(self):
        # type: () -> Iterator[walk.Batch]
        for batch in self._file_system(b"/"):
            yield batch
        for point in self._places.walked:
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
        way = self._places.way(point, reached, self._is_directory_beneath)
        if way is None:
            return
        for path in way:
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
                fd = opening.open_quietly(point, os.O_DIRECTORY)
            except OSError as error:
                self._tally.not_read(point, error)
                return
        hides = any(mounts.is_below(path, point) for path in self._beneath)
        self._walker.apart = lambda path: hides or self._places.is_beneath(path, point)
        for directory, entries in self._walker.walk(fd, point, not private):
            if self._places.is_beneath(directory, point):
                self._bury(entries)
            else:
                self._lay_over(entries)
                yield directory, entries

    def _is_directory_beneath(self, path):
        # type: (bytes) -> bool
        return path in self._beneath and self._beneath[path].kind == wire.DIRECTORY

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
        return [point for point in self._places.walked if mounts.is_below(path, point)][-1:]

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
