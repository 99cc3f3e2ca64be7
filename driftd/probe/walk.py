"""Walk one file system and turn every name into an entry, without following a link and without writing.

Everything is relative to descriptors of directories, so that paths of any length work and nobody can lead the walk
astray by exchanging a directory for a link. What is hashed is the descriptor that was fstat'ed. FIFOs, sockets and
devices are never opened.
"""

import errno
import hashlib
import os
import stat
import sys
from typing import Dict, Iterable, Iterator, List, Optional, Set, Tuple, Union

from driftd.probe import wire

ATTEMPTS = 3  # how often a file that changes while it is read is read again
OPEN_LEVELS = 64  # directories held open on the way down; those further up are opened again through ".."
SMALL = 256 * 1024  # a file below this is one read; larger ones pass through a buffer of this size
FILE_LIMIT = 1 << 40  # bytes; a larger file is reported as unreadable
BATCH_BYTES = 128 * 1024

_COMMON = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_KINDS = {
    stat.S_IFREG: wire.FILE,
    stat.S_IFDIR: wire.DIRECTORY,
    stat.S_IFLNK: wire.LINK,
    stat.S_IFCHR: wire.CHAR,
    stat.S_IFBLK: wire.BLOCK,
    stat.S_IFIFO: wire.FIFO,
    stat.S_IFSOCK: wire.SOCKET,
}

# overlayfs keeps its own book-keeping in these. They are not part of the tree that it shows, and the same tree read
# through the overlay or from an upper directory has to give the same bytes.
_OVERLAY_OWN = (b"trusted.overlay.", b"user.overlay.")

_GONE = (errno.ENOENT, errno.ESTALE)
_EXCHANGED = (errno.ELOOP, errno.ENOTDIR, errno.ENXIO)
_NOT_PERMITTED = (errno.EACCES, errno.EPERM)

Batch = Tuple[bytes, List[wire.Entry]]


class Tally(object):
    """What the walk covered: counts, paths not read or looked beneath, mounts left out, and reasons with counts."""

    def __init__(self):
        # type: () -> None
        self.entries = 0
        self.bytes_hashed = 0
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


class _UnsearchableError(Exception):
    """Names can be listed and nothing behind them can be seen (a directory with r and without x)."""


class _Level(object):
    """One directory on the way down. ``fd`` is -1 while it is closed."""

    __slots__ = ("fd", "ident", "name", "path", "pending")

    def __init__(self, fd, name, path):
        # type: (int, bytes, bytes) -> None
        self.fd = fd
        self.name = name
        self.path = path
        self.ident = _ident(fd)
        self.pending = []  # type: List[bytes]

    def close(self):
        # type: () -> None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _ident(fd):
    # type: (int) -> Tuple[int, int]
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def open_quietly(name, flags=0, dir_fd=None):
    # type: (bytes, int, Optional[int]) -> int
    """Open for reading without following a link or waiting; without moving the atime where the kernel allows it."""
    try:
        return os.open(name, _COMMON | os.O_NOATIME | flags, dir_fd=dir_fd)
    except OSError as error:
        if error.errno != errno.EPERM:  # EPERM: neither owner nor privileged, so the atime cannot be spared
            raise
    return os.open(name, _COMMON | flags, dir_fd=dir_fd)


def listing(fd):
    # type: (int) -> List[bytes]
    """The names in a directory, as bytes."""
    if sys.getfilesystemencoding().lower() in ("utf-8", "ascii"):
        names = [os.fsencode(name) for name in os.listdir(fd)]
    else:  # other encodings do not give every name back as it was
        names = os.listdir(b"/proc/self/fd/%d" % fd)
    return sorted(set(names))  # a directory that changes while it is read may name something twice


class Walker(object):
    """Walks trees, one after the other.

    ``skip`` are paths to leave out. ``points`` are paths where something is mounted: each that is met as a directory
    goes into ``reached``. ``replaced`` are paths whose entry comes from elsewhere (files mounted over files).
    """

    def __init__(self, tally, skip=(), points=(), replaced=(), file_limit=FILE_LIMIT):
        # type: (Tally, Iterable[bytes], Iterable[bytes], Iterable[bytes], int) -> None
        self.tally = tally
        self.skip = frozenset(skip)
        self.points = frozenset(points)
        self.replaced = frozenset(replaced)
        self.reached = set()  # type: Set[bytes]
        self._file_limit = file_limit
        self._buffer = bytearray(SMALL)

    def walk(self, fd, base, stop):
        # type: (int, bytes, bool) -> Iterator[Batch]
        """Batches of entries below directory ``fd``, which is called ``base`` on the instance; consumes ``fd``.

        ``base``'s own entry comes only with b"/"; elsewhere it is the walk above that sees it. With ``stop`` the walk
        does not descend at ``points``: what is beneath them is reported as covered.
        """
        stack = [_Level(fd, b"", base)]
        try:
            if base == b"/":
                yield b"", [self._root(fd)]
            for batch in self._list(stack[0], stop):
                yield batch
            while stack:
                level = stack[-1]
                if not level.pending:
                    stack.pop()
                    self._rise(stack, level)
                    continue
                child = self._descend(stack, level.pending.pop())
                if child is not None:
                    stack.append(child)
                    for batch in self._list(child, stop):
                        yield batch
        finally:
            for level in stack:
                level.close()

    # --- going down and up -----------------------------------------------------------------------------

    def _descend(self, stack, name):
        # type: (List[_Level], bytes) -> Optional[_Level]
        path = wire.join(stack[-1].path, name)
        if len(path) > wire.PATH_LIMIT:
            self.tally.not_read(path, "path longer than %d bytes" % wire.PATH_LIMIT)
            return None
        try:
            fd = open_quietly(name, os.O_DIRECTORY, stack[-1].fd)
        except OSError as error:
            if error.errno not in _GONE:
                self.tally.not_read(path, "changed while read" if error.errno in _EXCHANGED else error)
            return None
        if len(stack) > OPEN_LEVELS:
            stack[-OPEN_LEVELS].close()
        return _Level(fd, name, path)

    def _rise(self, stack, level):
        # type: (List[_Level], _Level) -> None
        """Leave ``level``; open the one above again if it had been closed."""
        above = stack[-1] if stack else None
        if above is not None and above.fd < 0:
            try:
                above.fd = self._again(stack, level)
            except OSError:
                if above.pending:
                    self.tally.not_read(above.path, "moved while read")
                above.pending = []
        level.close()

    def _again(self, stack, level):
        # type: (List[_Level], _Level) -> int
        above = stack[-1]
        if level.fd >= 0:
            fd = open_quietly(b"..", os.O_DIRECTORY, level.fd)
            if _ident(fd) == above.ident:
                return fd
            os.close(fd)
        lowest = max(at for at, other in enumerate(stack) if other.fd >= 0)
        fd = os.dup(stack[lowest].fd)
        for other in stack[lowest + 1 :]:
            try:
                down = open_quietly(other.name, os.O_DIRECTORY, fd)
            finally:
                os.close(fd)
            fd = down
        if _ident(fd) != above.ident:
            os.close(fd)
            raise OSError(errno.ESTALE, "moved while read")
        return fd

    # --- one directory -----------------------------------------------------------------------------

    def _list(self, level, stop):
        # type: (_Level, bool) -> Iterator[Batch]
        try:
            names = listing(level.fd)
        except OSError as error:
            self.tally.not_read(level.path, error)
            return
        batch, size = [], 0  # type: List[wire.Entry], int
        for name in names:
            path = wire.join(level.path, name)
            if path in self.skip or path in self.replaced:
                self._pass_over(path)
                continue
            try:
                entry = self.entry(level.fd, name, path)
            except _UnsearchableError:
                self.tally.not_read(level.path, os.strerror(errno.EACCES))
                break
            if entry is None:
                continue
            if entry.kind == wire.DIRECTORY and self._goes_into(path, stop):
                level.pending.append(name)
            batch.append(entry)
            size += len(name) + 80 + sum(len(value) + len(key) for key, value in entry.xattrs)
            if size > BATCH_BYTES or len(batch) >= wire.BLOCK_ENTRIES:
                yield level.path, batch
                batch, size = [], 0
        level.pending.reverse()
        if batch:
            yield level.path, batch

    def _pass_over(self, path):
        # type: (bytes) -> None
        if path in self.replaced:
            self.reached.add(path)
            self.tally.count("hidden: a file beneath a mounted file")
        else:
            self.tally.count("skipped: asked to leave out")

    def _goes_into(self, path, stop):
        # type: (bytes, bool) -> bool
        if path not in self.points:
            return True
        self.reached.add(path)
        if stop:
            self.tally.covered.add(path)
            self.tally.count("covered: beneath a mount")
        return not stop

    # --- one entry -----------------------------------------------------------------------------

    def _root(self, fd):
        # type: (int) -> wire.Entry
        found = os.fstat(fd)
        self.tally.entries += 1
        mode = stat.S_IMODE(found.st_mode)
        xattrs = self._xattrs(fd, b"/")
        return wire.Entry(b"/", wire.DIRECTORY, mode, found.st_uid, found.st_gid, 0, b"", b"", (0, 0), xattrs)

    def entry(self, dir_fd, name, path):
        # type: (int, bytes, bytes) -> Optional[wire.Entry]
        """The entry of ``name`` in ``dir_fd``; None when it is gone by now."""
        for attempt in range(ATTEMPTS):
            try:
                found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
            except OSError as error:
                if error.errno in _GONE:
                    return None
                if error.errno in _NOT_PERMITTED:
                    raise _UnsearchableError
                self.tally.not_read(wire.parent(path), error)
                return None
            last = attempt == ATTEMPTS - 1
            made = self._made(dir_fd, name, path, found, last)
            if made is None and last:
                self.tally.not_read(path, "changed while read")
                made = _entry(path, found, self._xattrs_by_name(dir_fd, name, path))
            if made is not None:
                self.tally.entries += 1
                return made
        return None

    def _made(self, dir_fd, name, path, found, last):
        # type: (int, bytes, bytes, os.stat_result, bool) -> Optional[wire.Entry]
        """The entry, or None when it changed in the meantime."""
        if stat.S_ISREG(found.st_mode):
            return self._file(dir_fd, name, path, found, last)
        target = b""
        if stat.S_ISLNK(found.st_mode):
            try:
                target = os.readlink(name, dir_fd=dir_fd)
            except OSError:
                return None
        return _entry(path, found, self._xattrs_by_name(dir_fd, name, path), target=target)

    def _file(self, dir_fd, name, path, found, last):
        # type: (int, bytes, bytes, os.stat_result, bool) -> Optional[wire.Entry]
        try:
            fd = open_quietly(name, 0, dir_fd)
        except OSError as error:
            if error.errno in _GONE or error.errno in _EXCHANGED:
                return None
            self.tally.not_read(path, error)
            return _entry(path, found, self._xattrs_by_name(dir_fd, name, path))
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                return None
            digest = b""
            if found.st_size > self._file_limit:
                self.tally.not_read(path, "larger than the limit")
            else:
                try:
                    read = self._digest(fd, found, last)
                except OSError as error:
                    self.tally.not_read(path, error)
                else:
                    if read is None:
                        return None
                    digest = read
                    self.tally.bytes_hashed += found.st_size
            return _entry(path, found, self._xattrs(fd, path), digest)
        finally:
            os.close(fd)

    def _digest(self, fd, found, last):
        # type: (int, os.stat_result, bool) -> Optional[bytes]
        """The SHA-256 of what ``fd`` holds; None when it changed while it was read.

        At the ``last`` attempt a moved mtime counts for nothing: touching a file for ever must not hide what it holds.
        """
        if found.st_size < SMALL:
            data = os.read(fd, found.st_size + 1)
            return hashlib.sha256(data).digest() if len(data) == found.st_size else None
        digest, view, size = hashlib.sha256(), memoryview(self._buffer), 0
        while size <= found.st_size:
            count = os.readv(fd, [self._buffer])
            if not count:
                break
            digest.update(view[:count])
            size += count
        now = os.fstat(fd)
        if size != found.st_size or now.st_size != found.st_size:
            return None
        if now.st_mtime_ns != found.st_mtime_ns and not last:
            return None
        return digest.digest()

    # --- extended attributes -----------------------------------------------------------------------------

    def _xattrs_by_name(self, dir_fd, name, path):
        # type: (int, bytes, bytes) -> Tuple[Tuple[bytes, bytes], ...]
        # There is no listxattrat(2) in Python; the link in /proc leads to the directory that we hold open.
        return self._xattrs(b"/proc/self/fd/%d/%s" % (dir_fd, name), path)

    def _xattrs(self, where, path):
        # type: (Union[int, bytes], bytes) -> Tuple[Tuple[bytes, bytes], ...]
        follow = isinstance(where, int)
        rows, size = [], 0  # type: List[Tuple[bytes, bytes]], int
        try:
            for text in os.listxattr(where, follow_symlinks=follow):
                name = os.fsencode(text)
                if name.startswith(_OVERLAY_OWN):
                    continue
                try:
                    value = os.getxattr(where, name, follow_symlinks=follow)
                except OSError as error:
                    if error.errno != errno.ENODATA:
                        self.tally.not_read(path, error)
                    continue
                rows.append((name, value))
                size += len(name) + len(value)
        except OSError as error:
            if error.errno != errno.ENOTSUP and error.errno not in _GONE:
                self.tally.not_read(path, error)
            return ()
        if size > wire.XATTR_LIMIT:
            self.tally.not_read(path, "more than %d bytes of extended attributes" % wire.XATTR_LIMIT)
            # Anybody may pile up user.*; what gives rights (capabilities, access lists) is small and not to be buried.
            rows = [row for row in rows if not row[0].startswith(b"user.")]
        return tuple(sorted(rows))


def _entry(path, found, xattrs, digest=b"", target=b""):
    # type: (bytes, os.stat_result, Tuple[Tuple[bytes, bytes], ...], bytes, bytes) -> wire.Entry
    kind = _KINDS[stat.S_IFMT(found.st_mode)]
    device = kind in (wire.CHAR, wire.BLOCK)
    return wire.Entry(
        path,
        kind,
        stat.S_IMODE(found.st_mode),
        found.st_uid,
        found.st_gid,
        found.st_size if kind == wire.FILE else 0,
        digest,
        target,
        (os.major(found.st_rdev), os.minor(found.st_rdev)) if device else (0, 0),
        xattrs,
    )
