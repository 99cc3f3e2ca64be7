"""Who was on this instance since it booted: evidence from log, journal, wtmp and processes, joined into sessions.

Only sessions since the boot count, or since an earlier moment that was asked for (when the instance was launched): what
the log has from before belongs to the image. A connection that never logged in
is no session. Start times are cut to whole seconds, so that one session looks the same at every look.
"""

import os
import re
import subprocess
import time
from typing import Any, Dict, List, Optional, Tuple

from driftd.probe import (
    auditlog,
    clues,
    files,
    inside,
    lastlogins,
    logind,
    pamlog,
    processes,
    residue,
    sshlog,
    sweep,
    waiting,
    wtmp,
)
from driftd.probe.found import Found

JOURNAL_LIMIT = 32 * 1024 * 1024
JOURNAL_SECONDS = 20
SLACK = 2  # seconds by which whole-second stamps and separate clocks may disagree
NEAR = 10  # seconds within which wtmp and the log tell of the same login

_KIND = b"session"  # what is kept from us is kept of these
_LOGS = (b"auth.log", b"secure")
_DATED = re.compile(rb"^(auth\.log|secure)-\d{8}(?:-?\d{2,10})?$")
_JOURNALS = ("/run/log/journal", "/var/log/journal")
_JOURNALCTL = ["journalctl", "-o", "export", "--no-pager", "-q"]
_OF_SSHD = ["-n", "50000", "-t", "sshd", "-t", "sshd-session"]
# What PAM says of the others; who has a syslog file has it there, too.
_OF_OTHERS = ["-n", "5000", "-t", "CRON", "-t", "crond", "-t", "(systemd)", "-t", "login", "-t", "su", "-t", "sudo"]


def collect(root, table, pid, launched=0, ahead=0.0):
    # type: (inside.Root, processes.Table, int, int, float) -> Dict[bytes, Any]
    """The SESSIONS message. ``pid`` is the probe's own process; ``launched`` since when it counts, 0 for the boot.

    ``ahead`` are seconds that the clock has been set forward by: older stamps than the boot's are from before that.
    """
    missing = Found()
    booted_at = table.booted_at
    if booted_at is None:
        missing.not_permitted(_KIND, "the processes of others are hidden from this user")
        booted_at = 0.0
    booted_at -= ahead
    since = int(min(booted_at, launched or booted_at)) - SLACK
    lines, openings = _from_logs(root, missing)
    log = sshlog.logins(lines or [], since, b"log")
    told = _from_journal(since, missing)
    if lines is None and told is None:
        missing.not_available(_KIND, "there is neither a log of sshd nor a journal")
    if lines is None and told is not None:
        others = _others_from_journal(since, missing)
        both = sshlog.doubted(told + others)
        told, openings = both[: len(told)], list(pamlog.export_openings(both[len(told) :]))
    elif told is not None:
        told = sshlog.doubted(told)
    journal = sshlog.logins(told or [], since, b"journal")
    found = join_logins(journal, log)
    live, numbers, above = table.live(), sweep.numbers(table), table.ancestors(pid)
    add_live(found, live, above, numbers)
    add_terminals(found, _from_wtmp(root, since, missing))
    found.sort(key=lambda one: (one.started, one.pid, one.port))
    if len(found) > sshlog.LOGINS_LIMIT:
        missing.not_available(_KIND, "only the last %d are reported" % sshlog.LOGINS_LIMIT)
    changes, opened = pamlog.told(openings, since)
    there, peers = logind.collect(root, missing)
    hints = sweep.collect(root, table, live, numbers, above, peers) + there + changes
    hints += lastlogins.collect(root, table, since, missing) + auditlog.collect(root, since, missing)
    hints += residue.collect(root, since)
    return {
        b"sessions": [row(one) for one in found[-sshlog.LOGINS_LIMIT :]],
        b"clues": [clues.row(one) for one in hints],
        b"reads": _reads(lines, told),
        b"opened": opened,
        b"kept": missing.message()[b"kept"],
    }


def _reads(lines, told):
    # type: (Optional[List[sshlog.Line]], Optional[List[sshlog.Line]]) -> List[List[Any]]
    """What was read, each with the time of the first line of sshd that it has, and whose count of logins it is."""
    reads = [[b"log", lines[0].at]] if lines else []  # type: List[List[Any]]
    reads += [[b"journal", told[0].at]] if told else []
    return reads + ([[b"counter", 0]] if sweep.own_kernel() else [])


def row(login):
    # type: (sshlog.Login) -> Dict[bytes, Any]
    """A session on the wire."""
    return {
        b"door": login.door,
        b"user": login.user,
        b"source": login.source,
        b"port": login.port,
        b"key": login.key,
        b"key_id": login.key_id,
        b"started": max(login.started, 0),
        b"ended": 0 if login.live else max(login.ended, 0),
        b"tty": login.tty,
        b"pid": login.pid,
        b"live": int(login.live),
        b"ancestor": int(login.ancestor),
        b"evidence": b"+".join(sorted(login.evidence)),
        b"kind": login.kind,
        b"number": login.number,
    }


# --- sources -----------------------------------------------------------------------------


def _from_logs(root, missing):
    # type: (inside.Root, Found) -> Tuple[Optional[List[sshlog.Line]], List[pamlog.Opening]]
    """Lines of sshd from the log files, None where there was no file to read; and what PAM opened for others."""
    lines, openings, read = [], [], False  # type: List[sshlog.Line], List[pamlog.Opening], bool
    for path in _paths(root):
        found = files.tail(root, missing, _KIND, path)
        if found is not None:
            text, written = found
            lines.extend(sshlog.syslog_lines(text, written))
            openings.extend(pamlog.syslog_openings(text, written))
            read = True
    return lines if read else None, openings


def _paths(root):
    # type: (inside.Root) -> List[bytes]
    """The logs, each behind the one that was rotated away last: by number, or by date (logrotate's ``dateext``)."""
    dated = {}  # type: Dict[bytes, bytes]
    try:
        with root.directory(b"/var/log") as directory:
            for name in directory.names():
                found = _DATED.match(name)
                if found:
                    dated[found.group(1)] = max(name, dated.get(found.group(1), b""))
    except OSError:
        pass  # whichever of the logs is there says so itself
    paths = []  # type: List[bytes]
    for name in _LOGS:
        paths += [b"/var/log/" + one for one in (name + b".1", dated.get(name, b""), name) if one]
    return paths


def _from_journal(since, missing):
    # type: (float, Found) -> Optional[List[sshlog.Line]]
    """Lines of sshd from the journal; None where there is none."""
    if not any(os.path.isdir(path) for path in _JOURNALS):
        return None
    data = _journal(_OF_SSHD, since, missing)
    if not data and os.geteuid() != 0:
        missing.not_permitted(_KIND, "this user sees nothing of sshd in the journal")
    return None if data is None else list(sshlog.export_lines(data))


def _others_from_journal(since, missing):
    # type: (float, Found) -> List[sshlog.Line]
    data = _journal(_OF_OTHERS, max(since, time.time() - pamlog.SPAN), missing)
    return list(sshlog.export_lines(data or b""))


def _journal(words, since, missing):
    # type: (List[str], float, Found) -> Optional[bytes]
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    command = [*_JOURNALCTL, *words, "--since=@%d" % since]
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
    except OSError as error:
        missing.not_available(_KIND, "journalctl cannot be run (%s)" % error.strerror)
        return None
    data, whole = _read_some(child)
    if not whole:
        missing.not_available(_KIND, "the journal was not read to its end")
    elif child.returncode:
        missing.not_available(_KIND, "journalctl ended with status %d" % child.returncode)
    return data


def _read_some(child):
    # type: (subprocess.Popen[bytes]) -> Tuple[bytes, bool]
    """What ``child`` writes, within bounds of size and time, and whether that was all."""
    assert child.stdout is not None  # noqa: S101  # it is a pipe
    parts, size, whole = [], 0, False
    until = time.monotonic() + JOURNAL_SECONDS
    try:
        while size < JOURNAL_LIMIT:
            if not waiting.until(child.stdout.fileno(), until - time.monotonic()):
                break
            data = os.read(child.stdout.fileno(), 1 << 16)
            if not data:
                whole = True
                break
            parts.append(data)
            size += len(data)
    finally:
        if not whole:
            child.kill()
        child.stdout.close()
        child.wait()
    return b"".join(parts), whole


def _from_wtmp(root, since, missing):
    # type: (inside.Root, float, Found) -> List[wtmp.Terminal]
    form = wtmp.record()
    try:
        data = root.read(b"/var/log/wtmp", wtmp.LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        missing.failed(_KIND, b"/var/log/wtmp", error)
        return []
    if len(data) % form.size:
        missing.not_available(_KIND, "/var/log/wtmp is not whole records")
    return wtmp.terminals(data, since, form)


# --- joining -----------------------------------------------------------------------------


def join_logins(first, second):
    # type: (List[sshlog.Login], List[sshlog.Login]) -> List[sshlog.Login]
    """Both lists as one; a login that both tell of is kept as ``first`` has it, with what only ``second`` knew."""
    known = {}  # type: Dict[Tuple[bytes, int, bytes], List[sshlog.Login]]
    for login in first:
        known.setdefault((login.source, login.port, login.user), []).append(login)
    joined = list(first)
    for login in second:
        same = known.setdefault((login.source, login.port, login.user), [])
        for other in same:
            one_process = other.pid == login.pid or b"claim" in other.evidence  # a file has what the line says
            if abs(other.started - login.started) <= SLACK and one_process:
                other.evidence |= login.evidence
                other.pids |= login.pids
                other.ended = max(other.ended, login.ended)
                other.tty = other.tty or login.tty
                other.kind = max(other.kind, login.kind, key=sshlog.KINDS.index)
                break
        else:
            same.append(login)
            joined.append(login)
    return joined


def add_live(logins, live, above, numbers):
    # type: (List[sshlog.Login], List[processes.Live], Dict[int, float], Dict[int, sweep.Number]) -> None
    """Mark the logins that are still there; one that no log tells of becomes a session of its own.

    ``above`` are the probe and the processes above it: the login that one of those serves is marked as its ancestor.
    Only a live sshd makes an ancestor, and only one does: log lines can be written by anybody who is there.
    """
    came = None  # type: Optional[sshlog.Login]
    for process in live:
        login = _served_by(logins, process)
        if login is None:
            login = sshlog.Login(process.user, process.source, process.port, process.started, process.pid)
            logins.append(login)
        login.pids |= {process.pid, process.child}
        login.live, login.ended = True, 0
        login.tty = process.tty or login.tty
        login.kind = max(login.kind, process.kind, key=sshlog.KINDS.index)
        numbered = numbers.get(process.child) or numbers.get(process.pid)
        login.number = numbered.number if numbered else 0
        login.evidence.add(b"process")
        if process.pid in above or process.child in above:
            came = login  # the youngest of them, as they come by age
    if came is not None:
        came.ancestor = True


def _served_by(logins, process):
    # type: (List[sshlog.Login], processes.Live) -> Optional[sshlog.Login]
    found = None  # type: Optional[sshlog.Login]
    for login in logins:
        if login.user != process.user or login.started < process.started - SLACK:
            continue
        same_peer = process.port and (login.source, login.port) == (process.source, process.port)
        same_process = process.pid in login.pids or process.child in login.pids
        if (same_peer or (same_process and not process.port)) and (found is None or login.started > found.started):
            found = login
    return found


def add_terminals(logins, terminals):
    # type: (List[sshlog.Login], List[wtmp.Terminal]) -> None
    """Join wtmp's records: by process, or by user, peer and time. What remains is a session of its own."""
    for terminal in terminals:
        login = _nearest(logins, terminal)
        if login is None:
            login = sshlog.Login(terminal.user, terminal.host, 0, terminal.started, terminal.pid)
            login.ended = terminal.ended
            login.door = wtmp.door(terminal)
            logins.append(login)
        login.tty, login.kind = login.tty or terminal.line, b"interactive"
        login.evidence.add(b"wtmp")


def _nearest(logins, terminal):
    # type: (List[sshlog.Login], wtmp.Terminal) -> Optional[sshlog.Login]
    best, distance = None, None  # type: Optional[sshlog.Login], Optional[Tuple[bool, bool, int]]
    for login in logins:
        if login.user != terminal.user or (b"wtmp" in login.evidence and login.tty == terminal.line):
            continue
        apart = terminal.started - login.started
        within = -SLACK <= apart and (not login.ended or terminal.started <= login.ended + SLACK)
        same_process = terminal.pid in login.pids and within
        same_peer = terminal.host == login.source and within
        unnamed = not terminal.host and -SLACK <= apart <= NEAR and login.tty == terminal.line
        if same_process or same_peer or unnamed:
            rank = (not same_process, login.tty != terminal.line, abs(apart))
            if distance is None or rank < distance:
                best, distance = login, rank
    return best
