"""Sessions that PAM opened beside sshd's, from the lines of pam_unix: who became whom by su and sudo, and how often
services opened one (``cron`` for each job, a user manager for each user), which the kernel numbers like a login.

These are lines of a log: anybody on the instance can write more of them.
"""

import re
import time
from typing import Iterable, Iterator, List, NamedTuple, Tuple

from driftd.probe import clues, sshlog, writers

SPAN = 86400  # seconds back from now of which openings are told

_MARK = b": session opened for user "
_OPENED = re.compile(
    rb"^pam_unix\(([\w.-]{1,64}):session\): session opened for user (.{1,256}?)(?:\(uid=\d{1,10}\))?"
    rb" by (.{0,256}?)\(uid=(\d{1,10})\)$"
)
_TAIL = re.compile(rb"^ \S+ [^\s:\[]{1,64}(?:\[(\d{1,10})\])?: (pam_unix\(.*)$")
_DOORS = {b"su": b"su", b"su-l": b"su", b"sudo": b"sudo", b"sudo-i": b"sudo"}
# sshd's are known by its own lines; runuser's and polkit's are no logins and are not numbered.
_OTHERS = frozenset([b"sshd", b"runuser", b"runuser-l", b"polkit-1"])
_FIRST_PERSON = 1000  # lower user ids are root's and services'

Opening = NamedTuple(
    "Opening",
    [
        ("at", int),
        ("pid", int),
        ("service", bytes),
        ("user", bytes),
        ("by", bytes),
        ("uid", int),
        ("sure", bool),  # not known to be another's words
    ],
)


def syslog_openings(text, latest):
    # type: (bytes, float) -> Iterator[Opening]
    """The openings in a syslog file that was last written at ``latest``."""
    for line in text.split(b"\n"):
        if _MARK not in line:
            continue
        stamped = sshlog.stamped(line, latest)
        found = _TAIL.match(stamped[1]) if stamped else None
        if stamped and found:
            for opening in _opening(stamped[0], int(found.group(1) or 0), found.group(2)):
                yield opening


def export_openings(lines):
    # type: (Iterable[sshlog.Line]) -> Iterator[Opening]
    """The openings in lines of the journal."""
    for line in lines:
        for opening in _opening(line.at, line.pid, line.text, line.sure and line.writer != writers.OTHERS):
            yield opening


def _opening(at, pid, text, sure=True):
    # type: (int, int, bytes, bool) -> List[Opening]
    found = _OPENED.match(text)
    if not found or found.group(1) in _OTHERS:
        return []
    service, user, by, uid = found.groups()
    return [Opening(at, pid, service, user, by, int(uid), sure)]


def told(openings, since):
    # type: (Iterable[Opening], float) -> Tuple[List[clues.Clue], List[int]]
    """Who of an account for people became another, and the times at which services opened numbered sessions.

    What root or a service does with su or sudo is the machine's own work, and so is what a person's timers do.
    """
    changes, services = [], []  # type: List[clues.Clue], List[int]
    timed = set()
    for one in openings:
        if one.at < since:
            continue
        door = _DOORS.get(one.service)
        if door is None:
            if not one.sure:
                continue  # nothing that a service opened
            if one.at >= time.time() - SPAN:
                services.append(one.at)
            timed.add(one.user)
        elif one.uid >= _FIRST_PERSON and one.by not in timed:
            by = one.by or b"%d" % one.uid
            note = b"became " + one.user
            changes.append(clues.clue(b"pam", door=door, user=by, pid=one.pid, started=one.at, note=note))
    return changes[-clues.LIMIT :], services[-clues.LIMIT :]
