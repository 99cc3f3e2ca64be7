"""sshd's processes as /proc shows them: who is logged in now, and which of them the probe itself came through."""

import errno
import os
import re
import socket
import sys
import time
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

from driftd.probe import inside

# CLOCK_BOOTTIME; the constant came with Python 3.7.
_CLOCK_BOOTTIME = 7
_STAT_LIMIT = 4096
_TABLE_LIMIT = 8 * 1024 * 1024
_PROCESS_LIMIT = 100000

# "sshd: alice@pts/0", "sshd: alice@notty", "sshd: alice"; whatever has a bracket has not got in, or only watches.
_TITLE = re.compile(
    rb"^sshd(?:-session)?: ([^\[\]]{1,256}?)(?:@(notty|internal-sftp|(?:pts/|tty)[\w/,.-]{1,60}))?[ \x00]*$"
)
_WATCHER = re.compile(rb"^sshd(?:-session)?: [^\[\]]{1,256} \[priv\]")

# What serves a copy: sftp, and scp in either direction.
_COPYING = frozenset([b"sftp-server", b"internal-sftp", b"scp", b"rsync"])
_BELOW_LIMIT = 1000  # processes of one login that are looked at

Process = NamedTuple(
    "Process",
    [
        ("pid", int),
        ("above", int),
        ("name", bytes),
        ("ticks", int),
        ("started", float),
        ("flags", int),  # of the kernel, <linux/sched.h>
        ("tty", bytes),
        ("over", bool),  # it has ended, and whoever began it has not asked how
    ],
)
Live = NamedTuple(
    "Live",
    [
        ("user", bytes),
        ("tty", bytes),
        ("pid", int),  # the one that logged "Accepted"
        ("child", int),  # the one that the person's programs belong to; often the same
        ("started", int),
        ("source", bytes),
        ("port", int),
        ("kind", bytes),
    ],
)


def clock_base():
    # type: () -> float
    """The wall-clock time at which the clock that process starts are measured by stood at zero."""
    return time.time() - time.clock_gettime(_CLOCK_BOOTTIME)


class Table(object):
    """The processes that there were at one moment. ``proc`` is where procfs is mounted."""

    def __init__(self, proc=b"/proc", base=None):
        # type: (bytes, Optional[float]) -> None
        self._proc = proc
        self._known_peers = None  # type: Optional[Dict[bytes, Tuple[bytes, int]]]
        self._base = clock_base() if base is None else base
        self._ticks = os.sysconf("SC_CLK_TCK")
        self.all = {}  # type: Dict[int, Process]
        numbers = sorted(int(name) for name in os.listdir(proc) if name.isdigit())
        for number in numbers[:_PROCESS_LIMIT]:
            found = self._process(number)
            if found is not None:
                self.all[found.pid] = found

    @property
    def booted_at(self):
        # type: () -> Optional[float]
        """When PID 1 of this PID namespace started; None where it is hidden from us."""
        return self.all[1].started if 1 in self.all else None

    def ancestors(self, pid):
        # type: (int) -> Dict[int, float]
        """``pid`` and the processes above it, with their starts."""
        chain = {}  # type: Dict[int, float]
        while pid in self.all and pid not in chain:
            chain[pid] = self.all[pid].started
            pid = self.all[pid].above
        return chain

    def live(self):
        # type: () -> List[Live]
        """The logins that sshd serves now."""
        found, peers, below = [], self._peers(), self._below()
        for process in self._sshds():
            title = _TITLE.match(self.read(process.pid, b"cmdline"))
            if not title:
                continue
            watcher = process.pid
            if _WATCHER.match(self.read(process.above, b"cmdline")):
                watcher = process.above
            source, port = self._peer(process.pid, peers) or self._peer(watcher, peers) or (b"", 0)
            tty = title.group(2) or b""
            started = int(self.all[watcher].started if watcher in self.all else process.started)
            kind = self._kind(tty, process.pid, below)
            tty = b"" if tty in (b"notty", b"internal-sftp") else tty
            found.append(Live(title.group(1), tty, watcher, process.pid, started, source, port, kind))
        return sorted(found, key=lambda one: (one.started, one.pid))

    def served(self):
        # type: () -> List[Tuple[int, Tuple[bytes, int]]]
        """Each process of sshd that holds a connection, and whom it is with."""
        peers = self._peers()
        found = ((process.pid, self._peer(process.pid, peers)) for process in self._sshds())
        return [(pid, peer) for pid, peer in found if peer is not None]

    def read(self, pid, name):
        # type: (int, bytes) -> bytes
        """A short file of a process; nothing where it is gone or hidden."""
        return self._read(b"%d/%s" % (pid, name), _STAT_LIMIT)

    def stays(self, process):
        # type: (Process) -> bool
        """Whether it is still there, below the same one; it may be running something else by now."""
        again = self._process(process.pid)
        return again is not None and not again.over and (again.ticks, again.above) == (process.ticks, process.above)

    def owner(self, pid):
        # type: (int) -> int
        """The user that a process runs as; the overflow user where it is gone."""
        try:
            return os.stat(os.path.join(self._proc, b"%d" % pid)).st_uid
        except OSError:
            return 65534

    def _sshds(self):
        # type: () -> List[Process]
        return [one for one in self.all.values() if one.name.startswith(b"sshd") and self._runs_sshd(one.pid)]

    def _below(self):
        # type: () -> Dict[int, List[int]]
        found = {}  # type: Dict[int, List[int]]
        for process in self.all.values():
            found.setdefault(process.above, []).append(process.pid)
        return found

    def _kind(self, tty, child, below):
        # type: (bytes, int, Dict[int, List[int]]) -> bytes
        """What a login is for. sshd's title has "@" once a channel runs something; one that only forwards has none."""
        if tty not in (b"", b"notty", b"internal-sftp"):
            return b"interactive"
        todo, seen = [child], set()  # type: List[int], Set[int]
        while todo and len(seen) < _BELOW_LIMIT:
            pid = todo.pop()
            if pid in seen:
                continue
            seen.add(pid)
            if pid != child and self.all[pid].name in _COPYING:
                return b"transfer"
            todo.extend(below.get(pid, ()))
        if tty == b"internal-sftp":
            return b"transfer"
        return b"command" if tty or len(seen) > 1 else b"forward"

    def _process(self, pid):
        # type: (int) -> Optional[Process]
        text = self._read(b"%d/stat" % pid, _STAT_LIMIT)
        name, _, rest = text.partition(b" (")[2].rpartition(b")")  # the name may hold anything, brackets included
        fields = rest.split()
        if len(fields) < 20:
            return None
        ticks = int(fields[19])
        started = self._base + ticks / float(self._ticks)
        # The kernel lets go of a process while it is read: then there is no parent, no group and no session any more.
        over = fields[0] in (b"Z", b"X") or fields[2] == b"-1"
        return Process(pid, int(fields[1]), name, ticks, started, int(fields[6]), _terminal(int(fields[4])), over)

    def _runs_sshd(self, pid):
        # type: (int) -> bool
        """False when the program is known to be another one; a process may call itself what it likes."""
        try:
            program = os.readlink(os.path.join(self._proc, b"%d/exe" % pid))
        except OSError:
            return True
        return os.path.basename(program).startswith(b"sshd")

    def _read(self, name, limit):
        # type: (bytes, int) -> bytes
        try:
            fd = os.open(os.path.join(self._proc, name), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return inside.read_fd(fd, limit)
        except OSError:
            return b""
        finally:
            os.close(fd)

    # --- connections -------------------------------------------------------------------------------------------------

    def _peers(self):
        # type: () -> Dict[bytes, Tuple[bytes, int]]
        """Inode of each TCP socket in this network namespace → address and port of the other end; read once.

        The kernel goes through its whole table of sockets for it, which takes milliseconds.
        """
        if self._known_peers is not None:
            return self._known_peers
        found = {}  # type: Dict[bytes, Tuple[bytes, int]]
        for name in (b"self/net/tcp", b"self/net/tcp6"):
            for line in self._read(name, _TABLE_LIMIT).split(b"\n")[1:]:
                fields = line.split()
                if len(fields) > 9 and fields[3] == b"01":
                    address, _, port = fields[2].partition(b":")
                    found[fields[9]] = (_address(address), int(port, 16))
        self._known_peers = found
        return found

    def _peer(self, pid, peers):
        # type: (int, Dict[bytes, Tuple[bytes, int]]) -> Optional[Tuple[bytes, int]]
        directory = os.path.join(self._proc, b"%d/fd" % pid)
        try:
            numbers = os.listdir(directory)[:256]
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.ENOENT, errno.EPERM):
                raise
            return None
        for number in numbers:
            try:
                target = os.readlink(os.path.join(directory, number))
            except OSError:
                continue
            if target.startswith(b"socket:[") and target[8:-1] in peers:
                return peers[target[8:-1]]
        return None


def _terminal(number):
    # type: (int) -> bytes
    """The name of a controlling terminal by its number (proc(5), Linux's devices.txt); b"" for none and other kinds."""
    major, minor = number >> 8 & 0xFFF, (number & 0xFF) | (number >> 12 & 0xFFF00)
    if 136 <= major <= 143:
        return b"pts/%d" % ((major - 136) * 256 + minor)
    if major == 229:
        return b"hvc%d" % minor
    if major != 4:
        return b""
    return b"tty%d" % minor if minor < 64 else b"ttyS%d" % (minor - 64)


def _address(text):
    # type: (bytes) -> bytes
    """An address as /proc/net/tcp writes it: 32-bit words in this machine's byte order."""
    raw = bytes.fromhex(text.decode("ascii", "replace"))
    words = (raw[at : at + 4] for at in range(0, len(raw), 4))
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    if len(packed) == 16 and packed.startswith(b"\x00" * 10 + b"\xff\xff"):
        packed = packed[12:]
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed).encode("ascii")
