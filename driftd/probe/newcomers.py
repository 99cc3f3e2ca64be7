"""New programs and people at the doors, for a resident probe: the kernel's process events, or a look through /proc.

The proc connector (netlink, ``<linux/cn_proc.h>``) tells of every exec to who has CAP_NET_ADMIN in the first network
and PID namespace; a container has it not, and looks which process ids are new.
"""

import os
import socket
import struct
from typing import Any, List, Set, Tuple

# Whoever comes in passes through one of these; the names are the kernel's, fifteen bytes at most.
DOORS = frozenset(
    b"sshd sshd-session sshd-auth login agetty getty su sudo sudoedit doas runuser machinectl nsenter ssm-session-wor "
    b"systemd-logind sftp-server scp dropbear".split()
)
PASSED_LIMIT = 7  # takings in a row that trust the id that was given last: where that is emulated it may be late
PIDS_LIMIT = 4096  # new ones in one taking; more is an overflow

_NETLINK_CONNECTOR = 11
_CN_PROC = 1
_HEAD = struct.Struct("=IHHII")  # nlmsghdr
_CN = struct.Struct("=IIIIHH")  # cn_msg
_EVENT = struct.Struct("=IIQ")  # what, cpu, time
_PID = struct.Struct("=II")
_LISTEN, _IGNORE = 1, 2
_EXEC, _UID, _SID = 0x2, 0x4, 0x80
_READS = 256

News = Tuple[Set[bytes], bool, bool]  # programs that run, whether somebody is at a door, whether some may be missing


class Connector(object):
    """The proc connector. Raises OSError where it tells us nothing."""

    name = b"connector"

    def __init__(self):
        # type: () -> None
        # Only one in the first namespaces hears anything; others can bind and wait for ever.
        if os.readlink("/proc/self/ns/pid") != "pid:[4026531836]":
            raise OSError(0, "not the first PID namespace")
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_CONNECTOR)
        try:
            self._socket.bind((0, _CN_PROC))
            body = struct.pack("=I", _LISTEN)
            cn = _CN.pack(1, 1, 0, 0, len(body), 0) + body
            self._socket.send(_HEAD.pack(_HEAD.size + len(cn), 3, 0, 0, os.getpid()) + cn)
            self._socket.settimeout(0)
        except OSError:
            self._socket.close()
            raise

    def fileno(self):
        # type: () -> int
        return self._socket.fileno()

    def take(self):
        # type: () -> News
        pids, over, door = set(), False, False  # type: Set[int], bool, bool
        for _ in range(_READS):
            try:
                data = self._socket.recv(4096)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: there were more than the kernel keeps
                over = True
                continue
            if len(data) < _HEAD.size + _CN.size + _EVENT.size + _PID.size:
                continue
            what = _EVENT.unpack_from(data, _HEAD.size + _CN.size)[0]
            if what in (_EXEC, _UID, _SID):
                pids.add(_PID.unpack_from(data, _HEAD.size + _CN.size + _EVENT.size)[0])
                door = door or what == _SID
        over = over or len(pids) > PIDS_LIMIT
        programs, at_door = _described(sorted(pids)[:PIDS_LIMIT])
        return programs, door or at_door, over

    def close(self):
        # type: () -> None
        self._socket.close()


class Sweep(object):
    """Which process ids are new since the last taking."""

    name = b"sweep"

    def __init__(self, proc="/proc"):
        # type: (str) -> None
        self._proc = proc
        self._newest, self._passed = self._cursor(), 0
        self._before = self._pids()

    def fileno(self):
        # type: () -> int
        return -1

    def take(self):
        # type: () -> News
        newest = self._cursor()
        if newest and newest == self._newest and self._passed < PASSED_LIMIT:
            self._passed += 1
            return set(), False, False
        self._newest, self._passed = newest, 0
        now = self._pids()
        new = sorted(now - self._before, key=int)
        self._before = now
        programs, door = _described([int(pid) for pid in new[:PIDS_LIMIT]])
        return programs, door, len(new) > PIDS_LIMIT

    def _cursor(self):
        # type: () -> bytes
        """The id that was given last in this PID namespace (proc(5), loadavg); b"" where nobody says."""
        try:
            fd = os.open(self._proc + "/loadavg", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return b"".join(os.read(fd, 256).split()[4:5])
        finally:
            os.close(fd)

    def _pids(self):
        # type: () -> Set[str]
        return {name for name in os.listdir(self._proc) if name.isdigit()}

    def close(self):
        # type: () -> None
        """Nothing is held."""


def _described(pids):
    # type: (List[int]) -> Tuple[Set[bytes], bool]
    """The programs that these processes run, and whether one of them is at a door. What is gone by now is left out."""
    programs, door = set(), False  # type: Set[bytes], bool
    for pid in pids:
        try:
            with open("/proc/%d/comm" % pid, "rb") as stream:
                door = door or stream.read(64).rstrip(b"\n") in DOORS
            programs.add(os.readlink(b"/proc/%d/exe" % pid))
        except OSError:
            continue
    return programs, door


def best(allowed):
    # type: (Any) -> Any
    """The better of them that works here, of those ``allowed`` by name."""
    if Connector.name in allowed:
        try:
            return Connector()
        except OSError:
            pass
    return Sweep()
