"""Read files inside a root, wherever the links in it point: no link leads out of the root.

An offline tree may say that /etc/passwd is a link to somewhere on the machine that looks; here it means what it would
mean on the instance.
"""

import errno
import os
from typing import List, Optional

from driftd.probe import walk

LINK_LIMIT = 40


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
        """A descriptor of the regular file at ``path``. Raises OSError."""
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
                target = _link(part, held[-1])
                if target is None:
                    if not todo:
                        return walk.open_quietly(part, 0, held[-1])
                    held.append(
                        os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held[-1])
                    )
                    continue
                links += 1
                if links > LINK_LIMIT:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith(b"/"):
                    _close_all(held[1:])
                    del held[1:]
                todo.extend(step for step in reversed(target.split(b"/")) if step)
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        finally:
            _close_all(held)

    def read(self, path, limit):
        # type: (bytes, int) -> bytes
        """The whole file. Raises OSError, with EFBIG when it is longer than ``limit`` bytes."""
        fd = self.open(path)
        try:
            data = read_fd(fd, limit + 1)
        finally:
            os.close(fd)
        if len(data) > limit:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return data


def _link(name, dir_fd):
    # type: (bytes, int) -> Optional[bytes]
    try:
        return os.readlink(name, dir_fd=dir_fd)
    except OSError as error:
        if error.errno == errno.EINVAL:  # not a link
            return None
        raise


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
