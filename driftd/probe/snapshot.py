"""The programs that run, as procfs tells of them at one moment (proc(5)): read once, for every kind of fact about them.

Nothing of a command line is read, and of an environment only what the loader heeds. Whatever a process does to be
looked at long is bounded; a process that ends meanwhile is none.
"""

import os
import time
from typing import Dict, List, Optional, Set, Tuple

from driftd.probe import system

PROCESSES_LIMIT = 100000
FILES_LIMIT = 1 << 20  # open files of one process
SECONDS = 4.0  # for all open files, and once more for all mappings
_THREAD_OF_KERNEL = 0x00200000  # PF_KTHREAD
_DENIED = (1, 13)  # EPERM, EACCES


class Process(object):
    """One process. ``program`` is how /proc/PID/exe reads, "" where that is hidden."""

    __slots__ = ("above", "network", "pid", "program", "session", "tracer", "user")

    def __init__(self, pid, above, session):
        # type: (int, int, int) -> None
        self.pid = pid
        self.above = above
        self.session = session
        self.program = b""
        self.user = b""
        self.tracer = 0
        self.network = b""  # its network namespace, as "net:[4026531840]"; "" where that is hidden


class Snapshot(object):
    """The processes that are there, in order of their numbers.

    ``hidden``: what of some of them may not be seen: "programs", "files". ``cut``: there are more of them;
    ``files_cut``: not every open file was looked at; ``networks_cut``: nor every socket of every network namespace.
    """

    def __init__(self, kernel, names):
        # type: (system.System, Dict[int, bytes]) -> None
        self.kernel = kernel
        self.processes = []  # type: List[Process]
        self.hidden = set()  # type: Set[str]
        self.files_cut = False
        self.networks_cut = False
        self.sockets = {}  # type: Dict[bytes, Set[Process]]
        self.bpf = []  # type: List[Tuple[Process, bytes]]
        numbers = sorted(int(name) for name in kernel.names(b"/proc") if name.isdigit())
        self.cut = len(numbers) > PROCESSES_LIMIT
        if 1 not in numbers:
            self.hidden |= {"programs", "files"}  # a /proc that shows each user only what is theirs
        for number in numbers[:PROCESSES_LIMIT]:
            process = self._process(number, names)
            if process is not None:
                self.processes.append(process)

    def path(self, process, name):
        # type: (Process, bytes) -> bytes
        """Where ``name`` of a process is."""
        return self.kernel.top + b"/proc/%d/" % process.pid + name

    def link(self, process, name):
        # type: (Process, bytes) -> Optional[bytes]
        """What a link of a process says; b"" where that may not be seen, None when there is none."""
        try:
            return os.readlink(self.path(process, name))
        except OSError as error:
            return b"" if error.errno in _DENIED else None

    def _process(self, number, names):
        # type: (int, Dict[int, bytes]) -> Optional[Process]
        """None for the kernel's own threads, and for what has ended."""
        text = self.kernel.text(b"/proc/%d/stat" % number, 4096)
        fields = text.rpartition(b")")[2].split()  # the name before it may hold anything, brackets included
        if len(fields) < 20 or fields[0] in (b"Z", b"X") or system.number(fields[6]) & _THREAD_OF_KERNEL:
            return None
        process = Process(number, system.number(fields[1]), system.number(fields[3]))
        program = self.link(process, b"exe")
        if program is None:
            return None
        if not program:
            self.hidden.add("programs")
        process.program = program
        process.network = self.link(process, b"ns/net") or b""
        for line in self.kernel.lines(b"/proc/%d/status" % number, 65536):
            key, _, value = line.partition(b":")
            if key == b"TracerPid":
                process.tracer = max(0, system.number(value))
            elif key == b"Uid":
                process.user = system.name_of(names, system.number((value.split() + [b""] * 2)[1]))  # the effective one
                break
        return process

    def own(self):
        # type: () -> Set[int]
        """The look's own process and those of its session that it came through (a shell, sudo)."""
        by_number = {process.pid: process for process in self.processes}
        numbers, at = set(), by_number.get(os.getpid())  # type: Set[int], Optional[Process]
        session = at.session if at else 0
        while at is not None and at.session == session and at.pid not in numbers:
            numbers.add(at.pid)
            at = by_number.get(at.above)
        return numbers

    def own_network(self):
        # type: () -> bytes
        """The look's own network namespace, as ``Process.network`` tells it."""
        try:
            return os.readlink(self.kernel.top + b"/proc/self/ns/net")
        except OSError:
            return b""

    def look_at_files(self, wanted):
        # type: (Set[bytes]) -> None
        """Go through what each process has open: who holds a socket of those inode numbers, and who a BPF program."""
        until = time.monotonic() + SECONDS
        for process in self.processes:
            try:
                with os.scandir(self.path(process, b"fd")) as files:
                    for number, file in enumerate(files):
                        if number >= FILES_LIMIT or time.monotonic() > until:
                            self.files_cut = True
                            break
                        self._look_at_file(process, file.path, wanted)
            except OSError as error:
                if error.errno in _DENIED:
                    self.hidden.add("files")

    def _look_at_file(self, process, path, wanted):
        # type: (Process, bytes, Set[bytes]) -> None
        try:
            target = os.readlink(path)
        except OSError:
            return
        if target.startswith(b"socket:[") and target[8:-1] in wanted:
            self.sockets.setdefault(target[8:-1], set()).add(process)
        elif target in (b"anon_inode:bpf-prog", b"anon_inode:bpf_link") and len(self.bpf) < FILES_LIMIT:
            self.bpf.append((process, os.path.basename(path)))
