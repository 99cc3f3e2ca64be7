"""Names that two file systems have at one path: which of them programs see. tree.py's rules, on names alone."""

from typing import Dict, Iterable, List, Set, Tuple

from driftd.probe import frames
from driftd.probe.places import Places


class Overlap(object):
    """Takes directories in the order of the walk; after ``close``, ``hidden`` are the names that do not count.

    ``told`` then has what lies beneath mounts and what came of it: where that changes, only a full look tells what
    programs see now.
    """

    def __init__(self, places):
        # type: (Places) -> None
        self._places = places
        self._beneath = {}  # type: Dict[bytes, Tuple[bytes, bool]]  # path: its file system, is it a directory?
        self._overlaid = {}  # type: Dict[bytes, bool]
        self.hidden = set()  # type: Set[Tuple[bytes, bytes]]  # file system, path
        self.told = []  # type: List[List[bytes]]

    def add(self, point, path, names):
        # type: (bytes, bytes, Iterable[Tuple[bytes, bool]]) -> None
        """What directory ``path`` on the file system at ``point`` holds: names, and whether they are directories."""
        beneath = self._places.is_beneath(path, point)
        for name, is_directory in names:
            at = frames.join(path, name)
            if at in self._beneath:
                self.hidden.add((self._beneath.pop(at)[0], at))
                if not beneath:
                    self._overlaid[at] = is_directory
            if beneath:
                self._beneath[at] = point, is_directory

    def close(self, reached):
        # type: (Iterable[bytes]) -> None
        """Nothing more comes; ``reached`` are the mount points that were met."""
        kept = set(reached)
        for path in sorted(self._beneath):
            point, is_directory = self._beneath[path]
            directory = frames.parent(path)
            if directory in kept or self._overlaid.get(directory):
                self.told.append([path, point])
                if is_directory:
                    kept.add(path)
            else:
                self.hidden.add((point, path))
        self.told += [[path, point, b""] for point, path in sorted(self.hidden)]
