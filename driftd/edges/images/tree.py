"""The tree that an instance of an image would have, in memory: inodes and the names that lead to them.

No name in it is ever used on this machine, so nothing in an image can lead out of it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from driftd.probe import wire
from driftd.probe.walk import BATCH_BYTES, KINDS
from driftd.probe.wire import Entry

LINK_LIMIT = 40  # as Linux and the probe have it
_MODES = {kind: mode for mode, kind in KINDS.items()}


class Inode:
    """One inode. ``children`` are a directory's; ``linked`` is true once it has had a second name.

    ``where`` tells the reader that made it how to get at a file's content.
    """

    __slots__ = (
        "children", "flags", "gid", "kind", "linked", "mode", "rdev", "sha256", "size", "target", "uid", "where",
        "xattrs",
    )  # fmt: skip

    def __init__(self, kind: bytes, mode: int, uid: int = 0, gid: int = 0) -> None:
        self.kind = kind
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.size = 0
        self.sha256 = b""
        self.target = b""
        self.rdev = (0, 0)
        self.xattrs: tuple[tuple[bytes, bytes], ...] = ()
        self.flags = 0
        self.linked = False
        self.where: tuple[int, ...] = ()
        self.children: dict[bytes, Inode] = {}

    def entry(self, path: bytes) -> Entry:
        """As the probe tells it; what has had several names has a token of its inode in ``same`` (probe/links.py)."""
        same = b"%d" % id(self) if self.linked else b""
        return Entry(
            path, self.kind, self.mode, self.uid, self.gid, self.size, self.sha256,
            self.target, self.rdev, self.xattrs, self.flags, same,
        )  # fmt: skip

    def status(self) -> os.stat_result:
        """What stat(2) would say; times and counts, which no collector looks at, are 0."""
        mode = _MODES[self.kind] | self.mode
        return os.stat_result((mode, id(self), 0, 1, self.uid, self.gid, self.size, 0, 0, 0))


def directory() -> Inode:
    """A directory that an image implies and does not describe: as the container engines make it."""
    return Inode(wire.DIRECTORY, 0o755)


def batches(root: Inode) -> Iterator[tuple[bytes, list[Entry]]]:
    """The whole tree in blocks as the probe's walk gives them: a directory's own entry before what it holds."""
    yield b"", [root.entry(b"/")]
    todo = [(b"/", root)]
    while todo:
        path, inode = todo.pop()
        batch: list[Entry] = []
        size = 0
        for name, child in sorted(inode.children.items()):
            entry = child.entry(wire.join(path, name))
            if child.kind == wire.DIRECTORY and child.children:
                todo.append((entry.path, child))
            batch.append(entry)
            size += len(name) + 80 + sum(len(value) + len(key) for key, value in entry.xattrs)
            if size > BATCH_BYTES or len(batch) >= wire.BLOCK_ENTRIES:
                yield path, batch
                batch, size = [], 0
        if batch:
            yield path, batch


def find(root: Inode, path: bytes, *, last: bool = True) -> tuple[list[Inode], Inode]:
    """The directories on the way to ``path`` and what is there; links mean what they would mean on the instance.

    ``last``: a link at the end is followed, too. Raises OSError as open(2) would.
    """
    todo = [part for part in reversed(path.split(b"/")) if part]
    held, links = [root], 0
    while todo:
        part = todo.pop()
        if part == b"..":
            del held[max(1, len(held) - 1) :]
            continue
        if part == b".":
            continue
        child = held[-1].children.get(part)
        if child is None:
            raise fault(errno.ENOENT)
        if child.kind == wire.DIRECTORY:
            held.append(child)
        elif child.kind == wire.LINK and (todo or last):
            links += 1
            if links > LINK_LIMIT:
                raise fault(errno.ELOOP)
            if child.target.startswith(b"/"):
                del held[1:]
            todo.extend(step for step in reversed(child.target.split(b"/")) if step)
        elif todo:
            raise fault(errno.ENOTDIR)
        else:
            return held, child
    return held, held[-1]


def fault(number: int) -> OSError:
    """An OSError with its own words."""
    return OSError(number, os.strerror(number))
