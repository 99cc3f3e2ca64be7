"""Which file systems belong to the tree, and where the walk has to mind that something is mounted."""

import os
import stat
from typing import Callable, Dict, List, Optional, Set, Tuple

from driftd.probe import frames, mounts
from driftd.probe.tally import Tally


class Places(object):
    """The machine that this runs on: what is mounted where, decided before anything is walked.

    ``shown`` are the mounts that a path leads to, as point to kind. ``walked`` are those below "/" to look at, rising;
    ``points`` all below "/"; ``replaced`` files that another is mounted over; ``hanging`` points whose server may never
    answer; ``shared`` points with a walked mount on them or below: there two file systems may have the same name.
    Raises OSError when /proc does not tell what is mounted.
    """

    def __init__(self, tally):
        # type: (Tally) -> None
        self._tally = tally
        self.shown, hidden = mounts.read()
        tally.count("skipped: mount covered by another mount", hidden)
        self.walked = []  # type: List[bytes]
        self.hanging = [point for point, kind in self.shown.items() if point != b"/" and mounts.may_hang(kind)]
        for point, kind in sorted(self.shown.items()):
            if any(mounts.is_below(point, above) for above in self.hanging):
                tally.count("skipped: mount below one whose server may not answer")
                tally.mounted.add(point)
            elif point != b"/" and kind not in mounts.PERSISTENT:
                tally.count("skipped: %s file system" % kind.decode("ascii", "backslashreplace"))
                tally.mounted.add(point)
            elif point != b"/":
                self.walked.append(point)
        self.points = {point for point in self.shown if point != b"/"}
        self.replaced = {point for point in self.walked if not _is_directory(point)}
        self.shared = {p for p in self.points if any(p == w or mounts.is_below(w, p) for w in self.walked)}

    def is_beneath(self, directory, base):
        # type: (bytes, bytes) -> bool
        """Whether a directory of the file system at ``base`` lies where another one is mounted."""
        return any(
            mounts.is_below(shared, base) and (directory == shared or mounts.is_below(directory, shared))
            for shared in self.shared
        )

    def way(self, point, reached, is_directory):
        # type: (bytes, Set[bytes], Callable[[bytes], bool]) -> Optional[List[bytes]]
        """The paths to be seen from above before the file system at ``point``; None where it cannot be reached.

        The way to it may lead through one that is not looked at (a disk mounted below /run, a tmpfs).
        ``is_directory`` says of a path whether such was met beneath.
        """
        missing = []  # type: List[bytes]
        at = point
        while at != b"/" and at not in reached:
            missing.append(at)
            at = frames.parent(at)
        if at == b"/":
            self._tally.count("skipped: mount that could not be reached")
            return None
        return [path for path in reversed(missing) if not is_directory(path)]


def elsewhere(root):
    # type: (bytes) -> Tuple[bytes, Dict[bytes, bytes], List[bytes]]
    """Of a directory that holds a server's tree: its real path, what is mounted below it, and of that what may hang."""
    real = os.path.realpath(root)
    shown, _ = mounts.read()
    below = {point[len(real.rstrip(b"/")) :]: kind for point, kind in shown.items() if mounts.is_below(point, real)}
    return real, below, [point for point, kind in below.items() if mounts.may_hang(kind)]


def _is_directory(path):
    # type: (bytes) -> bool
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return True  # not to be reached; it is counted when its turn comes
