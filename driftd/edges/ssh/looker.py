"""Looking over SSH: the probe is streamed to the instance's Python and its answer read, all by one deadline.

One connection a look, or one that an earlier look left open (kept.py); any number of threads. What an instance did is
always ``Unseen`` with a sentence; the daemon trusts nothing of what it says, and keeps at most the window's bytes
unread.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import paramiko
import structlog

from driftd.core.digestkey import DigestKey
from driftd.core.errors import DriftdError
from driftd.core.facts import Instance, Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.core.glance.recalled import Recollections
from driftd.core.glance.talk import GlanceTalk, Rehash
from driftd.core.interned import Interned
from driftd.core.ports import AskFor
from driftd.core.visits import Announced, Parted
from driftd.edges.ssh.answer import Answer
from driftd.edges.ssh.asking import Asked, Asking, glance, whole
from driftd.edges.ssh.command import NO_PYTHON, OTHER_PROGRAM, command, sudoers_line, uses_sudo
from driftd.edges.ssh.connect import Connection, allowance, connect, own_key
from driftd.edges.ssh.failure import HOSTILE, SshError, quoted
from driftd.edges.ssh.hostkeys import place
from driftd.edges.ssh.kept import Kept, Line
from driftd.edges.ssh.options import SshOptions
from driftd.edges.ssh.tcp import Deadline
from driftd.probe import wire

_READ = 256 * 1024
_TICK_S = 0.2
_EXIT_S = 5.0


@dataclass(frozen=True, slots=True)
class LookStats:
    """What one look cost. Times in seconds; bytes as they were on the wire, SSH's own included."""

    sent: int = 0
    received: int = 0
    connect_s: float = 0.0
    auth_s: float = 0.0
    total_s: float = 0.0
    cipher: str = ""
    kept: bool = False  # it went over a connection that was there already


class SshLooker:
    """``Looker`` over SSH. ``measured`` is told what each look cost, for logs and metrics; it must not raise.

    With ``recollections`` a look costs what changed since the last one; ``rehash`` is what is read again all the same.
    ``worth`` says for how many seconds an instance's connection is then kept for the next one; 0 is for none.
    """

    def __init__(
        self,
        options: SshOptions,
        measured: Callable[[Instance, LookStats], None] | None = None,
        recollections: Recollections | None = None,
        rehash: Rehash | None = None,
        worth: Callable[[Instance], float] = lambda _instance: 0.0,
    ) -> None:
        self._options = options
        self._recollections = recollections
        self._rehash = rehash or Rehash()
        self._measured = measured or _log_stats
        self._cut = threading.Event()
        self._kept = Kept(worth)

    def stop(self) -> None:
        """End every look that is under way, as if its deadline had passed, and let none begin any more."""
        self._cut.set()
        self._kept.close()

    def standing(self, instance: Instance) -> Announced | None:
        """The visit whose connection waits for the next look at this instance, which then is to reach it by that visit.

        None where there is none, or where its far end does not answer any more.
        """
        return self._kept.standing(instance)

    def own_key(self, instance: Instance) -> str:
        """See ``Looker.own_key``."""
        return own_key(instance.reach, self._options)

    def look(
        self,
        instance: Instance,
        *,
        deadline_s: float,
        key: DigestKey | None = None,
        ask: AskFor | None = None,
        image: Interned | None = None,
    ) -> Fingerprint | Unseen:
        """See ``Looker.look``. Unless it is kept, the connection is closed when this returns, whatever happened."""
        began = time.monotonic()
        deadline = Deadline(deadline_s, self._cut)
        stats = LookStats()
        try:
            with contextlib.ExitStack() as closing:
                line = self._line(instance, deadline, closing)
                try:
                    asked = Asked(instance, int(deadline.left()), self._options.root, key, ask, image)
                    asking = self._asking(asked, line)
                    seen = asking.over(self._ask(instance, line, deadline, asking))
                finally:
                    stats = _stats(line, began)
                if line.stays and instance.reach.visit is not None:
                    closing.pop_all()
                    self._kept.put(instance, instance.reach.visit, line)
                return seen
        except SshError as error:
            return error.unseen()
        except DriftdError as error:
            return Unseen(str(error), error.hint)
        finally:
            self._measured(instance, stats)

    def _line(self, instance: Instance, deadline: Deadline, closing: contextlib.ExitStack) -> Line:
        """The connection that was kept for this visit, else a new one. Raises ``SshError``."""
        visit = instance.reach.visit
        line = self._kept.take(visit)
        if line is None:
            if visit is not None and visit.trace.entered_at is not None:  # a visit is one connection
                where = place(instance.reach.host, instance.reach.port)
                raise SshError(f"the connection to {where} that was kept is gone", "look again")
            opened = contextlib.ExitStack()
            closing.callback(opened.close)
            return Line(opened.enter_context(connect(instance.reach, self._options, deadline)), opened.close)
        closing.callback(line.end)
        socket = line.connection.socket
        socket.deadline, socket.byte_limit = deadline, socket.received + allowance(self._options)
        line.sent, line.received, line.stays = socket.sent, socket.received, False
        return line

    def _ask(self, instance: Instance, line: Line, deadline: Deadline, asking: Asking) -> Fingerprint | Unseen:
        where, connection = place(instance.reach.host, instance.reach.port), line.connection
        answer = Answer(asking.talk, self._options.output_limit)
        seen: Fingerprint | Unseen | None = None
        stays = asking.waits and self._kept.keeps(instance)
        try:
            channel = line.channel or self._started(instance, line, deadline)
            channel.settimeout(max(0.01, deadline.left()))
            _send(channel, asking.opening)
            # Where there is no Python, a shell waits for what it can run.
            seen = _heard(channel, answer, deadline, asking, shell=not self._options.python, stays=stays)
            if stays and isinstance(seen, Fingerprint) and isinstance(answer.talk, GlanceTalk):
                line.loaded, line.stays = answer.talk.loaded, True
            if seen is not None and (line.stays or isinstance(seen, Unseen)):
                return seen
            status = _exit_status(channel, deadline)
        except wire.WireError as error:
            return Unseen(f"the answer of {where} was cut off: {error}", _GARBAGE_HINT)
        except HOSTILE as error:
            return _broken(where, connection, answer, deadline, error)
        finally:
            if line.channel is not None and not line.stays:
                # A transport that is gone cannot be told.
                with contextlib.suppress(*HOSTILE):
                    line.channel.close()
        # It is told whole seconds of the time that is left, and then ends itself.
        late = TimeoutError() if status < 0 and deadline.left() < 1.0 else None
        if connection.socket.stopped or late or (status < 0 and not connection.transport.is_active()):
            return _broken(where, connection, answer, deadline, late)
        if instance.reach.visit is not None:
            instance.reach.visit.parts(Parted.ORDERLY)
        if seen is not None and status == 0:
            return seen
        return self._ended(where, instance.reach.user, status, answer)

    def _started(self, instance: Instance, line: Line, deadline: Deadline) -> paramiko.Channel:
        """What waits for the program, on a channel of its own."""
        line.channel = channel = line.connection.open_channel()
        channel.settimeout(max(0.01, deadline.left()))
        channel.exec_command(command(instance.reach.user, self._options))
        return channel

    def _asking(self, asked: Asked, line: Line) -> Asking:
        """A glance where something may be known, else a whole look. A program that is pinned is sent in one piece."""
        if self._recollections is None or asked.image is None or self._options.pinned:
            return whole(asked)
        host_key = f"{line.connection.host_key}"
        return glance(asked, asked.image, self._recollections, self._rehash, host_key, line.loaded)

    def _ended(self, where: str, user: str, status: int, answer: Answer) -> Unseen:
        """The command ended without a whole answer: sudo, no Python, no login shell, or the probe itself."""
        complaint = answer.complaint()
        python = NO_PYTHON.encode() not in answer.said
        if self._options.python and not python:
            return Unseen(
                f"{where} has no Python to run the probe with (looked for {self._options.python})",
                "install python3-minimal there",
            )
        if self._options.pinned and status == OTHER_PROGRAM and not answer.received:
            return Unseen(f"{where} refused the program: it is not the one that was pinned", _GARBAGE_HINT)
        if uses_sudo(user, self._options) and (b"sudo" in complaint or (status == 1 and not answer.received)):
            return Unseen(
                f"{where} does not let {quoted(user)} start the probe with sudo: "
                + (quoted(complaint) or "it did not say why"),
                "put this line into /etc/sudoers.d/driftd there: " + sudoers_line(user, self._options, python=python),
            )
        how = f"with status {status}" if status >= 0 else "without a status, as when it is killed"
        if complaint or not answer.received or answer.over:
            said = f"; it said: {quoted(complaint)}" if complaint else ""
            return Unseen(
                f"the probe on {where} ended {how} after {answer.received} bytes of answer{said}",
                "look again; if it stays so, log in and run the command by hand (docs/ssh.md)",
            )
        seen = answer.finish()
        reason = seen.reason if isinstance(seen, Unseen) else "the answer is whole"
        return Unseen(f"the command on {where} ended {how}: {reason}", _GARBAGE_HINT)


_GARBAGE_HINT = "look at what the account's login shell, a forced command or somebody in between puts there"


def _broken(
    where: str, connection: Connection, answer: Answer, deadline: Deadline, error: BaseException | None
) -> Unseen:
    """The connection ended, or was ended, in the middle."""
    stopped = connection.socket.stopped
    if stopped == "deadline" or not deadline.left() or isinstance(error, TimeoutError):
        return Unseen(
            f"the look at {where} did not end within {deadline.limit_s:.0f} s ({answer.received} bytes had come)",
            "give it a longer deadline, or see what keeps the instance busy",
        )
    if stopped:
        return Unseen(f"the answer of {where} was cut off: {stopped}", _GARBAGE_HINT)
    why = f": {quoted(str(error))}" if error is not None and str(error) else ""
    return Unseen(
        f"the connection to {where} broke after {answer.received} bytes of the answer{why}",
        "look again; if it stays so, see sshd's log on the instance",
    )


def _send(channel: paramiko.Channel, data: bytes) -> None:
    try:
        channel.sendall(data)
    except TimeoutError:
        raise
    except OSError:
        # The command ended without reading; why is in its status and on its standard error.
        return


def _heard(
    channel: paramiko.Channel, answer: Answer, deadline: Deadline, asking: Asking, *, shell: bool, stays: bool
) -> Fingerprint | Unseen | None:
    """The whole dialogue; None when the far end closed it before its end. ``shell``: see ``_pieces``.

    Where the far end ``stays``, it is over with the answer, and nobody waits for its end.
    """
    seen: Fingerprint | Unseen | None = None

    def instead() -> bytes:
        opening, talk = asking.instead()
        answer.instead(talk)
        return opening

    for piece in _pieces(channel, answer, deadline, instead if shell else None):
        if question := answer.feed(piece):
            channel.settimeout(max(0.01, deadline.left()))
            _send(channel, question)
            channel.settimeout(_TICK_S)
        if answer.over:
            seen = answer.finish()
            if isinstance(seen, Unseen) or (stays and isinstance(answer.talk, GlanceTalk)):
                return seen
            if asking.waits:
                channel.shutdown_write()
    return seen


def _pieces(
    channel: paramiko.Channel, answer: Answer, deadline: Deadline, instead: Callable[[], bytes] | None
) -> Iterator[bytes]:
    """The far command's output until it closes it; its complaints go to ``answer``. TimeoutError when time is up.

    What ``instead`` gives is sent, once, if a complaint is that there is no Python.
    """
    channel.settimeout(_TICK_S)
    while deadline.left():
        try:
            data = channel.recv(_READ)
        except TimeoutError:
            data = None
        while channel.recv_stderr_ready():
            answer.complain(channel.recv_stderr(_READ))
        if instead and NO_PYTHON.encode() in answer.said:
            _send(channel, instead())
            instead = None
        if data:
            yield data
        elif data is not None:
            return
    raise TimeoutError


def _exit_status(channel: paramiko.Channel, deadline: Deadline) -> int:
    """The command's status, or -1 when none came (a signal, or a connection that broke)."""
    channel.status_event.wait(min(_EXIT_S, deadline.left()))
    return int(channel.exit_status)


def _stats(line: Line, began: float) -> LookStats:
    connection, kept = line.connection, line.sent > 0
    return LookStats(
        connection.socket.sent - line.sent,
        connection.socket.received - line.received,
        0.0 if kept else connection.connect_s,
        0.0 if kept else connection.auth_s,
        time.monotonic() - began,
        str(connection.transport.remote_cipher),
        kept,
    )


def _log_stats(instance: Instance, stats: LookStats) -> None:
    structlog.get_logger().debug(
        "looked over ssh",
        instance=instance.id,
        bytes_sent=stats.sent,
        bytes_received=stats.received,
        connect_s=round(stats.connect_s, 4),
        auth_s=round(stats.auth_s, 4),
        total_s=round(stats.total_s, 4),
        cipher=stats.cipher,
        kept=stats.kept,
    )
