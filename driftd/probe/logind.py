"""Who is logged in as logind keeps it: one file for each session below /run/systemd/sessions (sd-login's own form).

Only root can write there; what PAM does not tell logind of (no pam_systemd) is missing. Sessions that nobody logged in
to are passed over: those of user managers, of the background (``cron`` where PAM says so) and greeters.
"""

import re
from typing import Dict, List, Tuple

from driftd.probe import clues, inside
from driftd.probe.found import Found

DIRECTORY = b"/run/systemd/sessions"
_LIMIT = 64 * 1024
_NOBODY = re.compile(rb"^(?:manager|background|greeter|lock-screen)")  # manager-early, background-light …
_DOORS = {b"login": b"console", b"su": b"su", b"su-l": b"su", b"sudo": b"sudo", b"sudo-i": b"sudo"}
_TIMERS = frozenset([b"cron", b"crond", b"atd", b"systemd-user"])


def collect(place, missing):
    # type: (inside.Root, Found) -> Tuple[List[clues.Clue], Dict[int, bytes]]
    """What logind says of who is there now; nothing where there is no logind.

    And of those who have left something running: the kernel's number of the login, and where it came from.
    """
    found, left = [], {}  # type: List[clues.Clue], Dict[int, bytes]
    try:
        with place.directory(DIRECTORY) as directory:
            for name in directory.names()[: clues.LIMIT]:
                if name.endswith(b".ref"):
                    continue
                try:
                    fields = _fields(directory.read(name, _LIMIT))
                except OSError:
                    continue  # it ended meanwhile
                if _NOBODY.match(fields.get(b"CLASS", b"")):
                    continue
                told = _clue(name, fields)
                if fields.get(b"STATE") != b"closing":
                    found.append(told)
                elif told.number and told.peer:
                    left[told.number] = told.peer
    except (FileNotFoundError, NotADirectoryError):
        return [], {}
    except OSError as error:
        missing.failed(b"session", DIRECTORY, error)
    return found, left


def _fields(text):
    # type: (bytes) -> Dict[bytes, bytes]
    pairs = (line.partition(b"=") for line in text.split(b"\n") if not line.startswith(b"#"))
    return {name: value.strip(b'"') for name, _, value in pairs if value}


def _clue(name, fields):
    # type: (bytes, Dict[bytes, bytes]) -> clues.Clue
    def number(field):
        # type: (bytes) -> int
        text = fields.get(field, b"")
        return int(text) if text.isdigit() and len(text) <= 10 else 0

    service = fields.get(b"SERVICE", b"")
    since = fields.get(b"REALTIME", b"")
    door = b"service" if service in _TIMERS else _DOORS.get(service, b"ssh")
    return clues.clue(
        b"logind",
        door=door,
        user=fields.get(b"USER", b""),
        peer=fields.get(b"REMOTE_HOST", b""),
        tty=fields.get(b"TTY", b""),
        pid=number(b"LEADER"),
        number=number(b"AUDIT"),
        started=int(since) // 1000000 if since.isdigit() and len(since) <= 18 else 0,
        live=1,
        note=service or name,
    )
