"""Walk one file system and turn every name into an entry, without following a link and without writing.

Everything is relative to descriptors of directories, so that paths of any length work and nobody can lead the walk
astray by exchanging a directory for a link. What is hashed is the descriptor that was fstat'ed. FIFOs, sockets and
devices are never opened.
"""

import errno
import os
import stat
from typing import Callable, Iterable, Iterator, List, Optional, Set, Tuple

from driftd.probe import attributes, wire
from driftd.probe.hashing import Hasher
from driftd.probe.opening import EXCHANGED, GONE, NOT_PERMITTED, OPEN_LEVELS, listing, open_quietly
from driftd.probe.tally import Tally

ATTEMPTS = 3  # how often a file that changes while it is read is read again
FILE_LIMIT = 1 << 40  # bytes; a larger file is reported as unreadable
BATCH_BYTES = 128 * 1024

KINDS = {
    stat.S_IFREG: wire.FILE,
    stat.S_IFDIR: wire.DIRECTORY,
    stat.S_IFLNK: wire.LINK,
    stat.S_IFCHR: wire.CHAR,
    stat.S_IFBLK: wire.BLOCK,
    stat.S_IFIFO: wire.FIFO,
    stat.S_IFSOCK: wire.SOCKET,
}

Batch = Tuple[bytes, List[wire.Entry]]


class UnsearchableError(Exception):
    """Names can be listed and nothing behind them can be seen (a directory with r and without x)."""


class Level(object):
    """One directory on the way down. ``fd`` is -1 while it is closed."""

    __slots__ = ("fd", "found", "name", "packed", "path", "pending", "rows", "size")

    def __init__(self, fd, name, path):
        # type: (int, bytes, bytes) -> None
        self.fd = fd
        self.name = name
        self.path = path
        self.found = os.fstat(fd)
        self.pending = []  # type: List[bytes]
        # Whether fullwalk.py describes what is below when it goes into it, so far in these rows, of so many bytes.
        self.packed, self.size = False, 0
        self.rows = []  # type: List[bytes]

    def ident(self):
        # type: () -> Tuple[int, int]
        return self.found.st_dev, self.found.st_ino

    def close(self):
        # type: () -> None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _ident(fd):
    # type: (int) -> Tuple[int, int]
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def weight(name, entry):
    # type: (bytes, wire.Entry) -> int
    """About how many bytes an entry takes in a block."""
    return len(name) + 80 + sum(len(value) + len(key) for key, value in entry.xattrs)


class Walker(object):
    """Walks trees, one after the other.

    ``skip`` are paths to leave out. ``points`` are paths where something is mounted: each that is met as a directory
    goes into ``reached``. ``replaced`` are paths whose entry comes from elsewhere (files mounted over files). Those of
    ``hanging`` are never touched where the walk sees what is mounted, since a stat of them may not return.
    """

    def __init__(self, tally, skip=(), points=(), replaced=(), hanging=(), file_limit=FILE_LIMIT):
        # type: (Tally, Iterable[bytes], Iterable[bytes], Iterable[bytes], Iterable[bytes], int) -> None
        self.tally = tally
        self.skip = frozenset(skip)
        self.points = frozenset(points)
        self.replaced = frozenset(replaced)
        self.hanging = frozenset(hanging)
        self.reached = set()  # type: Set[bytes]
        # Of which directories entries are wanted one by one; fullwalk.py gives others as bytes.
        self.apart = lambda _path: False  # type: Callable[[bytes], bool]
        self._file_limit = file_limit
        self._hasher = Hasher(tally)
        self._walks = 0

    def walk(self, fd, base, stop):
        # type: (int, bytes, bool) -> Iterator[Batch]
        """Batches of entries below directory ``fd``, which is called ``base`` on the instance; consumes ``fd``.

        ``base``'s own entry comes only with b"/"; elsewhere it is the walk above that sees it. With ``stop`` the walk
        does not descend at ``points``: what is beneath them is reported as covered.
        """
        self._walks += 1
        return self._below(fd, base, stop)

    def _below(self, fd, base, stop):
        # type: (int, bytes, bool) -> Iterator[Batch]
        listed = []  # type: List[Tuple[bytes, int]]
        stack, top = [Level(fd, b"", base)], os.dup(fd)
        try:
            if base == b"/":
                yield b"", [self.top(fd)]
            for batch in self._list(stack[0], stop):
                yield batch
            while stack:
                level = stack[-1]
                if not level.pending:
                    listed.append((level.path, level.found.st_ctime_ns))
                    stack.pop()
                    self._rise(stack, level)
                    self._leave(level)
                    continue
                child = self._descend(stack, level.pending.pop())
                if child is not None:
                    stack.append(child)
                    for batch in self._list(child, stop):
                        yield batch
            for batch in self._rest():
                yield batch
            self._look_back(top, base, listed)
        finally:
            os.close(top)
            for level in stack:
                level.close()

    def _look_back(self, top, base, listed):
        # type: (int, bytes, List[Tuple[bytes, int]]) -> None
        """Count directories that are not as they were when listed: what was moved meanwhile may have been missed."""
        for path, ctime in listed:
            try:
                found = os.stat(path[len(base) :].lstrip(b"/") or b".", dir_fd=top, follow_symlinks=False)
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    continue
                self.tally.count("directories that changed while the tree was read")
            else:
                if found.st_ctime_ns != ctime:
                    self.tally.count("directories that changed while the tree was read")

    def _leave(self, level):
        # type: (Level) -> None
        """All below ``level`` has been walked."""

    def _rest(self):
        # type: () -> Iterable[Batch]
        """What is still under way when all has been walked."""
        return ()

    # --- going down and up -----------------------------------------------------------------------------

    def _descend(self, stack, name):
        # type: (List[Level], bytes) -> Optional[Level]
        path = wire.join(stack[-1].path, name)
        try:
            return self._enter(stack, name, path)
        except OSError as error:
            self._not_entered(path, error)
            return None

    def _not_entered(self, path, error, described=False):
        # type: (bytes, OSError, bool) -> None
        """Say that a directory could not be opened; one that is gone only if it has been ``described``."""
        if error.errno in EXCHANGED or (described and error.errno in GONE):
            self.tally.not_read(path, "changed while read")
        elif error.errno not in GONE:
            self.tally.not_read(path, error)

    def _enter(self, stack, name, path):
        # type: (List[Level], bytes, bytes) -> Optional[Level]
        if len(path) > wire.PATH_LIMIT:
            self.tally.not_read(path, "path longer than %d bytes" % wire.PATH_LIMIT)
            return None
        fd = open_quietly(name, os.O_DIRECTORY, stack[-1].fd)
        if len(stack) > OPEN_LEVELS:
            stack[-OPEN_LEVELS].close()
        return Level(fd, name, path)

    def _rise(self, stack, level):
        # type: (List[Level], Level) -> None
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
        # type: (List[Level], Level) -> int
        above = stack[-1]
        if level.fd >= 0:
            fd = open_quietly(b"..", os.O_DIRECTORY, level.fd)
            if _ident(fd) == above.ident():
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
        if _ident(fd) != above.ident():
            os.close(fd)
            raise OSError(errno.ESTALE, "moved while read")
        return fd

    # --- one directory -----------------------------------------------------------------------------

    def _list(self, level, stop):
        # type: (Level, bool) -> Iterable[Batch]
        try:
            names = listing(level.fd)
        except OSError as error:
            self.tally.not_read(level.path, error)
            return
        batch, size = [], 0  # type: List[wire.Entry], int
        for name in names:
            path = wire.join(level.path, name)
            if path in self.skip or path in self.replaced or (stop and path in self.hanging):
                self._pass_over(path)
                continue
            try:
                entry = self.entry(level.fd, name, path)
            except UnsearchableError:
                self.tally.not_read(level.path, os.strerror(errno.EACCES))
                break
            if entry is None:
                continue
            if entry.kind == wire.DIRECTORY and self._goes_into(path, stop):
                level.pending.append(name)
            batch.append(entry)
            size += weight(name, entry)
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
        elif path in self.hanging and path not in self.skip:
            self.reached.add(path)
            self.tally.covered.add(path)
            self.tally.count("covered: by a mount whose server may not answer")
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

    def top(self, fd):
        # type: (int) -> wire.Entry
        """The entry of "/" itself."""
        self.tally.entries += 1
        return self._opened(fd, b"/", os.fstat(fd))

    def entry(self, dir_fd, name, path):
        # type: (int, bytes, bytes) -> Optional[wire.Entry]
        """The entry of ``name`` in ``dir_fd``; None when it is gone by now."""
        return self._tried(dir_fd, name, path, 0)

    def _tried(self, dir_fd, name, path, before):
        # type: (int, bytes, bytes, int) -> Optional[wire.Entry]
        """As ``entry``, when so many attempts have failed ``before``."""
        for attempt in range(before, ATTEMPTS):
            found = self.stat(dir_fd, name, path)
            if found is None:
                return None
            last = attempt == ATTEMPTS - 1
            made = self._made(dir_fd, name, path, found, last)
            if made is None and last:
                self.tally.not_read(path, "changed while read")
                made = self._by_name(dir_fd, name, path, found)
            if made is not None:
                self.tally.entries += 1
                return made
        return None

    def stat(self, dir_fd, name, path):
        # type: (int, bytes, bytes) -> Optional[os.stat_result]
        """The stat of ``name`` itself; None when it is gone by now."""
        try:
            return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        except OSError as error:
            if error.errno in NOT_PERMITTED:
                raise UnsearchableError
            if error.errno not in GONE:
                self.tally.not_read(wire.parent(path), error)
            return None

    def _made(self, dir_fd, name, path, found, last):
        # type: (int, bytes, bytes, os.stat_result, bool) -> Optional[wire.Entry]
        """The entry, or None when it changed in the meantime."""
        if stat.S_ISREG(found.st_mode):
            return self._file(dir_fd, name, path, found, last)
        if stat.S_ISDIR(found.st_mode):
            return self._directory(dir_fd, name, path, found)
        target = b""
        if stat.S_ISLNK(found.st_mode):
            try:
                target = os.readlink(name, dir_fd=dir_fd)
            except OSError:
                return None
        return self._by_name(dir_fd, name, path, found, target)

    def _by_name(self, dir_fd, name, path, found, target=b""):
        # type: (int, bytes, bytes, os.stat_result, bytes) -> wire.Entry
        xattrs = attributes.xattrs_by_name(dir_fd, name, path, self.tally)
        return _entry(path, found, xattrs, self._token(found), target=target)

    def _opened(self, fd, path, found, digest=b""):
        # type: (int, bytes, os.stat_result, bytes) -> wire.Entry
        xattrs = attributes.xattrs(fd, path, self.tally)
        return _entry(path, found, xattrs, self._token(found), digest, flags=attributes.flags(fd, path, self.tally))

    def _token(self, found):
        # type: (os.stat_result) -> bytes
        """What all hard links of a file have in common in this walk; another mount may show the same file again."""
        if found.st_nlink < 2 or stat.S_ISDIR(found.st_mode):
            return b""
        return b"%d %d %d" % (self._walks, found.st_dev, found.st_ino)

    def _directory(self, dir_fd, name, path, found):
        # type: (int, bytes, bytes, os.stat_result) -> Optional[wire.Entry]
        try:
            fd = open_quietly(name, os.O_DIRECTORY, dir_fd)
        except OSError as error:
            if error.errno in GONE or error.errno in EXCHANGED:
                return None
            # That it cannot be opened is counted when its turn comes to be listed.
            return self._by_name(dir_fd, name, path, found)
        try:
            return self._opened(fd, path, os.fstat(fd))
        finally:
            os.close(fd)

    def _file(self, dir_fd, name, path, found, last):
        # type: (int, bytes, bytes, os.stat_result, bool) -> Optional[wire.Entry]
        try:
            fd = open_quietly(name, 0, dir_fd)
        except OSError as error:
            if error.errno in GONE or error.errno in EXCHANGED:
                return None
            self.tally.not_read(path, error)
            return self._by_name(dir_fd, name, path, found)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                return None
            digest = b""
            if found.st_size > self._file_limit:
                self.tally.not_read(path, "larger than the limit")
            else:
                try:
                    read = self._hasher.once(fd, found, last)
                except OSError as error:
                    self.tally.not_read(path, error)
                else:
                    if read is None:
                        return None
                    digest = read
            return self._opened(fd, path, found, digest)
        finally:
            os.close(fd)


def _entry(path, found, xattrs, token, digest=b"", target=b"", flags=0):
    # type: (bytes, os.stat_result, Tuple[Tuple[bytes, bytes], ...], bytes, bytes, bytes, int) -> wire.Entry
    kind = KINDS[stat.S_IFMT(found.st_mode)]
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
        flags,
        token,
    )
