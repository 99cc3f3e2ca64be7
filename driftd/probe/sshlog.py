"""Accepted logins from what sshd wrote, whether to a file through syslog or to the journal.

Three forms of a line are read: RFC 3164 ("Nov  5 14:02:11 host sshd[9]: …", local time, no year), RFC 3339 (rsyslog's
precise form) and journalctl's export format. Whoever may write to the log may forge a login in it; nobody can take one
away by writing.
"""

import calendar
import re
import struct
import time
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

from driftd.probe import writers

LOGINS_LIMIT = 10000
TEXT_LIMIT = 256

_MONTHS = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"]
_DAY = 86400
_YEARS_BACK = 8  # far enough for a 29 February

_TAIL = re.compile(rb"^ \S+ sshd(?:-session)?\[(\d{1,10})\]: (.*)$")
_PLAIN = re.compile(rb"^([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d)")
_PRECISE = re.compile(rb"^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,]\d{1,9})?(Z|[+-]\d\d:?\d\d)?")
_ACCEPTED = re.compile(rb"^Accepted (\S+) for (.{1,256}?) from (\S+) port (\d{1,5})(?: ssh2)?(?:: (.*))?$")
_KEY = re.compile(rb"^\S+(?: (SHA256:[A-Za-z0-9+/=]{1,64}))?(?: ID (.*) \(serial \d+\) CA \S+ \S+)?$")
_OVER = re.compile(
    rb"^(?:Disconnected from|Received disconnect from|Connection (?:closed|reset) by|Closing connection to|"
    rb"Timeout, client not responding from)(?: .*)? (\S+) port (\d{1,5})\b"
)
# At LogLevel VERBOSE: what was asked for, on a terminal or without one. A connection that only forwards says nothing.
_STARTING = re.compile(
    rb"^Starting session: (shell|command|forced-command|subsystem)(.{0,4096}?)(?: on (\S+))? for .{1,256}?"
    rb" from (\S+) port (\d{1,5})(?: id \d+)?$"
)
_COPYING = re.compile(rb"(?:^|[\s/'\"])(?:sftp|internal-sftp|sftp-server|scp|rsync)(?:[\s'\"]|$)")
_CHILD = re.compile(rb"^User child is on pid (\d{1,10})$")
_CLOSED = b"pam_unix(sshd:session): session closed for user "
_LOGGED = (b"Accepted ", b"pam_unix(")  # what tells of a login begins so

# What a login was for; of several channels of one connection the last of these counts.
KINDS = (b"", b"forward", b"transfer", b"command", b"interactive")

# ``sure``: the kernel says that root wrote it, so that not everybody can have. ``writer``: see writers.py.
Line = NamedTuple("Line", [("at", int), ("pid", int), ("text", bytes), ("sure", bool), ("writer", int)])


class Login(object):
    """One accepted login. Times are whole seconds; ``ended`` is 0 while nothing says that it is over."""

    def __init__(self, user, source, port, started, pid):
        # type: (bytes, bytes, int, int, int) -> None
        self.user = user[:TEXT_LIMIT]
        self.source = source[:TEXT_LIMIT]
        self.port = port
        self.started = started
        self.pid = pid
        self.ended = 0
        self.key = b""
        self.key_id = b""
        self.tty = b""
        self.pids = {pid}  # type: Set[int]
        self.door = b"ssh"
        self.live = False
        self.ancestor = False
        self.evidence = set()  # type: Set[bytes]
        self.kind = b""
        self.number = 0


# --- lines -----------------------------------------------------------------------------------------------------------


def syslog_lines(text, latest):
    # type: (bytes, float) -> Iterator[Line]
    """Lines of sshd in a syslog file. ``latest`` is when the file was last written: no line is younger than that."""
    for line in text.split(b"\n"):
        if b"sshd" not in line:
            continue
        at_and_rest = stamped(line, latest)
        found = _TAIL.match(at_and_rest[1]) if at_and_rest else None
        if at_and_rest and found:
            yield Line(at_and_rest[0], int(found.group(1)), found.group(2), sure=False, writer=writers.UNKNOWN)


def stamped(line, latest):
    # type: (bytes, float) -> Optional[Tuple[int, bytes]]
    """When a line of a syslog file was written, and what stands behind the stamp; None where it has none."""
    found = _PRECISE.match(line)
    at = _precise_time(found) if found else None
    if not found:
        found = _PLAIN.match(line)
        at = _plain_time(found, latest) if found else None
    return (at, line[found.end() :]) if found and at is not None else None


def _precise_time(found):
    # type: (re.Match[bytes]) -> Optional[int]
    year, month, day, hour, minute, second = (int(found.group(n)) for n in range(1, 7))
    if not _exists(year, month, day):
        return None
    zone = found.group(7)
    if zone is None:
        return _local(year, month, day, hour, minute, second)
    at = calendar.timegm((year, month, day, hour, minute, second, 0, 0, 0))
    if zone != b"Z":
        offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        at -= offset if zone[:1] == b"+" else -offset
    return at


def _plain_time(found, latest):
    # type: (re.Match[bytes], float) -> Optional[int]
    """The stamp has neither year nor zone: this machine's zone, and the last year in which it is not in the future."""
    if found.group(1) not in _MONTHS:
        return None
    month, day = _MONTHS.index(found.group(1)) + 1, int(found.group(2))
    clock = [int(found.group(n)) for n in (3, 4, 5)]
    year = time.localtime(latest + _DAY).tm_year
    for candidate in range(year, year - _YEARS_BACK, -1):
        if _exists(candidate, month, day):
            at = _local(candidate, month, day, *clock)
            if at is not None and at <= latest + _DAY:
                return at
    return None


def _exists(year, month, day):
    # type: (int, int, int) -> bool
    return 1970 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]


def _local(year, month, day, hour, minute, second):
    # type: (int, int, int, int, int, int) -> Optional[int]
    try:
        return int(time.mktime((year, month, day, hour, minute, second, 0, 0, -1)))
    except (OverflowError, ValueError):
        return None


def export_lines(data):
    # type: (bytes) -> Iterator[Line]
    """Lines from ``journalctl -o export`` (the Journal Export Format); stops at the first thing that is not of it."""
    fields = {}  # type: Dict[bytes, bytes]
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        if end < 0:
            return
        line = data[at:end]
        at = end + 1
        if not line:
            made = _export_line(fields)
            if made is not None:
                yield made
            fields = {}
            continue
        name, equals, value = line.partition(b"=")
        if not equals:  # a value with control characters: its length, then its bytes
            if at + 8 > len(data):
                return
            (length,) = struct.unpack_from("<Q", data, at)
            value = data[at + 8 : at + 8 + length]
            at += 8 + length + 1
        fields[name] = value
    made = _export_line(fields)
    if made is not None:
        yield made


def _export_line(fields):
    # type: (Dict[bytes, bytes]) -> Optional[Line]
    at, pid = fields.get(b"__REALTIME_TIMESTAMP", b""), fields.get(b"_PID", b"")
    if not at.isdigit() or not pid.isdigit() or len(at) > 18 or len(pid) > 10:
        return None
    # Every entry of a process has _UID, which journald takes from the socket.
    sure = fields.get(b"_UID", b"0") == b"0"
    tag, program, name = (fields.get(name, b"") for name in (b"SYSLOG_IDENTIFIER", b"_EXE", b"_COMM"))
    return Line(int(at) // 1000000, int(pid), fields.get(b"MESSAGE", b""), sure, writers.whose(tag, program, name))


def doubted(lines):
    # type: (List[Line]) -> List[Line]
    """The same; where root forged one of them, those whose writer nobody knows count as another's, too.

    By itself such a line is believed: journald may be late. (A user's forgeries would only make others doubted; and
    who has a script say something in the name of ``cron`` forges no login.)
    """
    if not any(line.sure and line.writer == writers.OTHERS and line.text.startswith(_LOGGED) for line in lines):
        return lines
    return [line._replace(writer=line.writer or writers.OTHERS) for line in lines]


# --- logins ----------------------------------------------------------------------------------------------------------


def logins(lines, since, evidence):
    # type: (Iterable[Line], float, bytes) -> List[Login]
    """The logins that ``lines`` tell of, oldest first, at most LOGINS_LIMIT of the youngest.

    Lines from before ``since`` were written while the image was made and are passed over. One that stands behind a
    later line was written after that, by a clock that had been set back: it counts, at the time of that line.
    """
    latest, verbose = 0, False
    found = []  # type: List[Login]
    by_peer = {}  # type: Dict[Tuple[bytes, int], Login]
    by_pid = {}  # type: Dict[int, Login]
    for written in lines:
        if written.at >= since:
            latest, line = max(latest, written.at), written
        elif latest:
            line = written._replace(at=latest)
        else:
            continue
        login = _accepted(line)
        if login is not None:
            # What a user or another program wrote into the journal is worth what a line in a file is.
            sure = line.sure and line.writer != writers.OTHERS
            login.evidence |= {evidence} if sure or evidence == b"log" else {b"log", b"claim"}
            found.append(login)
            by_peer[login.source, login.port] = login
            by_pid[login.pid] = login
            if len(found) >= 2 * LOGINS_LIMIT:
                del found[:LOGINS_LIMIT]
        elif line.writer != writers.OTHERS:
            verbose = _further(line, by_peer, by_pid) or verbose
    for login in found if verbose else ():
        if login.ended and not login.kind:
            login.kind = b"forward"  # sshd would have said what else it was for
    return found[-LOGINS_LIMIT:]


def _accepted(line):
    # type: (Line) -> Optional[Login]
    found = _ACCEPTED.match(line.text)
    if not found or int(found.group(4)) > 65535:
        return None
    login = Login(found.group(2), found.group(3), int(found.group(4)), line.at, line.pid)
    key = _KEY.match(found.group(5) or b"")
    if key:
        login.key = key.group(1) or b""
        login.key_id = (key.group(2) or b"")[:TEXT_LIMIT]
    return login


def _further(line, by_peer, by_pid):
    # type: (Line, Dict[Tuple[bytes, int], Login], Dict[int, Login]) -> bool
    """What a later line adds to a login: its end, its terminal, what it is for, the process that it goes on in.

    True when it is one that sshd writes only when it is to say so much (LogLevel VERBOSE).
    """
    text = line.text
    over, starting, child = _OVER.match(text), _STARTING.match(text), _CHILD.match(text)
    login = None  # type: Optional[Login]
    if over:
        login = by_peer.get((over.group(1), int(over.group(2))))
    elif text.startswith(_CLOSED):
        login = by_pid.get(line.pid)
    if login is not None:
        login.ended = max(login.ended, line.at, login.started)
    elif starting:
        what, said, tty, source, port = starting.groups()
        login = by_peer.get((source, int(port)))
        if login is not None:
            login.tty = login.tty or (tty or b"")[:TEXT_LIMIT]
            login.kind = max(login.kind, _kind(what, said, tty), key=KINDS.index)
    elif child:
        login = by_pid.get(line.pid)
        if login is not None:
            login.pids.add(int(child.group(1)))
    return bool(starting)


def _kind(what, said, tty):
    # type: (bytes, bytes, Optional[bytes]) -> bytes
    if tty or what == b"shell":
        return b"interactive"
    return b"transfer" if what != b"command" and _COPYING.search(said) else b"command"
