"""What a look covered and what it did not, counted, each with its reason."""

from typing import Dict, Set, Union


class Tally(object):
    """What the walk covered: counts, paths not read or looked beneath, mounts left out, and reasons with counts."""

    def __init__(self):
        # type: () -> None
        self.entries = 0
        self.bytes_hashed = 0
        self.links = 0  # paths that are hard links of one another
        self.unreadable = set()  # type: Set[bytes]
        self.covered = set()  # type: Set[bytes]
        self.mounted = set()  # type: Set[bytes]
        self.reasons = {}  # type: Dict[str, int]

    def count(self, reason, number=1):
        # type: (str, int) -> None
        if number:
            self.reasons[reason] = self.reasons.get(reason, 0) + number

    def not_read(self, path, why):
        # type: (bytes, Union[str, OSError]) -> None
        """Count ``path`` once, with the first reason that it was found unreadable for."""
        if path not in self.unreadable:
            self.unreadable.add(path)
            self.count("unreadable: %s" % (why.strerror if isinstance(why, OSError) else why))
