"""What tells a resident probe which directories something happened in: inotify, dnotify, or its own round.

inotify(7) needs ctypes, which python3-minimal has not. dnotify (fcntl(2), ``F_NOTIFY``) is older and needs nothing but
the standard library: a directory that is held open sends a signal when something in it is created, written, renamed,
removed or changed. A signal does not say which directory sent it, so directories share the real-time signals there are,
and whoever takes a signal has a share of the tree to look through. Where there is neither, a round visits them all.

All three are asked the same: ``add`` directories, wait for ``fileno``, ``hush``, and ``take`` what was touched.
"""

import fcntl
import os
import signal
import struct
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

_EVENT = struct.Struct("iIII")
_IN = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400  # MODIFY ATTRIB CLOSE_WRITE MOVED_* CREATE DELETE*
_IN_ONLYDIR, _IN_DONT_FOLLOW = 0x01000000, 0x02000000
_IN_Q_OVERFLOW, _IN_IGNORED = 0x4000, 0x8000
_IN_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_READ = 64 * 1024
_READS = 64  # in one taking: what is left comes with the next

_F_SETSIG = 10
# Directories where much is written have signals of their own, so that it costs no look at the others.
BUSY = (b"/var/log", b"/var/lib", b"/var/cache", b"/var/spool", b"/var/tmp", b"/tmp", b"/run", b"/home", b"/root")
_SPARE = 200  # descriptors that the probe keeps for everything else
ROUND = 40  # directories that one taking of a round visits

Touched = Tuple[Set[bytes], bool]  # directories, and whether some may be missing


class Inotify(object):
    """inotify through ctypes. Raises ImportError without ctypes and OSError where the kernel gives none."""

    name = b"inotify"
    pins = False

    def __init__(self):
        # type: () -> None
        import ctypes  # noqa: PLC0415  # python3-minimal has none

        libc = ctypes.CDLL(None, use_errno=True)
        self._add = libc.inotify_add_watch
        self._errno = ctypes.get_errno
        self._fd = int(libc.inotify_init1(_IN_FLAGS))
        if self._fd < 0:
            raise OSError(self._errno(), "inotify_init1")
        self._paths = {}  # type: Dict[int, bytes]

    def fileno(self):
        # type: () -> int
        return self._fd

    def __len__(self):
        # type: () -> int
        return len(self._paths)

    def add(self, path):
        # type: (bytes) -> bool
        """False when the kernel watches no more, or the directory is gone."""
        number = self._add(self._fd, path, _IN | _IN_ONLYDIR | _IN_DONT_FOLLOW)
        if number >= 0:
            self._paths[number] = path
        return bool(number >= 0)

    def hush(self):
        # type: () -> None
        """Nothing to do: the kernel gathers what is not read, and says when it was too much."""

    def take(self):
        # type: () -> Touched
        found, over = set(), False  # type: Set[bytes], bool
        for _ in range(_READS):
            try:
                data = os.read(self._fd, _READ)
            except BlockingIOError:
                break
            at = 0
            while at < len(data):
                number, mask, _cookie, length = _EVENT.unpack_from(data, at)
                at += _EVENT.size + length
                over = over or bool(mask & _IN_Q_OVERFLOW)
                path = self._paths.pop(number, b"") if mask & _IN_IGNORED else self._paths.get(number, b"")
                if path:
                    found.add(path)
        return found, over

    def forget(self, path):
        # type: (bytes) -> None
        """The kernel does so by itself."""

    def close(self):
        # type: () -> None
        os.close(self._fd)


class Dnotify(object):
    """dnotify: a held descriptor and a share of a signal for each directory. Raises OSError where there is none.

    A held directory keeps its file system from being unmounted, so ``pins`` tells to add none but the root's.
    """

    name = b"dnotify"
    pins = True

    def __init__(self):
        # type: () -> None
        self._room = max(0, os.sysconf("SC_OPEN_MAX") - _SPARE)
        self._signals = list(range(int(signal.SIGRTMIN) + 1, int(signal.SIGRTMAX)))
        self._shares = {one: {} for one in self._signals}  # type: Dict[int, Dict[bytes, int]]
        self._known = set()  # type: Set[bytes]
        self._next = 0
        self._hushed = set()  # type: Set[int]
        self._over = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        for one in self._signals:
            signal.signal(one, _heard)
        # What comes in its place when there were more signals than the kernel keeps.
        signal.signal(signal.SIGIO, self._lost)
        signal.set_wakeup_fd(self._writer)
        self._ask(b"/")  # so that it is known now whether the kernel has it
        self.forget(b"/")

    def fileno(self):
        # type: () -> int
        return self._reader

    def __len__(self):
        # type: () -> int
        return len(self._known)

    def add(self, path):
        # type: (bytes) -> bool
        """False when no descriptor is left, or the directory is gone or on a file system that tells nothing."""
        if path in self._known:
            return True
        if len(self._known) >= self._room:
            return False
        try:
            self._ask(path)
        except OSError:
            return False
        return True

    def _ask(self, path):
        # type: (bytes) -> None
        share = self._share(path)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.fcntl(fd, _F_SETSIG, share)
            everything = fcntl.DN_MODIFY | fcntl.DN_CREATE | fcntl.DN_DELETE | fcntl.DN_RENAME | fcntl.DN_ATTRIB
            fcntl.fcntl(fd, fcntl.F_NOTIFY, everything | fcntl.DN_MULTISHOT)
        except OSError:
            os.close(fd)
            raise
        self._shares[share][path] = fd
        self._known.add(path)

    def _share(self, path):
        # type: (bytes) -> int
        for at, busy in enumerate(BUSY):
            if path == busy or path.startswith(busy + b"/"):
                return self._signals[at % len(self._signals)]
        rest = self._signals[len(BUSY) :] or self._signals
        self._next += 1
        return rest[self._next % len(rest)]

    def _lost(self, _number, _frame):
        # type: (int, Any) -> None
        self._over = True

    def hush(self):
        # type: () -> None
        """Remember which signals came, and hear no more of them until they are taken."""
        try:
            data = os.read(self._reader, _READ)
        except BlockingIOError:
            return
        for number in set(data) & self._shares.keys():
            signal.signal(number, signal.SIG_IGN)
            self._hushed.add(number)

    def take(self):
        # type: () -> Touched
        self.hush()
        found, over = set(), self._over  # type: Set[bytes], bool
        self._over = False
        for number in self._hushed:
            signal.signal(number, _heard)  # first: what happens from here on is told again
            found.update(self._shares[number])
        self._hushed.clear()
        return found, over

    def forget(self, path):
        # type: (bytes) -> None
        """A directory that is gone."""
        for share in self._shares.values():
            fd = share.pop(path, None)
            if fd is not None:
                os.close(fd)
        self._known.discard(path)

    def close(self):
        # type: () -> None
        signal.set_wakeup_fd(-1)
        for share in self._shares.values():
            for fd in share.values():
                os.close(fd)


class Round(object):
    """Neither: every taking visits the next few directories, and nobody is woken by anything."""

    name = b"sweep"
    pins = False

    def __init__(self):
        # type: () -> None
        self._paths = []  # type: List[bytes]
        self._known = set()  # type: Set[bytes]
        self._at = 0

    def fileno(self):
        # type: () -> int
        return -1

    def __len__(self):
        # type: () -> int
        return len(self._paths)

    def add(self, path):
        # type: (bytes) -> bool
        if path not in self._known:
            self._known.add(path)
            self._paths.append(path)
        return True

    def hush(self):
        # type: () -> None
        """Nobody calls."""

    def take(self):
        # type: () -> Touched
        found = self._paths[self._at : self._at + ROUND]
        self._at = self._at + ROUND if self._at + ROUND < len(self._paths) else 0
        return set(found), False

    def forget(self, path):
        # type: (bytes) -> None
        """A directory that is gone."""
        if path in self._known:
            self._known.discard(path)
            self._paths.remove(path)

    def close(self):
        # type: () -> None
        """Nothing is held."""


def best(allowed):
    # type: (Iterable[bytes]) -> Any
    """The best of them that works here, of those ``allowed`` by name."""
    for kind in (Inotify, Dnotify):  # type: Any
        if kind.name in allowed:
            try:
                return kind()
            except (ImportError, OSError, AttributeError, ValueError):
                continue
    return Round()


def _heard(_number, _frame):
    # type: (int, Optional[Any]) -> None
    """The descriptor that Python writes the signal's number to is what wakes us."""
