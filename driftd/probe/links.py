"""Which names in a tree are hard links of one file: known only when the whole tree has been seen."""

from typing import Dict, Iterable, Iterator, List, Tuple

from driftd.probe import wire

CHUNK = 512 * 1024  # bytes of paths in one frame


class Links(object):
    """Gathers the entries that have a token of their inode in ``same`` (walk.py); what has none costs nothing."""

    def __init__(self):
        # type: () -> None
        self._names = {}  # type: Dict[bytes, List[bytes]]

    def add(self, entries):
        # type: (Iterable[wire.Entry]) -> None
        self.join((entry.same, entry.path) for entry in entries if entry.same)

    def join(self, names):
        # type: (Iterable[Tuple[bytes, bytes]]) -> None
        """As ``add``, of tokens and paths."""
        for token, path in names:
            self._names.setdefault(token, []).append(path)

    def groups(self):
        # type: () -> List[List[bytes]]
        """Groups of two or more paths, rising. A file whose other links lie outside the tree has none in it."""
        return sorted(sorted(names) for names in self._names.values() if len(names) > 1)


def pieces(groups):
    # type: (Iterable[List[bytes]]) -> Iterator[List[List[bytes]]]
    """The groups for one frame each; a group that goes on in the next piece begins there with its first path again."""
    piece, size = [], 0  # type: List[List[bytes]], int
    for group in groups:
        part = group[:1]
        for path in group[1:]:
            part.append(path)
            size += len(path) + 8
            if size > CHUNK:
                yield piece + [part]
                piece, size, part = [], 0, group[:1]
        size += len(group[0]) + 8
        if len(part) > 1:
            piece.append(part)
    if piece:
        yield piece
