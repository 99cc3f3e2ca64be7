"""Who wrote a line of the journal: the program that journald saw behind the socket (systemd.journal-fields(7)).

What a line says of itself (its tag, its text) anybody can write, root's ``logger`` too. ``_EXE`` and ``_COMM`` journald
takes from /proc when it reads the line; of a writer who is gone by then it knows neither. So a line is its daemon's
own, or another's, or nobody can tell.
"""

import os

OWN, OTHERS, UNKNOWN = 1, -1, 0

_SSHD = frozenset([b"sshd", b"sshd-session", b"sshd-auth"])
_MANAGER = frozenset([b"systemd", b"systemd-executor", b"(systemd)", b"systemd-executo"])
_PROGRAMS = {
    b"sshd": _SSHD,
    b"sshd-session": _SSHD,
    b"(systemd)": _MANAGER,
    b"login": frozenset([b"login"]),
    b"su": frozenset([b"su"]),
    b"sudo": frozenset([b"sudo"]),
}
_TIMERS = frozenset([b"CRON", b"crond"])  # of several daemons, all of which have it in their names
# No package installs a daemon there.
_ANYBODYS = (b"/tmp/", b"/var/tmp/", b"/dev/shm/", b"/run/", b"/home/", b"/root/", b"/memfd:")


def whose(tag, program, name):
    # type: (bytes, bytes, bytes) -> int
    """OWN, OTHERS or UNKNOWN: of a line tagged ``tag``, by the path of the ``program`` that wrote it and its ``name``.

    A name alone is its bearer's choice: it can only tell against the line.
    """
    if program:
        fits = _fits(tag, os.path.basename(program.split(b" (deleted)")[0])) and not program.startswith(_ANYBODYS)
        return OWN if fits else OTHERS
    return OTHERS if name and not _fits(tag, name) else UNKNOWN


def _fits(tag, name):
    # type: (bytes, bytes) -> bool
    if tag in _TIMERS:
        return b"cron" in name
    return name in _PROGRAMS.get(tag, (name,))
