"""Trails: when the kernel last changed a name, and which living processes run it or wrote what it holds.

The kernel stamps an inode's ctime on every change and nobody sets it; only a clock that is set, or root writing to the
disk beneath, makes it say otherwise. Of a process the kernel has the number of the login that it was started from
(proc(5): ``sessionid``), its parents, and of what it holds open how and how far it has written.
"""

import os
import stat
import time
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

from driftd.probe import dialogue, processes, sweep

FILES_LIMIT = 50000  # open files of all processes that are looked at
SECONDS = 2.0  # for all of that
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DELETED = b" (deleted)"
_APPENDS = 0o2000  # O_APPEND as fdinfo writes it, on every machine that driftd knows

Trail = NamedTuple("Trail", [("changed", int), ("itself", bool), ("rows", List[List[Any]])])
# ``changed`` in nanoseconds; ``itself`` is False where only the directory above is there to tell; ``rows`` as
# dialogue.py has them.


class Trails(object):
    """Trails below one root directory; processes only where that is the machine's own. /proc is read once, if at all.

    ``proc`` is where procfs is mounted.
    """

    def __init__(self, root, proc=b"/proc"):
        # type: (bytes, bytes) -> None
        self._root = root
        self._proc = proc
        self._table = None  # type: Optional[processes.Table]
        self._numbers = {}  # type: Dict[int, sweep.Number]
        self._own = set()  # type: Set[int]
        self._cut = False
        self._running = {}  # type: Dict[bytes, List[int]]
        self._open = {}  # type: Dict[bytes, List[Tuple[int, bytes]]]

    def of(self, path):
        # type: (bytes) -> Trail
        """The trail of one path. Raises OSError where not even the root can be seen."""
        state, itself = self._state(path)
        rows = []  # type: List[List[Any]]
        if self._root == b"/":
            self._read()
            rows = self._runs(path) + (self._wrote(path, state) if itself and stat.S_ISREG(state.st_mode) else [])
        if self._cut or len(rows) > dialogue.ROWS_LIMIT:
            rows = []  # of a part of them nothing follows
        return Trail(max(0, state.st_ctime_ns), itself, rows)

    def _state(self, path):
        # type: (bytes) -> Tuple[os.stat_result, bool]
        """Of the name, or of the lowest directory above it that is there; links are followed nowhere."""
        fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in [part for part in path.split(b"/") if part]:
                state = os.fstat(fd)
                if part == b".." or not stat.S_ISDIR(state.st_mode):
                    return state, False
                try:
                    below = os.open(part, _STEP, dir_fd=fd)
                except OSError:
                    return state, False
                os.close(fd)
                fd = below
            return os.fstat(fd), True
        finally:
            os.close(fd)

    # --- processes ---

    def _read(self):
        # type: () -> None
        """Who runs what and holds what open, by the names that the kernel gives of both."""
        if self._table is not None:
            return
        table = self._table = processes.Table(self._proc)
        self._numbers = sweep.numbers(table)
        self._own = set(table.ancestors(os.getpid()))
        left, until = FILES_LIMIT, time.monotonic() + SECONDS
        for pid in table.all:
            if pid in self._own:
                continue
            self._cut = self._cut or left <= 0 or time.monotonic() > until
            if self._cut:
                return
            program = self._link(pid, b"exe")
            if program:
                self._running.setdefault(_name(program), []).append(pid)
            for number in self._descriptors(pid)[:left]:
                left -= 1
                name = self._link(pid, b"fd/" + number)
                if name.startswith(b"/") and not name.startswith(b"/dev/"):
                    self._open.setdefault(name, []).append((pid, number))

    def _runs(self, path):
        # type: (bytes) -> List[List[Any]]
        return [self._row(dialogue.RUNS, pid) for pid in self._running.get(path, ())]

    def _wrote(self, path, state):
        # type: (bytes, os.stat_result) -> List[List[Any]]
        """Those that hold it open and have themselves written up to its very end, not behind what others had."""
        found = []
        for pid, number in self._open.get(path, ()):
            told = self._told(pid, number)
            position, flags = told.get(b"pos", -1), told.get(b"flags", 0)
            if position != state.st_size or not position or flags & os.O_ACCMODE != os.O_WRONLY or flags & _APPENDS:
                continue  # whoever may also read can be at the end without having written anything
            try:
                held = os.stat(os.path.join(self._proc, b"%d/fd/%s" % (pid, number)))
            except OSError:
                continue
            if (held.st_dev, held.st_ino) == (state.st_dev, state.st_ino):
                found.append(self._row(dialogue.WROTE, pid))
        return found

    def _told(self, pid, number):
        # type: (int, bytes) -> Dict[bytes, int]
        """Position and flags of an open file (proc(5), fdinfo), the flags being octal."""
        found = {}  # type: Dict[bytes, int]
        if self._table is not None:
            for line in self._table.read(pid, b"fdinfo/" + number).split(b"\n"):
                name, _, value = line.partition(b":")
                if name in (b"pos", b"flags") and value.strip().isdigit():
                    found[name] = int(value.strip(), 8 if name == b"flags" else 10)
        return found

    def _row(self, deed, pid):
        # type: (bytes, int) -> List[Any]
        table = self._table
        if table is None:
            return [deed, 0, 0, []]
        number = self._numbers[pid].number if pid in self._numbers else 0
        if 1 in self._numbers and self._numbers[1].number == number:
            number = 0  # whoever started the server passed it on to everything
        return [deed, number, max(0, int(table.all[pid].started)), list(table.ancestors(pid))[: dialogue.ABOVE_LIMIT]]

    def _link(self, pid, name):
        # type: (int, bytes) -> bytes
        try:
            return os.readlink(os.path.join(self._proc, b"%d/%s" % (pid, name)))
        except OSError:
            return b""

    def _descriptors(self, pid):
        # type: (int) -> List[bytes]
        try:
            return os.listdir(os.path.join(self._proc, b"%d/fd" % pid))
        except OSError:
            return []


def _name(program):
    # type: (bytes) -> bytes
    return program[: -len(_DELETED)] if program.endswith(_DELETED) else program
