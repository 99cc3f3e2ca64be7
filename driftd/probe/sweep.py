"""The sweep: processes that tell of somebody, whatever the logs say. What the kernel writes here nobody else can.

* The kernel numbers each login that pam_loginuid registers (proc(5): ``sessionid``), and whatever is started from it
  keeps the number. Sure, but: a number says *that* there was a login, not by which door; ``cron`` has one for each job;
  and in namespaces everything may carry the number of whoever started the server (that of PID 1 is passed over).
* A process without a parent in this PID namespace that is not its first came in from outside (``nsenter``,
  ``docker exec``). Sure, while it lives.
* An sshd that serves a connection for longer than a login may take and is no session that ``processes.py`` knows: sure
  that the connection is, not who it is.
"""

import os
import time
from typing import Dict, List, NamedTuple, Optional, Set

from driftd.probe import clues, inside, processes
from driftd.probe.accounts import homes

UNSET = 4294967295
GRACE = 600  # seconds; sshd's own LoginGraceTime is 120 by default
_KERNEL_THREAD = 0x00200000
_INIT_PID_NAMESPACE = "pid:[4026531836]"
_TIMERS = frozenset([b"cron", b"crond", b"CRON", b"atd", b"anacron", b"fcron", b"dcron"])
_CONSOLES = frozenset([b"login", b"agetty", b"getty", b"mingetty", b"mgetty"])
_MANAGERS = frozenset([b"systemd", b"(systemd)", b"(sd-pam)"])

Number = NamedTuple("Number", [("number", int), ("uid", int)])


def own_kernel():
    # type: () -> bool
    """Whether this is the first PID namespace of its kernel, so that the kernel's count of logins is this machine's."""
    try:
        return os.readlink("/proc/self/ns/pid") == _INIT_PID_NAMESPACE
    except OSError:
        return False


def numbers(table):
    # type: (processes.Table) -> Dict[int, Number]
    """The kernel's number of the login that each process was started from; those without one are left out."""
    found = {}  # type: Dict[int, Number]
    for pid in table.all:
        number = _read(table, pid, b"sessionid")
        uid = _read(table, pid, b"loginuid") if number is not None else None
        if number is not None and uid is not None:
            found[pid] = Number(number, uid)
    return found


def _read(table, pid, name):
    # type: (processes.Table, int, bytes) -> Optional[int]
    text = table.read(pid, name).strip()
    return int(text) if text.isdigit() and len(text) <= 10 and int(text) != UNSET else None


def collect(place, table, live, numbered, above, peers):
    # type: (inside.Root, processes.Table, List[processes.Live], Dict[int, Number], Dict[int, float], Dict[int, bytes]) -> List[clues.Clue]
    """All that the processes tell beside ``live``. ``above`` are the probe and the processes above it.

    ``peers`` are addresses that logind knows logins to have come from, by the kernel's number.
    """
    users = {int(home.uid): home.user for home in homes(place) if home.uid.isdigit()}
    found = [one._replace(peer=peers.get(one.number, b"")) for one in _left_running(table, live, numbered, users)]
    found += _from_outside(table, above, users)
    found += _unexplained(table, live)
    return found


def _left_running(table, live, numbered, users):
    # type: (processes.Table, List[processes.Live], Dict[int, Number], Dict[int, bytes]) -> List[clues.Clue]
    """One clue for each number that no login in ``live`` has: of its oldest process."""
    known = {numbered[pid].number for one in live for pid in (one.pid, one.child) if pid in numbered}
    if 1 in numbered:
        known.add(numbered[1].number)
    groups = {}  # type: Dict[int, List[int]]
    for pid, one in numbered.items():
        if one.number not in known:
            groups.setdefault(one.number, []).append(pid)
    found = []
    for number in sorted(groups)[: clues.LIMIT]:
        members = sorted(groups[number], key=lambda pid: (table.all[pid].started, pid))
        oldest = table.all[members[0]]
        uid = numbered[oldest.pid].uid
        found.append(
            clues.clue(
                b"sweep",
                door=_door(table, members),
                user=users.get(uid, b"%d" % uid),
                tty=table.all[members[-1]].tty,
                pid=oldest.pid,
                number=number,
                started=int(oldest.started),
                live=1,
                note=oldest.name,
            )
        )
    return found


def _door(table, members):
    # type: (processes.Table, List[int]) -> bytes
    """By what stands above the oldest of them, or among them; "ssh" where nothing says otherwise."""
    names = {table.all[pid].name for pid in members}  # type: Set[bytes]
    names |= {table.all[pid].name for pid in table.ancestors(members[0]) if pid != 1}
    if names & _TIMERS or (names & _MANAGERS and not any(table.all[pid].tty for pid in members)):
        return b"service"
    terminal = table.all[members[-1]].tty
    return b"console" if names & _CONSOLES or terminal.startswith((b"tty", b"hvc")) else b"ssh"


def _from_outside(table, above, users):
    # type: (processes.Table, Dict[int, float], Dict[int, bytes]) -> List[clues.Clue]
    found = []
    for process in table.all.values():
        if process.above or process.pid == 1 or process.pid in above:
            continue
        if process.over or process.flags & _KERNEL_THREAD or not table.stays(process):
            continue
        uid = table.owner(process.pid)
        found.append(
            clues.clue(
                b"outside",
                door=b"exec",
                user=users.get(uid, b"%d" % uid),
                tty=process.tty,
                pid=process.pid,
                started=int(process.started),
                live=1,
                note=process.name,
            )
        )
    return found[: clues.LIMIT]


def _unexplained(table, live):
    # type: (processes.Table, List[processes.Live]) -> List[clues.Clue]
    known = {pid for one in live for pid in (one.pid, one.child)}
    told = {(one.source, one.port) for one in live}
    found = []
    for pid, (peer, port) in table.served():
        process = table.all[pid]
        if pid not in known and (peer, port) not in told and time.time() - process.started > GRACE:
            told.add((peer, port))
            found.append(clues.clue(b"socket", peer=peer, port=port, pid=pid, started=int(process.started), live=1))
    return found[: clues.LIMIT]
