"""Terminal logins beside wtmp: utmp(5), lastlog(8), and the SQLite databases of wtmpdb and lastlog2.

All are written by root alone, and hold logins with a terminal only. utmp is who is there now (a record outlives its
process when a machine is switched off: one whose process is gone is passed over). lastlog has the last login of each
account, which stays when lines are taken out of wtmp and logs. The databases are the successors of both, where times no
longer fit 32 bits; they are read with the host's own sqlite3 module, and where its Python has none that is said.
"""

import os
import struct
from typing import Any, Dict, List, Tuple

from driftd.probe import clues, inside, processes, wtmp
from driftd.probe.accounts import homes
from driftd.probe.found import Found

_KIND = b"session"
_UTMP = b"/run/utmp"
_LASTLOG = b"/var/log/lastlog"
_WTMPDB = (b"/var/lib/wtmpdb/wtmp.db", b"/var/log/wtmp.db")
_LASTLOG2 = b"/var/lib/lastlog/lastlog2.db"
# glibc's struct lastlog: time (32 bits, 64 on aarch64), terminal, host; one for each uid, in a file full of holes.
_FORMS = {False: struct.Struct("=i32s256s"), True: struct.Struct("=q32s256s")}
_ROWS = 10000


def collect(place, table, since, missing):
    # type: (inside.Root, processes.Table, float, Found) -> List[clues.Clue]
    """What they tell of logins since ``since``."""
    found = _utmp(place, table, missing)
    found += _lastlog(place, since, missing)
    for path in _WTMPDB:
        question = "SELECT User, Login, Logout, TTY, RemoteHost, Service FROM wtmp WHERE Type = 3 AND Login >= ?"
        for user, login, logout, tty, peer, service in _database(place, path, question, since, missing):
            times = _microseconds(login), _microseconds(logout)
            found.append(_of_database(b"wtmpdb", user, times, tty, peer, service))
    question = "SELECT Name, Time, TTY, RemoteHost, Service FROM Lastlog2 WHERE Time >= ?"
    for user, at, tty, peer, service in _database(place, _LASTLOG2, question, since, missing):
        found.append(_of_database(b"lastlog2", user, (_whole(at), 0), tty, peer, service))
    return [one for one in found if one.started >= since or one.live][: clues.LIMIT]


def _utmp(place, table, missing):
    # type: (inside.Root, processes.Table, Found) -> List[clues.Clue]
    data = _data(place, _UTMP, missing)
    return [
        clues.clue(
            b"utmp",
            door=wtmp.door(one),
            user=one.user,
            peer=one.host,
            tty=one.line,
            pid=one.pid,
            started=one.started,
            live=1,
        )
        for one in wtmp.terminals(data, 0, wtmp.record())
        if not one.ended and one.pid in table.all
    ]


def _lastlog(place, since, missing):
    # type: (inside.Root, float, Found) -> List[clues.Clue]
    form = _FORMS[os.uname().machine == "aarch64"]
    found = []
    try:
        fd = place.open(_LASTLOG)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        missing.failed(_KIND, _LASTLOG, error)
        return []
    try:
        for home in homes(place):
            if not home.uid.isdigit() or len(home.uid) > 10:
                continue
            data = os.pread(fd, form.size, int(home.uid) * form.size)
            if len(data) < form.size:
                continue
            at, line, host = form.unpack(data)
            if at >= since:
                line, peer = line.partition(b"\x00")[0], host.partition(b"\x00")[0]
                door = b"ssh" if peer else b"console"
                found.append(clues.clue(b"lastlog", door=door, user=home.user, peer=peer, tty=line, started=at))
    except OSError as error:
        missing.failed(_KIND, _LASTLOG, error)
    finally:
        os.close(fd)
    return found


def _data(place, path, missing):
    # type: (inside.Root, bytes, Found) -> bytes
    try:
        return place.read(path, wtmp.LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        missing.failed(_KIND, path, error)
        return b""


def _database(place, path, question, since, missing):
    # type: (inside.Root, bytes, str, float, Found) -> List[Tuple[Any, ...]]
    """Rows of a database that somebody else writes: read as it stands, without a lock, and only if it is whole."""
    try:
        fd = place.open(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        missing.failed(_KIND, path, error)
        return []
    try:
        import sqlite3  # noqa: PLC0415  # a Python without it can do the rest of a look all the same
    except ImportError:
        os.close(fd)
        missing.not_available(_KIND, "%s cannot be read: this Python has no sqlite3" % path.decode("ascii"))
        return []
    unit = 1000000 if path in _WTMPDB else 1
    try:
        connection = sqlite3.connect("file:/proc/self/fd/%d?mode=ro&immutable=1" % fd, uri=True)
        try:
            rows = connection.execute(question + " LIMIT %d" % _ROWS, (int(since) * unit,))
            return [tuple(row) for row in rows]
        finally:
            connection.close()
    except sqlite3.Error as error:
        missing.not_available(_KIND, "%s cannot be read (%s)" % (path.decode("ascii"), error))
        return []
    finally:
        os.close(fd)


def _of_database(source, user, times, tty, peer, service):
    # type: (bytes, Any, Tuple[int, int], Any, Any, Any) -> clues.Clue
    fields = {"user": user, "peer": peer, "tty": tty, "note": service}  # type: Dict[str, Any]
    told = {name: _text(value) for name, value in fields.items()}
    door = b"ssh" if told["note"].startswith(b"ssh") or (told["peer"] and not told["note"]) else b"console"
    return clues.clue(source, door=door, started=times[0], ended=times[1], **told)


def _text(value):
    # type: (Any) -> bytes
    return value.encode("utf-8", "surrogateescape")[: clues.TEXT_LIMIT] if isinstance(value, str) else b""


def _whole(value):
    # type: (Any) -> int
    return value if isinstance(value, int) and 0 <= value < 1 << 33 else 0


def _microseconds(value):
    # type: (Any) -> int
    return _whole(value // 1000000) if isinstance(value, int) else 0
