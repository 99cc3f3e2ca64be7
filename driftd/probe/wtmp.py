"""Terminal logins from wtmp: the records of utmp(5) as glibc writes them on Linux."""

import os
import socket
import struct
from typing import Dict, List, NamedTuple

LIMIT = 16 * 1024 * 1024

# type, pid, line, id, user, host, exit status (2), session, seconds, microseconds, address (4 words), unused.
# glibc keeps 32-bit times on x86-64 and most others; on aarch64 session and times are 64-bit.
_COMMON = struct.Struct("=hxxi32s4s32s256shhiii16s20x")
_WIDE = struct.Struct("=hxxi32s4s32s256shhqqq16s20x4x")

_RUN_LEVEL, _BOOT, _USER, _DEAD = 1, 2, 7, 8

Terminal = NamedTuple(
    "Terminal",
    [
        ("user", bytes),
        ("line", bytes),
        ("host", bytes),
        ("pid", int),
        ("started", int),
        ("ended", int),  # 0 while nothing says that it is over
    ],
)


def record(machine=""):
    # type: (str) -> struct.Struct
    """The form of a record on ``machine`` (as uname -m says it; this one by default)."""
    return _WIDE if (machine or os.uname().machine) == "aarch64" else _COMMON


def terminals(data, since, form=_COMMON):
    # type: (bytes, float, struct.Struct) -> List[Terminal]
    """The logins recorded since ``since``, oldest first; a record that is cut short at the end is passed over."""
    found = []  # type: List[Terminal]
    open_lines = {}  # type: Dict[bytes, int]
    whole = len(data) - len(data) % form.size
    for fields in form.iter_unpack(data[:whole]):
        kind, pid, line, _, user, host = fields[:6]
        at, address = fields[9], fields[11]
        line = _text(line)
        if at < since:
            continue
        if kind in (_RUN_LEVEL, _BOOT):
            for number in open_lines.values():
                found[number] = found[number]._replace(ended=at)
            open_lines = {}
        elif kind in (_USER, _DEAD):
            number = open_lines.pop(line, -1)
            if number >= 0:
                found[number] = found[number]._replace(ended=at)
            if kind == _USER and _text(user):
                open_lines[line] = len(found)
                found.append(Terminal(_text(user), line, _address(address) or _text(host), pid, at, 0))
    return found


def door(terminal):
    # type: (Terminal) -> bytes
    """A terminal that sshd made has a host that it was asked for from; any other is a console."""
    return b"ssh" if terminal.host and terminal.line.startswith(b"pts/") else b"console"


def _text(field):
    # type: (bytes) -> bytes
    return field.partition(b"\x00")[0]


def _address(field):
    # type: (bytes) -> bytes
    if not any(field):
        return b""
    family, raw = (socket.AF_INET6, field) if any(field[4:]) else (socket.AF_INET, field[:4])
    return socket.inet_ntop(family, raw).encode("ascii")
