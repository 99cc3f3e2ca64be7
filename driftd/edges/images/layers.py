"""Apply an image's layers to a tree in memory, by the rules of the OCI image specification ("Image Layer Filesystem
Changeset", v1.1).

* `.wh.NAME` hides NAME of the layers below, `.wh..wh..opq` all that they have in its directory; neither hides anything
  of its own layer, wherever in the archive it stands.
* What a layer names replaces what was there, save that a directory on a directory keeps what it holds.
* Directories that are implied and nowhere described are 0755 and root's.
* A link on the way to a name means what it would mean inside the image, as containerd, podman's and umoci's unpacking
  have it, and nothing outside of it can be meant. A hard link needs a file that is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from driftd.edges.images import tree
from driftd.edges.images.errors import ImageError, shown
from driftd.edges.images.tarball import (
    BLOCK_DEVICE,
    CHAR,
    DIRECTORY,
    FIFO,
    FILE,
    HARDLINK,
    SYMLINK,
    Member,
    TarReader,
)
from driftd.edges.images.tree import Inode
from driftd.probe import wire
from driftd.probe.attributes import OVERLAY_OWN

NAME_LIMIT = 255  # bytes of one name, on every Linux file system
MEMBERS_LIMIT = 5_000_000  # of all layers together, as many as an answer may have entries
KEPT_LIMIT = 512 * 1024 * 1024  # bytes of names, targets and attributes of all layers together
_WHITEOUT, _OPAQUE = b".wh.", b".wh..wh..opq"
_KINDS = {
    FILE: wire.FILE,
    SYMLINK: wire.LINK,
    CHAR: wire.CHAR,
    BLOCK_DEVICE: wire.BLOCK,
    DIRECTORY: wire.DIRECTORY,
    FIFO: wire.FIFO,
}

Parts = tuple[bytes, ...]
Taker = Callable[[Parts, Member], Callable[[bytes], object] | None]


@dataclass(slots=True)
class _Change:
    """One member of a layer: a new inode, or another name for the one at ``link``."""

    at: Parts
    inode: Inode | None = None
    link: Parts = ()


@dataclass(slots=True)
class _Changes:
    """What one layer says, in its order."""

    changes: list[_Change] = field(default_factory=list)
    hidden: list[Parts] = field(default_factory=list)
    opaque: list[Parts] = field(default_factory=list)


class Layers:
    """The tree after the layers applied so far. ``root`` is its root directory."""

    def __init__(self) -> None:
        self.root = tree.directory()
        self._members = 0
        self._kept = 0

    def apply(self, number: int, archive: TarReader, taker: Taker) -> None:
        """Read one layer whole, then apply it. Raises ImageError; the tree is then worth nothing.

        ``taker`` may give, for a file, what its content is to be fed to besides the digest. A file's ``where`` is
        ``number`` and the offset of its content in the unpacked layer.
        """
        changes = _Changes()
        for member in archive:
            self._members += 1
            self._kept += len(member.name) + len(member.target) + sum(map(len, member.xattrs.values()))
            if self._members > MEMBERS_LIMIT or self._kept > KEPT_LIMIT:
                raise ImageError(f"its layers name more than is read ({MEMBERS_LIMIT} files, {KEPT_LIMIT >> 20} MiB)")
            self._take(changes, member, number, archive, taker)
        self._hide(changes)
        for change in changes.changes:
            if change.inode is None:
                self._link(change)
            else:
                self._put(change.at, change.inode)

    # --- reading -----------------------------------------------------------------------------------------------------

    def _take(self, changes: _Changes, member: Member, number: int, archive: TarReader, taker: Taker) -> None:
        at = _parts(member.name)
        if at and at[-1].startswith(_WHITEOUT):
            hidden = at[-1][len(_WHITEOUT) :]
            if at[-1] == _OPAQUE:
                changes.opaque.append(at[:-1])
            elif hidden in (b"", b".", b"..") or hidden.startswith(_WHITEOUT):
                raise ImageError(f"{shown(member.name)} in a layer hides nothing that can be there")
            else:
                changes.hidden.append((*at[:-1], hidden))
            return
        if member.kind == HARDLINK:
            changes.changes.append(_Change(at, link=_parts(member.target)))
            return
        inode = _inode(member)
        if inode.kind == wire.FILE:
            digest, more = hashlib.sha256(), taker(at, member)
            for piece in archive.content(member):
                digest.update(piece)
                if more is not None:
                    more(piece)
            inode.sha256 = digest.digest()
            inode.where = (number, member.offset)
        changes.changes.append(_Change(at, inode))

    # --- applying ----------------------------------------------------------------------------------------------------

    def _hide(self, changes: _Changes) -> None:
        """All that is to be hidden is found before any of it is gone."""
        holders = [held for at in changes.opaque if (held := self._below(at)) is not None]
        names = [(held, at[-1]) for at in changes.hidden if (held := self._below(at[:-1])) is not None]
        for held in holders:
            held.children.clear()
        for held, name in names:
            held.children.pop(name, None)

    def _below(self, at: Parts) -> Inode | None:
        try:
            _, found = tree.find(self.root, b"/".join(at))
        except OSError:
            return None
        return found if found.kind == wire.DIRECTORY else None

    def _put(self, at: Parts, inode: Inode) -> None:
        if not at:
            if inode.kind != wire.DIRECTORY:
                raise ImageError("a layer has something else than a directory for its root")
            _describe_again(self.root, inode)
            return
        held = self._directory(at[:-1])
        there = held.children.get(at[-1])
        if there is not None and there.kind == inode.kind == wire.DIRECTORY:
            _describe_again(there, inode)
        else:
            held.children[at[-1]] = inode

    def _link(self, change: _Change) -> None:
        said = f"{shown(b'/'.join(change.at))} in a layer is a hard link"
        try:
            held, found = tree.find(self.root, b"/".join(change.link), last=False)
        except OSError:
            found = None
        if found is None or found.kind == wire.DIRECTORY:
            raise ImageError(f"{said} to {shown(b'/'.join(change.link))}, which is no file of the image")
        above = self._directory(change.at[:-1]) if change.at else None
        there = above.children.get(change.at[-1]) if above is not None else self.root
        itself = above is held[-1] and change.at[-1:] == change.link[-1:]
        if above is None or itself or any(there is one for one in held):
            raise ImageError(f"{said} in place of what it is a link to, or of what holds that")
        found.linked = True
        above.children[change.at[-1]] = found

    def _directory(self, at: Parts) -> Inode:
        """The directory at ``at``, made with those above it where there is none; links on the way are followed."""
        todo, held, links = list(reversed(at)), [self.root], 0
        while todo:
            part = todo.pop()
            if part == b"..":
                del held[max(1, len(held) - 1) :]
                continue
            child = held[-1].children.get(part)
            if child is None:
                child = held[-1].children[part] = tree.directory()
            if child.kind == wire.DIRECTORY:
                held.append(child)
                continue
            links += 1
            if child.kind != wire.LINK or links > tree.LINK_LIMIT:
                why = "links that lead in a circle" if child.kind == wire.LINK else "something that is no directory"
                raise ImageError(f"a layer puts {shown(b'/'.join(at))} below {why}")
            if child.target.startswith(b"/"):
                del held[1:]
            todo.extend(step for step in reversed(child.target.split(b"/")) if step not in (b"", b"."))
        return held[-1]


def _describe_again(inode: Inode, described: Inode) -> None:
    inode.mode, inode.uid, inode.gid, inode.xattrs = described.mode, described.uid, described.gid, described.xattrs


def _parts(name: bytes) -> Parts:
    """The steps of a name, from the root of the image. Raises ImageError for a name that cannot be meant well."""
    parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if not name or b".." in parts:
        raise ImageError(f"a layer has a name that leads out of the image: {shown(name)}")
    if any(len(part.removeprefix(_WHITEOUT)) > NAME_LIMIT for part in parts) or len(name) > wire.PATH_LIMIT:
        raise ImageError(f"a layer has a name that is longer than a name can be: {shown(name)}")
    if any(part.startswith(_WHITEOUT) for part in parts[:-1]):
        raise ImageError(f"a layer puts {shown(name)} below what hides a name")
    return parts


def _inode(member: Member) -> Inode:
    if max(member.uid, member.gid) > 0xFFFFFFFF:
        raise ImageError(f"{shown(member.name)} in a layer has an owner that cannot be")
    inode = Inode(_KINDS[member.kind], member.mode, member.uid, member.gid)
    if inode.kind == wire.LINK:
        inode.mode, inode.target = 0o777, member.target
        if not inode.target:
            raise ImageError(f"{shown(member.name)} in a layer is a link to nothing")
    elif inode.kind in (wire.CHAR, wire.BLOCK):
        inode.rdev = member.rdev
    inode.size = member.size
    named = ((name, value) for name, value in member.xattrs.items() if not name.startswith(OVERLAY_OWN))
    inode.xattrs = tuple(sorted(named))
    if sum(len(name) + len(value) for name, value in inode.xattrs) > wire.XATTR_LIMIT:
        raise ImageError(f"{shown(member.name)} in a layer has more than {wire.XATTR_LIMIT} bytes of attributes")
    if any(not name or len(name) > NAME_LIMIT or b"\0" in name for name, _ in inode.xattrs):
        raise ImageError(f"{shown(member.name)} in a layer has an attribute whose name cannot be one")
    return inode
