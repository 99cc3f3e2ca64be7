"""The tree of an answer as it arrives, block by block; what is as in the image is compared as bytes, never parsed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from driftd.core import merkle
from driftd.core.framing import printable
from driftd.core.interned import HEAD, Alike, Apart, Interned, rows
from driftd.probe import wire
from driftd.probe.wire import Entry, WireError


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an instance may send: entries, bytes after inflating (paths counted in full), rows of facts."""

    entries: int = 5_000_000
    bytes: int = 4 * 1024**3
    rows: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Arrived:
    """A whole tree: its entries by their paths, its root, and how it differs from the image's, if there was one."""

    entries: tuple[Entry, ...]
    root: bytes
    apart: Apart | None = None


class Arriving:
    """Takes blocks and hard links; ``arrived`` says what tree they are. Raises ``WireError`` for what is none.

    ``image`` is what to hold them against.
    """

    def __init__(self, limits: Limits, image: Interned | None = None) -> None:
        self.links: dict[bytes, bytes] = {}
        self.entries = 0  # that came so far
        self._limits = limits
        self._image = image
        self._parsed: dict[bytes, list[Entry]] = {}  # by directory, what is not, or not yet, as in the image
        self._alike: dict[bytes, int] = {}  # by directory: how many bytes of its rows are as in the image so far
        self._spent = 0
        self._met: list[tuple[bytes, int, int]] = []  # of the frame that is taken: what of a directory is alike
        self._strange = False  # whether something of it is not

    def spend(self, count: int) -> None:
        """Count bytes that came, of whatever frame."""
        self._spent += count
        if self._spent > self._limits.bytes:
            raise WireError(f"more than {self._limits.bytes} bytes")

    def frame(self, payload: bytes, split: Callable[[bytes], Iterable[bytes]]) -> None:
        """Take a frame, which ``split`` makes blocks of. One that came before, all as in the image, is not inflated."""
        image = self._image
        if image is None:
            self._take(split(payload))
            return
        digest = hashlib.sha256(payload).digest()
        known = image.alike(digest)
        if known is not None and self._again(known):
            return
        spent, entries, self._met, self._strange = self._spent, self.entries, [], False
        self._take(split(payload))
        if not self._strange:
            found: dict[bytes, tuple[bytes, int, int]] = {}
            for directory, begin, end in self._met:
                found[directory] = directory, found[directory][1] if directory in found else begin, end
            image.keep(digest, Alike((*found.values(),), self._spent - spent, self.entries - entries))

    def _again(self, known: Alike) -> bool:
        """Take what came before; False where it does not follow on what came until now."""
        alike, parsed = self._alike, self._parsed
        if any(alike.get(directory, 0) != begin or directory in parsed for directory, begin, _ in known.rows):
            return False
        self.spend(known.spent)
        self._count(known.entries)
        alike.update((directory, end) for directory, _, end in known.rows)
        return True

    def _count(self, entries: int) -> None:
        self.entries += entries
        if self.entries > self._limits.entries:
            raise WireError(f"more than {self._limits.entries} entries")

    def _take(self, blocks: Iterable[bytes]) -> None:
        known = self._image.whole if self._image else {}
        for block in blocks:
            directory, count = known.get(block, (b"", 0))
            if count and count <= wire.BLOCK_ENTRIES and directory not in self._alike and directory not in self._parsed:
                self._alike[directory] = size = len(block) - len(directory) - HEAD
                self._met.append((directory, 0, size))
            else:
                directory, count = self._part(block)
            self.spend(len(block) + count * len(directory))
            self._count(count)

    def _part(self, block: bytes) -> tuple[bytes, int]:
        """Take what is no whole directory of the image."""
        directory, count, those = rows(block)
        if not count:  # they would cost time and no bytes
            raise WireError("a block without entries")
        if count > wire.BLOCK_ENTRIES or not self._as_baked(directory, count, those):
            directory, entries = wire.decode_block(block)
            self._parsed.setdefault(directory, []).extend(entries)
            self._strange = True
        return directory, count

    def _as_baked(self, directory: bytes, count: int, those: bytes) -> bool:
        """Whether these are the next rows that the image has of this directory."""
        if self._image is None or directory in self._parsed:
            return False
        begun = self._alike.get(directory, 0)
        if not self._image.rows(directory).startswith(those, begun):
            return False
        upto = self._image.upto(directory, begun + len(those))
        if upto is None or upto - (self._image.upto(directory, begun) or 0) != count:
            return False
        self._alike[directory] = begun + len(those)
        self._met.append((directory, begun, begun + len(those)))
        return True

    def link(self, groups: object) -> None:
        """Take groups of hard links: the smallest path first, and again first in each piece that a group comes in."""
        if not isinstance(groups, list):
            raise WireError("the hard links are no list")
        for group in groups:
            if not isinstance(group, list) or len(group) < 2:
                raise WireError("a group of hard links is none")
            first, *others = map(path_of, group)
            if self.links.setdefault(first, first) != first:
                raise WireError("a path is in two groups of hard links")
            last = first
            for path in others:
                if path <= last or path in self.links:
                    raise WireError("a path stands twice in the hard links, or in a wrong place")
                self.links[path], last = first, path
            if len(self.links) > self._limits.entries:
                raise WireError("more hard links than entries may be")

    def arrived(self) -> Arrived:
        """The whole tree, once no more of it will come."""
        try:
            return self._whole() if self._image is None else self._against(self._image)
        except ValueError as error:
            raise WireError(printable(str(error))[:500]) from None

    def _whole(self) -> Arrived:
        entries = sorted((one for those in self._parsed.values() for one in those), key=lambda one: one.path)
        left = dict(self.links)
        entries = [self._linked(one, left.pop(one.path, b"")) for one in entries]
        if left:
            raise WireError("hard links are of paths that did not come")
        made = tuple(entries)
        return Arrived(made, merkle.root(made))

    def _against(self, image: Interned) -> Arrived:
        changes: dict[bytes, Entry | None] = {}
        unlike = {directory for directory, _ in image.sizes.items() - self._alike.items()}
        for directory in unlike | self._parsed.keys():
            now = self._came(image, directory)
            for was in image.held(directory):
                if now.get(was.path) != was:
                    changes[was.path] = now.pop(was.path, None)
                else:
                    del now[was.path]
            changes.update(now)
        for path in {*self.links, *image.links}:
            found = changes[path] if path in changes else image.at(path)
            if found is None and path in self.links:
                raise WireError("hard links are of paths that did not come")
            if found is not None and found.same != self.links.get(path, b""):
                changes[path] = self._linked(found, self.links.get(path, b""))
        entries, root = image.changed(changes)
        return Arrived(entries, root, Apart(image.entries, changes))

    def _came(self, image: Interned, directory: bytes) -> dict[bytes, Entry]:
        """What came of a directory that is not, or not wholly, as in the image; hard links not told yet."""
        found: dict[bytes, Entry] = {}
        alike = image.upto(directory, self._alike.get(directory, 0)) or 0
        for one in (*image.held(directory)[:alike], *self._parsed.get(directory, ())):
            if one.path in found:
                raise ValueError(f"{one.path!r} stands twice")
            found[one.path] = one._replace(same=self.links.get(one.path, b""))
        return found

    def _linked(self, entry: Entry, same: bytes) -> Entry:
        if same == entry.same:
            return entry
        if same and entry.kind == wire.DIRECTORY:
            raise WireError("a directory has hard links")
        return entry._replace(same=same)


def path_of(value: object) -> bytes:
    """A path that came. Raises ``WireError`` for anything else."""
    if not isinstance(value, bytes) or not value.startswith(b"/") or len(value) > 2 * wire.PATH_LIMIT:
        raise WireError("a path is not one, or too long")
    return value
