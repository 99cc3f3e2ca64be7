"""Read a file system of type ext2, ext3 or ext4 by libext2fs, the library that debugfs, e2fsck and mke2fs are made of.

debugfs itself prints names and contents as they are, so that a name with a line feed in it can pass for an answer; the
library gives bytes. It is loaded in a process of its own (program.py), opens the file for reading only, and checks the
checksums of what it reads where the file system has any. Public interface: ext2fs/ext2fs.h and ext2fs/ext2_fs.h of
e2fsprogs 1.43 and later (numbers of flags and the layout of an inode are those of the on-disk format).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import stat
import struct
from collections.abc import Iterator
from typing import Any

from driftd.edges.images.errors import ImageError, shown
from driftd.edges.images.tree import Inode
from driftd.edges.images.unpacking import Budget
from driftd.probe import wire
from driftd.probe.attributes import BITS, OVERLAY_OWN
from driftd.probe.walk import KINDS

PIECE = 1024 * 1024
TARGET_LIMIT = 4096  # bytes of a link's target, as Linux has it
ENTRIES_LIMIT = 5_000_000
FAST_LINK = 60  # bytes of an inode that have the numbers of blocks
ROOT = 2  # the number of the root directory's inode
_INODE = struct.Struct("=HHI4I HH 3I 15I 4I 4H 4x")  # struct ext2_inode, in the machine's own byte order
_DIRENT = struct.Struct("=IHBB")
_DOTS = (b".", b"..")
_FLAG_64BITS = 0x20000
_ENCRYPTED, _COMPRESSED, _INLINE = 0x800, 0x4, 0x10000000
_ACLS = (b"system.posix_acl_access", b"system.posix_acl_default")
_LISTED = (b"user.", b"trusted.", b"security.", *_ACLS)  # of others the kernel makes other things than attributes
_ACL_HEAD, _ACL_SHORT, _ACL_WITH_ID = struct.Struct("<I"), struct.Struct("<HH"), struct.Struct("<HHI")
_ACL_ON_DISK, _ACL_AS_SEEN = 1, 2  # versions
_ACL_NAMED = (2, 8)  # ACL_USER, ACL_GROUP: these have an id
_NO_ID = 0xFFFFFFFF
_DIR_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_uint32,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,
)
_XATTR_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


class _Library:
    """The library's functions, each of which returns 0 or the number of an error."""

    def __init__(self) -> None:
        try:
            self._ext2fs = ctypes.CDLL("libext2fs.so.2")
            self._com_err = ctypes.CDLL("libcom_err.so.2")
        except OSError:
            raise ImageError("libext2fs is not on this machine", "install e2fsprogs") from None
        self._com_err.error_message.restype = ctypes.c_char_p
        self._com_err.error_message.argtypes = [ctypes.c_long]
        self._ext2fs.initialize_ext2_error_table()  # else an error is a number
        self.manager = ctypes.c_void_p.in_dll(self._ext2fs, "unix_io_manager")

    def call(self, name: str, *arguments: Any, what: str) -> None:
        """Call a function of the library; raises ImageError with the library's own words."""
        function = getattr(self._ext2fs, f"ext2fs_{name}")
        function.restype = ctypes.c_long
        number = function(*arguments)
        if number:
            said = self._com_err.error_message(number) or b"it does not say why"
            raise ImageError(
                f"the file system is damaged or of a kind that is not read: {what}: {shown(said)}",
                "check it with e2fsck -fn",
            )

    def close(self, name: str, handle: ctypes.c_void_p, *, by_pointer: bool = False) -> None:
        """Give a handle back."""
        getattr(self._ext2fs, f"ext2fs_{name}")(ctypes.byref(handle) if by_pointer else handle)


class ExtFileSystem:
    """One file system at ``offset`` of a file, open for reading. Numbers of inodes go with the name ``number``."""

    def __init__(self, path: str, offset: int, budget: Budget, index: int = 0) -> None:
        self._library = _Library()
        self._fs = ctypes.c_void_p()
        self._budget = budget
        self._index = index
        self._inodes: dict[int, Inode] = {}
        self._entries = 0
        self._buffer = ctypes.create_string_buffer(PIECE)
        options = b"offset=%d" % offset
        self._call(
            "open2", os.fsencode(path), options, _FLAG_64BITS, 0, 0, self._library.manager, ctypes.byref(self._fs),
            what="its superblock",
        )  # fmt: skip

    def _call(self, name: str, *arguments: Any, what: str) -> None:
        self._library.call(name, *arguments, what=what)

    def tree(self) -> Inode:
        """The whole tree, every file read for its digest. Raises ImageError, and then there is none."""
        root = self._inode(ROOT, b"/")
        todo = [(b"/", ROOT, root)]
        seen = {ROOT}
        while todo:
            path, number, inode = todo.pop()
            for name, child in self._names(number, path):
                at = wire.join(path, name)
                if name in inode.children:
                    raise _damaged(at, "stands twice in its directory")
                if len(at) > wire.PATH_LIMIT:
                    raise ImageError(f"a path in it is longer than {wire.PATH_LIMIT} bytes")
                found = self._inode(child, at)
                if found.kind == wire.DIRECTORY:
                    if child in seen:
                        raise _damaged(at, "is a directory with two names")
                    seen.add(child)
                    todo.append((at, child, found))
                inode.children[name] = found
        return root

    def top(self) -> set[bytes]:
        """The names in the root directory."""
        return {name for name, _ in self._names(ROOT, b"/")}

    # --- directories -------------------------------------------------------------------------------------------------

    def _names(self, number: int, path: bytes) -> list[tuple[bytes, int]]:
        """Names in a directory, and the numbers of their inodes."""
        names: list[tuple[bytes, int]] = []

        def take(
            _directory: int, _entry: int, dirent: int, _offset: int, _size: int, _buffer: int, _private: int
        ) -> int:
            child, _length, name_length, _kind = _DIRENT.unpack(ctypes.string_at(dirent, _DIRENT.size))
            name = ctypes.string_at(dirent + _DIRENT.size, name_length)
            if name not in _DOTS:
                names.append((name, child))
            return 0

        what = f"the directory {shown(path)}"
        self._call("dir_iterate2", self._fs, number, 0, None, _DIR_CALLBACK(take), None, what=what)
        self._entries += len(names)
        if self._entries > ENTRIES_LIMIT:
            raise ImageError(f"it has more than {ENTRIES_LIMIT} names")
        for name, _ in names:
            if not name or b"/" in name or b"\0" in name:
                raise _damaged(wire.join(path, name), "is no name that a file can have")
        return names

    # --- inodes ------------------------------------------------------------------------------------------------------

    def _inode(self, number: int, path: bytes) -> Inode:
        known = self._inodes.get(number)
        if known is not None:
            known.linked = True
            return known
        raw = ctypes.create_string_buffer(_INODE.size)
        self._call("read_inode_full", self._fs, number, raw, _INODE.size, what=f"the inode of {shown(path)}")
        fields = _INODE.unpack(raw.raw)
        (mode, uid, size), gid, links, flags, blocks = fields[:3], fields[7], fields[8], fields[10], fields[12:27]
        kind = KINDS.get(stat.S_IFMT(mode))
        if kind is None or not links:
            raise _damaged(path, "leads to an inode that is not in use")
        if flags & (_ENCRYPTED | _COMPRESSED):
            raise ImageError(
                f"{shown(path)} is encrypted or packed by the file system, and cannot be read from outside"
            )
        inode = Inode(kind, stat.S_IMODE(mode), uid | fields[33] << 16, gid | fields[34] << 16)
        inode.where = (self._index, number, flags & _INLINE)
        if kind in (wire.FILE, wire.DIRECTORY):
            inode.flags = sum(ours for theirs, ours in BITS if flags & theirs)
        if kind == wire.FILE:
            inode.size = size | fields[29] << 32
            inode.sha256 = self._digest(inode, path)
        elif kind == wire.LINK:
            inode.target = self._target(number, size, raw, path)
        elif kind in (wire.CHAR, wire.BLOCK):
            inode.rdev = _device(blocks[0], blocks[1])
        inode.xattrs = self._xattrs(number, path)
        if kind != wire.DIRECTORY and links > 1:
            self._inodes[number] = inode
        return inode

    def _digest(self, inode: Inode, path: bytes) -> bytes:
        digest = hashlib.sha256()
        for piece in self.content(inode, path):
            digest.update(piece)
        return digest.digest()

    def content(self, inode: Inode, path: bytes = b"a file") -> Iterator[bytes]:
        """A file's content, in pieces."""
        _, number, inline = inode.where
        yield from self._read(number, inode.size, path, inline=bool(inline))

    def _read(self, number: int, size: int, path: bytes, *, inline: bool) -> Iterator[bytes]:
        what = f"the content of {shown(path)}"
        handle, got, left = ctypes.c_void_p(), ctypes.c_uint(), size
        self._call("file_open", self._fs, number, 0, ctypes.byref(handle), what=what)
        try:
            while left:
                wanted = min(PIECE, left)
                self._call("file_read", handle, self._buffer, wanted, ctypes.byref(got), what=what)
                piece = ctypes.string_at(self._buffer, got.value)
                if not piece:
                    # What stands in the inode itself ends where the inode does; the kernel reads zeros from there on.
                    if not inline:
                        raise _damaged(path, "is shorter than its inode says")
                    piece = bytes(wanted)
                self._budget.spend(len(piece))
                left -= len(piece)
                yield piece
        finally:
            self._library.close("file_close", handle)

    def _target(self, number: int, size: int, raw: ctypes.Array[ctypes.c_char], path: bytes) -> bytes:
        if not 0 < size <= TARGET_LIMIT:
            raise _damaged(path, "is a link whose target has an impossible length")
        # Short targets stand where an inode otherwise has the numbers of its blocks.
        target = raw.raw[40 : 40 + size] if size < FAST_LINK else b"".join(self._read(number, size, path, inline=False))
        if b"\0" in target:
            raise _damaged(path, "is a link whose target has a NUL in it")
        return target

    def _xattrs(self, number: int, path: bytes) -> tuple[tuple[bytes, bytes], ...]:
        """As listxattr(2) and getxattr(2) would give them."""
        what = f"the attributes of {shown(path)}"
        rows: dict[bytes, bytes] = {}

        def take(name: bytes, value: int | None, length: int, _private: int) -> int:
            rows[name] = ctypes.string_at(value, length) if value and length else b""
            return 0

        handle = ctypes.c_void_p()
        self._call("xattrs_open", self._fs, number, ctypes.byref(handle), what=what)
        try:
            self._call("xattrs_read", handle, what=what)
            self._call("xattrs_iterate", handle, _XATTR_CALLBACK(take), None, what=what)
        finally:
            self._library.close("xattrs_close", handle, by_pointer=True)
        try:
            rows |= {name: _access_list(rows[name]) for name in _ACLS if name in rows}
        except struct.error:
            raise _damaged(path, "has an access list that is none") from None
        listed = [name for name in rows if name.startswith(_LISTED) and not name.startswith(OVERLAY_OWN)]
        return tuple((name, rows[name]) for name in sorted(listed))

    # --- contents ----------------------------------------------------------------------------------------------------

    def open(self, inode: Inode) -> int:
        """See ``place.Contents``."""
        fd = os.memfd_create("content", os.MFD_CLOEXEC)
        try:
            for piece in self.content(inode):
                os.write(fd, piece)
            os.lseek(fd, 0, os.SEEK_SET)
        except BaseException:
            os.close(fd)
            raise
        return fd


def _access_list(value: bytes) -> bytes:
    """An access list as getxattr(2) gives it; on the disk, entries that name nobody have no id (fs/ext4/acl.h)."""
    if _ACL_HEAD.unpack_from(value)[0] != _ACL_ON_DISK:
        return value
    parts, at = [_ACL_HEAD.pack(_ACL_AS_SEEN)], _ACL_HEAD.size
    while at < len(value):
        tag, rights = _ACL_SHORT.unpack_from(value, at)
        if tag in _ACL_NAMED:
            parts.append(value[at : at + _ACL_WITH_ID.size])
            _ACL_WITH_ID.unpack(parts[-1])
            at += _ACL_WITH_ID.size
        else:
            parts.append(_ACL_WITH_ID.pack(tag, rights, _NO_ID))
            at += _ACL_SHORT.size
    return b"".join(parts)


def _device(old: int, new: int) -> tuple[int, int]:
    """Major and minor, as the kernel's old_decode_dev and new_decode_dev have them."""
    if old:
        return old >> 8 & 0xFF, old & 0xFF
    return (new & 0xFFF00) >> 8, new & 0xFF | (new >> 12) & 0xFFF00


def _damaged(path: bytes, why: str) -> ImageError:
    return ImageError(f"the file system is damaged: {shown(path)} {why}", "check it with e2fsck -fn")
