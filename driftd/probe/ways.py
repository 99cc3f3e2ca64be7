"""Opening directories of one file system by their paths, each from the nearest that is still open."""

import os
from typing import Any, List, Tuple

from driftd.probe import opening

HELD = 64  # directories held open


class Ways(object):
    """Takes over ``fd``, which is directory ``base``. Every component is opened without following a link.

    So whatever is moved meanwhile, what is opened lies in the tree, at the path that was asked for.
    """

    def __init__(self, fd, base):
        # type: (int, bytes) -> None
        self._held = [(base.rstrip(b"/"), fd)]  # type: List[Tuple[bytes, int]]

    def __enter__(self):
        # type: () -> Ways
        return self

    def __exit__(self, *_):
        # type: (Any) -> None
        while self._held:
            os.close(self._held.pop()[1])

    def to(self, path):
        # type: (bytes) -> int
        """A descriptor of ``path``, at or below the base, good until the next call. Raises OSError."""
        held, path = self._held, path.rstrip(b"/")
        while len(held) > 1 and path != held[-1][0] and not path.startswith(held[-1][0] + b"/"):
            os.close(held.pop()[1])
        at = len(held[-1][0])
        while at < len(path):
            end = path.find(b"/", at + 1)
            end = len(path) if end < 0 else end
            held.append((path[:end], opening.open_quietly(path[at + 1 : end], os.O_DIRECTORY, held[-1][1])))
            at = end
            if len(held) > HELD:  # each second one is closed: the way back to any is never long
                for _, fd in held[1:-1:2]:
                    os.close(fd)
                del held[1:-1:2]
        return held[-1][1]
