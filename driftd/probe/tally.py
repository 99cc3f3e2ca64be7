"""What a look covered and what it did not, counted, each with its reason."""

from typing import Any, Dict, List, Set, Tuple, Union

_UNREADABLE = "unreadable: "


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
        self._failed = []  # type: List[Tuple[bytes, str]]  # what is unreadable, and why

    def count(self, reason, number=1):
        # type: (str, int) -> None
        if number:
            self.reasons[reason] = self.reasons.get(reason, 0) + number

    def not_read(self, path, why):
        # type: (bytes, Union[str, OSError]) -> None
        """Count ``path`` once, with the first reason that it was found unreadable for."""
        if path not in self.unreadable:
            said = str(why.strerror if isinstance(why, OSError) else why)
            self.unreadable.add(path)
            self._failed.append((path, said))
            self.count(_UNREADABLE + said)

    def take(self):
        # type: () -> Tuple[Any, ...]
        """All of it but ``links``, for ``add`` in another process; counting begins anew."""
        reasons = {reason: n for reason, n in self.reasons.items() if not reason.startswith(_UNREADABLE)}
        taken = self.entries, self.bytes_hashed, self._failed, list(self.covered), list(self.mounted), reasons
        self.__init__()  # type: ignore[misc]  # whoever holds it goes on with it
        return taken

    def add(self, taken):
        # type: (Tuple[Any, ...]) -> None
        """What another one has taken; what is unreadable for both counts once."""
        entries, hashed, failed, covered, mounted, reasons = taken
        self.entries += entries
        self.bytes_hashed += hashed
        for path, why in failed:
            self.not_read(path, why)
        self.covered.update(covered)
        self.mounted.update(mounted)
        for reason in reasons:
            self.count(reason, reasons[reason])
