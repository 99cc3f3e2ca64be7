"""The walk that stats and opens nothing but directories: the same tree as the content's, in a fraction of the time."""

import os
import stat
from typing import Iterable, Iterator, Optional, Tuple

from driftd.probe import stats, tree, walk, wire
from driftd.probe.tally import Tally


class Stat(wire.Entry):
    """An entry of which only the stat is known; ``row`` is that as the stat tree has it."""

    row = b""


class StatWalker(walk.Walker):
    """Yields Stats: no file is opened, no link read, no attribute listed."""

    def top(self, fd):
        # type: (int) -> wire.Entry
        return self._stat(b"/", b"/", os.fstat(fd))

    def entry(self, dir_fd, name, path):
        # type: (int, bytes, bytes) -> Optional[wire.Entry]
        """See ``Walker.entry``."""
        found = self.stat(dir_fd, name, path)
        return None if found is None else self._stat(name, path, found)

    def _stat(self, name, path, found):
        # type: (bytes, bytes, os.stat_result) -> Stat
        self.tally.entries += 1
        kind, mode = walk.KINDS[stat.S_IFMT(found.st_mode)], stat.S_IMODE(found.st_mode)
        rdev = (os.major(found.st_rdev), os.minor(found.st_rdev)) if found.st_rdev else (0, 0)
        inode = stats.Inode(
            kind, mode, found.st_uid, found.st_gid, found.st_size, *rdev,
            found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_nlink,
        )  # fmt: skip
        made = Stat(path, *inode[:5], b"", b"", rdev, ())
        made.row = stats.row(name, inode)
        return made


def directories(root, tally, skip=()):
    # type: (bytes, Tally, Iterable[bytes]) -> Iterator[Tuple[bytes, bytes]]
    """(digest, path) of every directory of the tree; of every part of one that is seen in parts (below mounts)."""
    here = None  # type: Optional[stats.Directory]
    for path, entries in tree.scan(root, tally, skip, walker=StatWalker):
        if here is None or path != here.path:
            if here is not None:
                yield here.digest(), here.path
            here = stats.Directory(path)
        here.add(entry.row for entry in entries if isinstance(entry, Stat))
    if here is not None:
        yield here.digest(), here.path
