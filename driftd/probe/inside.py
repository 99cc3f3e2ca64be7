"""Read files inside a root, wherever the links in it point: no link leads out of the root.

An offline tree may say that /etc/passwd is a link to somewhere on the machine that looks; here it means what it would
mean on the instance.
"""

import errno
import os
import stat
from typing import List, Optional, Tuple

from driftd.probe import walk
from driftd.probe.names import listing

LINK_LIMIT = 40
_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NAMES_LIMIT = 100000


class Root(object):
    """An open root directory. ``close`` gives the descriptor back."""

    def __init__(self, path):
        # type: (bytes) -> None
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self):
        # type: () -> None
        os.close(self.fd)

    def open(self, path):
        # type: (bytes) -> int
        """A descriptor of the regular file at ``path``. Raises OSError; nothing but a regular file is ever opened."""
        above, name = self._find(path, last=True)
        try:
            return _open_file(name or b".", above)
        finally:
            os.close(above)

    def read(self, path, limit):
        # type: (bytes, int) -> bytes
        """The whole file. Raises OSError, with EFBIG when it is longer than ``limit`` bytes."""
        return whole(self.open(path), limit)

    def head(self, path, limit):
        # type: (bytes, int) -> bytes
        """The first ``limit`` bytes of the file. Raises OSError."""
        fd = self.open(path)
        try:
            return read_fd(fd, limit)
        finally:
            os.close(fd)

    def status(self, path):
        # type: (bytes) -> os.stat_result
        """What stat(2) says of what ``path`` leads to, links followed inside the root. Raises OSError."""
        above, name = self._find(path, last=True)
        try:
            return os.stat(name or b".", dir_fd=above, follow_symlinks=False)
        finally:
            os.close(above)

    def link(self, path):
        # type: (bytes) -> Optional[bytes]
        """Where the link at ``path`` points; None when it is no link. Raises OSError."""
        above, name = self._find(path, last=False)
        try:
            return _link(name, above) if name else None
        finally:
            os.close(above)

    def directory(self, path):
        # type: (bytes) -> Directory
        """The directory at ``path``, to be closed by whoever asked. Raises OSError."""
        above, name = self._find(path, last=True)
        try:
            fd = walk.open_quietly(name or b".", os.O_DIRECTORY, above)
        finally:
            os.close(above)
        return Directory(self, path, fd)

    def _find(self, path, last):
        # type: (bytes, bool) -> Tuple[int, bytes]
        """A directory's descriptor and the name in it that ``path`` leads to; "" for the directory itself.

        ``last``: a link at the end of the path is followed, too.
        """
        todo = [part for part in reversed(path.split(b"/")) if part]
        held = [os.dup(self.fd)]  # the directories on the way, so that ".." is a step back and not a question
        links = 0
        try:
            while todo:
                part = todo.pop()
                if part == b"..":
                    if len(held) > 1:
                        os.close(held.pop())
                    continue
                if part == b".":
                    continue
                target = _step(part, held) if todo else _link(part, held[-1]) if last else None
                if target is None:
                    if todo:
                        continue
                    return held.pop(), part
                links += 1
                if links > LINK_LIMIT:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith(b"/"):
                    _close_all(held[1:])
                    del held[1:]
                todo.extend(step for step in reversed(target.split(b"/")) if step)
            return held.pop(), b""
        finally:
            _close_all(held)


class Directory(object):
    """An open directory below a root. ``path`` is how it was asked for. For ``with``."""

    def __init__(self, root, path, fd):
        # type: (Root, bytes, int) -> None
        found = os.fstat(fd)
        self.path = path.rstrip(b"/")
        self.ident = found.st_dev, found.st_ino  # the same for whatever other path leads here
        self._root = root
        self._fd = fd

    def __enter__(self):
        # type: () -> Directory
        return self

    def __exit__(self, *_):
        # type: (object) -> None
        self.close()

    def close(self):
        # type: () -> None
        os.close(self._fd)

    def names(self, limit=NAMES_LIMIT):
        # type: (int) -> List[bytes]
        """What is in it, sorted. Raises OSError, with E2BIG when that is more than ``limit``."""
        names = listing(self._fd)
        if len(names) > limit:
            raise OSError(errno.E2BIG, "more than %d names" % limit)
        return names

    def status(self, name):
        # type: (bytes) -> os.stat_result
        """What lstat(2) says of that name. Raises OSError."""
        return os.stat(name, dir_fd=self._fd, follow_symlinks=False)

    def link(self, name):
        # type: (bytes) -> Optional[bytes]
        """Where the link of that name points; None when it is no link. Raises OSError."""
        return _link(name, self._fd)

    def read(self, name, limit):
        # type: (bytes, int) -> bytes
        """The whole file of that name, a link followed inside the root. Raises OSError as ``Root.read`` does."""
        if _link(name, self._fd) is not None:
            return self._root.read(self.path + b"/" + name, limit)
        return whole(_open_file(name, self._fd), limit)


def _open_file(name, dir_fd):
    # type: (bytes, int) -> int
    mode = os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file")
    return walk.open_quietly(name, 0, dir_fd)


def whole(fd, limit):
    # type: (int, int) -> bytes
    """All that there is from where ``fd`` stands, which is closed. Raises OSError (EFBIG beyond ``limit`` bytes)."""
    try:
        data = read_fd(fd, limit + 1)
    finally:
        os.close(fd)
    if len(data) > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return data


def _step(part, held):
    # type: (bytes, List[int]) -> Optional[bytes]
    """Go down into a directory, which is then the last of ``held``; or where the link of that name points."""
    try:
        held.append(os.open(part, _STEP, dir_fd=held[-1]))
    except OSError as error:
        target = _link(part, held[-1]) if error.errno in (errno.ENOTDIR, errno.ELOOP) else None
        if target is None:
            raise
        return target
    return None


def _link(name, dir_fd):
    # type: (bytes, int) -> Optional[bytes]
    try:
        return os.readlink(name, dir_fd=dir_fd)
    except OSError as error:
        if error.errno == errno.EINVAL:  # not a link
            return None
        raise


def _regular(found):
    # type: (os.stat_result) -> None
    if not stat.S_ISREG(found.st_mode):
        number = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
        raise OSError(number, os.strerror(number))


def _close_all(fds):
    # type: (List[int]) -> None
    for fd in fds:
        os.close(fd)


def read_fd(fd, limit):
    # type: (int, int) -> bytes
    """Up to ``limit`` bytes from where ``fd`` stands."""
    parts, left = [], limit
    while left:
        data = os.read(fd, min(left, 1 << 20))
        if not data:
            break
        parts.append(data)
        left -= len(data)
    return b"".join(parts)
