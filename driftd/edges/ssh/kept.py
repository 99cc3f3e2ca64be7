"""Connections that stay open between looks, each with a probe at its far end that waits for the next question.

Whoever looks again within ``worth(instance)`` seconds saves a key exchange, a login, Python's start and the program. A
connection is used by one look at a time, only for the very way in that it was made for, and only after its far end
has answered a question of SSH's own: what ended it meanwhile is seen there, and the look begins with another one.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import paramiko

from driftd.core.facts import Instance
from driftd.core.visits import Announced
from driftd.edges.ssh.connect import Connection
from driftd.edges.ssh.failure import HOSTILE
from driftd.edges.ssh.tcp import Deadline

MOST = 256  # connections: each is a thread here, and Python and two of sshd's processes there
KEEPALIVE_S = 30  # so that firewalls and address translation do not forget it
PATIENCE_S = 5.0  # for the answer to SSH's own question
# What only a login of driftd's own shows is not to wait for longer: the kernel's count of logins, and whether they are
# written down still (core/reconcile.py).
AGE_S = 600.0
SLACK_S = 60.0  # that the next look may be late, and that one may take to begin
_TICK_S = 0.1  # how often paramiko's reader looks up while a look is under way,
_IDLE_TICK_S = 15.0  # and while nothing is to be read: at the first it would cost more than connecting anew


@dataclass(slots=True)
class Line:
    """A connection while a look goes over it; ``end`` closes it.

    ``channel`` is there already where an earlier look left it, and with it ``loaded``, how much of the program is there
    (``GlanceTalk.loaded``; None: nothing). ``sent`` and ``received`` are the bytes on the wire before this look;
    ``until`` (of ``time.monotonic``) it may be used. ``stays`` once it is to be kept.
    """

    connection: Connection
    end: Callable[[], None]
    channel: paramiko.Channel | None = None
    loaded: int | None = None
    sent: int = 0
    received: int = 0
    stays: bool = False
    until: float = field(default_factory=lambda: time.monotonic() + AGE_S)


@dataclass(frozen=True, slots=True)
class _Standing:
    """``until`` is a time of ``time.monotonic``."""

    line: Line
    whose: tuple[object, ...]
    visit: Announced
    until: float


class Kept:
    """``worth`` says for how many seconds an instance's connection is worth keeping, 0 for not at all; ``most`` stay.

    Thread-safe. Whoever asks for what is ``standing`` and gets a visit has to ``take`` its connection, within a minute.
    """

    def __init__(self, worth: Callable[[Instance], float], most: int = MOST) -> None:
        self._worth = worth
        self._most = most
        self._lock = threading.Lock()
        self._standing: dict[str, _Standing] = {}  # by instance, the one that was used longest ago first
        self._asked: dict[int, _Standing] = {}  # by the identity of the visit: for whoever asked, or being tried
        self._closed = False

    def standing(self, instance: Instance) -> Announced | None:
        """The visit whose connection is still there, for nobody but the caller; None where there is none."""
        with self._lock:
            one = self._standing.pop(instance.id, None)
            if one is None:
                return None
            self._asked[id(one.visit)] = one  # so that ``close`` finds it
        lasts = one.until > time.monotonic() + PATIENCE_S
        if lasts and one.whose == _whose(instance) and self._worth(instance) > 0 and _lives(one.line):
            with self._lock:
                if id(one.visit) in self._asked:
                    # Between here and the look lies what the store is asked.
                    one.line.connection.socket.deadline = Deadline(SLACK_S)
                    self._asked[id(one.visit)] = replace(one, until=time.monotonic() + SLACK_S)
                    return one.visit
        with self._lock:
            self._asked.pop(id(one.visit), None)
        _end([one])
        return None

    def take(self, visit: Announced | None) -> Line | None:
        """The connection of a visit that was standing; None for any other visit."""
        with self._lock:
            one = self._asked.pop(id(visit), None)
        return one.line if one is not None else None

    def keeps(self, instance: Instance) -> bool:
        """Whether this one's connection is to be left open. An ad hoc look's is not: nobody would know whose it is."""
        return instance.reach.visit is not None and self._worth(instance) > 0 and not self._closed

    def put(self, instance: Instance, visit: Announced, line: Line) -> None:
        """Keep it for the next look."""
        now, seconds = time.monotonic(), self._worth(instance) + SLACK_S
        line.connection.socket.deadline = Deadline(seconds)
        with contextlib.suppress(*HOSTILE):  # where it is gone already, that is found before it is used
            line.connection.socket.settimeout(_IDLE_TICK_S)
            line.connection.transport.set_keepalive(KEEPALIVE_S)
        one = _Standing(line, _whose(instance), visit, min(line.until, now + seconds))
        with self._lock:
            over = [old for old in (self._standing.pop(instance.id, None),) if old is not None]
            if self._closed:
                over.append(one)
            else:
                self._standing[instance.id] = one
            over += [old for old in (*self._standing.values(), *self._asked.values()) if old.until < now]
            over += [*self._standing.values()][: max(0, len(self._standing) - self._most)]
            self._out(over)
        _end(over)

    def close(self) -> None:
        """Close all that wait, and keep none any more. A look that is under way closes its own."""
        with self._lock:
            self._closed = True
            over = [*self._standing.values(), *self._asked.values()]
            self._out(over)
        _end(over)

    def _out(self, over: Sequence[_Standing]) -> None:
        gone = {id(one) for one in over}
        self._standing = {key: one for key, one in self._standing.items() if id(one) not in gone}
        self._asked = {key: one for key, one in self._asked.items() if id(one) not in gone}


def _end(over: Sequence[_Standing]) -> None:
    for one in over:
        one.line.end()


def _whose(instance: Instance) -> tuple[object, ...]:
    """What has to be the same for the next look: one that was made anew may have its name and its address."""
    return instance.reach, instance.image, instance.launched_at


def _lives(line: Line) -> bool:
    """Whether the far end answers, and has said nothing unasked; from then on it is heard at once."""
    channel, connection = line.channel, line.connection
    connection.socket.deadline = Deadline(PATIENCE_S)
    # Paramiko's reader still waits as long as it did while nothing was to come: closing is what it hears of.
    late = threading.Timer(PATIENCE_S, connection.socket.close)
    late.daemon = True
    late.start()
    try:
        connection.socket.settimeout(_TICK_S)
        # A server knows no such request and says so; before that comes whatever it said of the channel.
        connection.transport.global_request("keepalive@openssh.com", wait=True)
    except HOSTILE:
        return False
    finally:
        late.cancel()
    quiet = channel is not None and not (
        channel.closed or channel.eof_received or channel.recv_ready() or channel.recv_stderr_ready()
    )
    return bool(quiet and connection.transport.is_active() and not connection.socket.stopped)
