"""Logins as the kernel's audit has them, where auditd writes a log: LOGIN, and what PAM says of the same session.

Root writes it, and root alone can take lines away. The kernel numbers its sessions itself (``ses``), so that each joins
what the processes tell. Only the file is read: what nobody wrote down is gone (the kernel keeps none).
"""

import re
from typing import Dict, List

from driftd.probe import clues, files, inside
from driftd.probe.accounts import homes
from driftd.probe.found import Found

LOG = b"/var/log/audit/audit.log"
_UNSET = 4294967295
_LINE = re.compile(rb"^(?:node=\S+ )?type=(LOGIN|USER_LOGIN|USER_START|USER_END|USER_LOGOUT) msg=audit\((\d{1,12})\.")
_FIELD = re.compile(rb"(?:^|[ '])(pid|auid|ses|exe|addr|terminal|acct|res)=(?:\"([^\"]{0,256})\"|([^\s'\"]{1,256}))")
_TIMERS = (b"/cron", b"/crond", b"/atd", b"/systemd", b"/systemd-executor")


def collect(place, since, missing):
    # type: (inside.Root, float, Found) -> List[clues.Clue]
    """One clue for each session that began since ``since``; nothing where there is no such log."""
    found = files.tail(place, missing, b"session", LOG)
    if found is None:
        return []
    users = {int(home.uid): home.user for home in homes(place) if home.uid.isdigit()}
    return _sessions(found[0], since, users)


def _sessions(text, since, users):
    # type: (bytes, float, Dict[int, bytes]) -> List[clues.Clue]
    found = {}  # type: Dict[int, clues.Clue]
    for line in text.split(b"\n"):
        head = _LINE.match(line)
        if not head or int(head.group(2)) < since:
            continue
        fields = {name: quoted or bare for name, quoted, bare in _FIELD.findall(line)}
        number, uid, pid = (_number(fields.get(name, b"")) for name in (b"ses", b"auid", b"pid"))
        if number in (0, _UNSET) or fields.get(b"res") in (b"0", b"failed"):
            continue
        at = int(head.group(2))
        if head.group(1) == b"LOGIN":
            found[number] = clues.clue(b"audit", user=users.get(uid, b"%d" % uid), pid=pid, number=number, started=at)
        elif number in found:
            found[number] = _further(found[number], head.group(1), at, fields)
    return list(found.values())[-clues.LIMIT :]


def _further(known, kind, at, fields):
    # type: (clues.Clue, bytes, int, Dict[bytes, bytes]) -> clues.Clue
    """What PAM's record of the same session adds: by which program, from where, on what terminal, that it is over."""
    program, address, terminal = (fields.get(name, b"") for name in (b"exe", b"addr", b"terminal"))
    if kind in (b"USER_END", b"USER_LOGOUT"):
        return known._replace(ended=max(at, known.started)) if fields.get(b"pid") == b"%d" % known.pid else known
    door = b"console" if program.endswith(b"/login") else b"service" if program.endswith(_TIMERS) else known.door
    return known._replace(
        door=door,
        peer=known.peer or (b"" if address == b"?" else address),
        tty=known.tty or (terminal[5:] if terminal.startswith(b"/dev/") else b""),
        note=known.note or program,
    )


def _number(text):
    # type: (bytes) -> int
    return int(text) if text.isdigit() and len(text) <= 10 else 0
