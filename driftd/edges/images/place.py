"""What the probe's collectors read of an image: files by their paths, in a tree that is in memory.

The same questions and the same errors as probe/inside.py has for a directory, so that the same collectors find the same
facts, and the same answers as probe/asks.py gives on an instance.
"""

from __future__ import annotations

import errno
import os
from typing import Protocol

from driftd.edges.images import tree
from driftd.edges.images.tree import Inode
from driftd.probe import asks, inside, wire


class Contents(Protocol):
    """Where the contents of an image's files are."""

    def open(self, inode: Inode) -> int:
        """A descriptor of the content of a regular file, at its beginning. Raises OSError and ImageError."""
        ...


class Place(inside.Root):
    """The root of an image's tree."""

    def __init__(self, root: Inode, contents: Contents) -> None:  # the root above it opens a directory
        self._root = root
        self._contents = contents

    def close(self) -> None:
        """Nothing is held."""

    def open(self, path: bytes) -> int:
        return self.open_inode(tree.find(self._root, path)[1])

    def open_inode(self, inode: Inode) -> int:
        """A descriptor of a file's content. Raises OSError for anything but a regular file."""
        if inode.kind == wire.DIRECTORY:
            raise tree.fault(errno.EISDIR)
        if inode.kind != wire.FILE:
            raise OSError(errno.EINVAL, "not a regular file")
        return self._contents.open(inode)

    def open_itself(self, path: bytes) -> int:
        """A descriptor of the content of the regular file at ``path``; a link anywhere on the way is an error."""
        at = self._root
        for part in path.split(b"/"):
            if part:
                if at.kind != wire.DIRECTORY or part == b"..":
                    raise tree.fault(errno.ENOTDIR)
                found = at.children.get(part)
                if found is None:
                    raise tree.fault(errno.ENOENT)
                at = found
        return self.open_inode(at)

    def status(self, path: bytes) -> os.stat_result:
        return tree.find(self._root, path)[1].status()

    def link(self, path: bytes) -> bytes | None:
        found = tree.find(self._root, path, last=False)[1]
        return found.target if found.kind == wire.LINK else None

    def directory(self, path: bytes) -> inside.Directory:
        found = tree.find(self._root, path)[1]
        if found.kind != wire.DIRECTORY:
            raise tree.fault(errno.ENOTDIR)
        return _Directory(self, path, found)


class _Directory(inside.Directory):
    """A directory of an image's tree."""

    def __init__(self, place: Place, path: bytes, inode: Inode) -> None:
        self.path = path.rstrip(b"/")
        self.ident = (0, id(inode))
        self._place = place
        self._inode = inode

    def close(self) -> None:
        """Nothing is held."""

    def names(self, limit: int = inside.NAMES_LIMIT) -> list[bytes]:
        if len(self._inode.children) > limit:
            raise OSError(errno.E2BIG, f"more than {limit} names")
        return sorted(self._inode.children)

    def _child(self, name: bytes) -> Inode:
        found = self._inode.children.get(name)
        if found is None:
            raise tree.fault(errno.ENOENT)
        return found

    def status(self, name: bytes) -> os.stat_result:
        return self._child(name).status()

    def link(self, name: bytes) -> bytes | None:
        found = self._child(name)
        return found.target if found.kind == wire.LINK else None

    def read(self, name: bytes, limit: int) -> bytes:
        found = self._child(name)
        if found.kind == wire.LINK:
            return self._place.read(self.path + b"/" + name, limit)
        return inside.whole(self._place.open_inode(found), limit)


class ImageAnswerer(asks.Answerer):
    """Answers what is asked of single files of an image."""

    def __init__(self, place: Place) -> None:
        super().__init__(b"")
        self._place = place

    def open(self, path: bytes) -> int:
        return self._place.open_itself(path)
