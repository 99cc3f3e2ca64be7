"""A resident probe over SSH: one connection that stays open, with a beat either way and a bound on all that comes."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable

import paramiko

from driftd.core.errors import DriftdError
from driftd.core.facts import Instance, Unseen
from driftd.core.visits import Parted
from driftd.core.watching import Frames, Message
from driftd.core.wording import watched as wording
from driftd.edges.ssh.command import NO_PYTHON, command
from driftd.edges.ssh.connect import Connection, connect, own_key
from driftd.edges.ssh.failure import HOSTILE, SshError, quoted
from driftd.edges.ssh.hostkeys import place
from driftd.edges.ssh.options import MEBIBYTE, SshOptions
from driftd.edges.ssh.tcp import Deadline
from driftd.probe import bundle, watchwire, wire

NONCE_SIZE = 16
BEGIN_S = 60.0  # until the probe has greeted: it reads every directory first
ALLOWED = 32 * MEBIBYTE  # bytes between two of our beats
MESSAGES = 1000  # between two of our beats: twice what the probe's own pace lets it say
COMPLAINT_LIMIT = 4096
_READ = 256 * 1024
_TICK_S = 0.2
_HINT = "see driftd's log; docs/watch.md says what a watch takes"


class SshWatcher:
    """``Residents`` over SSH. Any number of threads."""

    def __init__(self, options: SshOptions) -> None:
        self._options = options
        self._cut = threading.Event()

    def stop(self) -> None:
        """End every watch at once, and let none begin any more."""
        self._cut.set()

    def own_key(self, instance: Instance) -> str:
        """See ``Residents.own_key``."""
        return own_key(instance.reach, self._options)

    def watch(self, instance: Instance, heard: Callable[[Message], None], stopping: Callable[[], bool]) -> Unseen:
        """See ``Residents.watch``."""
        try:
            with connect(instance.reach, self._options, Deadline(BEGIN_S, self._cut)) as connection:
                ended = self._watch(instance, connection, heard, stopping)
        except SshError as error:
            ended = error.unseen()
        # One that was cut looks as if the far end had gone.
        return Unseen("") if self._cut.is_set() or stopping() else ended

    def _watch(
        self,
        instance: Instance,
        connection: Connection,
        heard: Callable[[Message], None],
        stopping: Callable[[], bool],
    ) -> Unseen:
        where = place(instance.reach.host, instance.reach.port)
        nonce = os.urandom(NONCE_SIZE)
        limits = {b"now": int(time.time())}
        if instance.launched_at is not None:
            limits[b"since"] = max(1, int(instance.launched_at.timestamp()))
        # A tree that is not the machine's own has no sessions.
        sections = (b"sessions",) if self._options.root == "/" else ()
        request = wire.encode_request(nonce, os.fsencode(self._options.root), sections, limits=limits)
        channel: paramiko.Channel | None = None
        try:
            channel = connection.open_channel()
            channel.settimeout(BEGIN_S)
            channel.exec_command(command(instance.reach.user, self._options))
            channel.sendall(bundle.resident_program() + request)
            listening = _Listening(where, connection, channel, Frames(nonce), self._cut)
            return listening.listen(heard, stopping)
        except wire.WireError as error:
            return Unseen(wording.nonsense(where, str(error)), _HINT)
        except DriftdError:
            raise
        except HOSTILE as error:
            return Unseen(wording.ended(where, quoted(str(error))), _HINT)
        finally:
            if channel is not None:
                if instance.reach.visit is not None and stopping():
                    instance.reach.visit.parts(Parted.ORDERLY)
                with contextlib.suppress(*HOSTILE):
                    channel.close()


class _Listening:
    """The connection while a watch stands."""

    def __init__(
        self, where: str, connection: Connection, channel: paramiko.Channel, frames: Frames, cut: threading.Event
    ) -> None:
        self._where = where
        self._socket = connection.socket
        self._channel = channel
        self._frames = frames
        self._cut = cut
        self._complaint = b""

    def listen(self, heard: Callable[[Message], None], stopping: Callable[[], bool]) -> Unseen:
        """Until it ends. Raises WireError and what the connection raises."""
        self._channel.settimeout(_TICK_S)
        greeted, silent_at = False, time.monotonic() + BEGIN_S
        beat_at, count = 0.0, 0
        while not (stopping() or self._cut.is_set()):
            now = time.monotonic()
            if now >= beat_at:
                beat_at, count = now + watchwire.BEAT_S, 0
                self._beat(BEGIN_S if not greeted else watchwire.SILENCE_S)
            data = self._received()
            if self._complaint and NO_PYTHON.encode() in self._complaint:
                return Unseen(f"{self._where} has no Python to run the probe with", "install python3-minimal there")
            if data is None:
                if time.monotonic() >= silent_at:
                    return Unseen(wording.silent(self._where, watchwire.SILENCE_S if greeted else BEGIN_S), _HINT)
                continue
            if not data:
                return Unseen(wording.ended(self._where, quoted(self._complaint)), _HINT)
            for message in self._frames.feed(data):
                count += 1
                if count > MESSAGES:
                    raise wire.WireError(f"more than {MESSAGES} messages in {watchwire.BEAT_S} s")
                greeted, silent_at = True, time.monotonic() + watchwire.SILENCE_S
                heard(message)
        return Unseen("")

    def _received(self) -> bytes | None:
        """What came; None for nothing yet, b"" for the end."""
        try:
            data: bytes | None = self._channel.recv(_READ)
        except TimeoutError:
            data = None
        while self._channel.recv_stderr_ready():
            said = self._channel.recv_stderr(_READ)
            self._complaint += said[: max(0, COMPLAINT_LIMIT - len(self._complaint))]
        return data

    def _beat(self, patience_s: float) -> None:
        """Say that we are there, and allow for what may come until we say so again."""
        self._socket.deadline = Deadline(patience_s + watchwire.BEAT_S, self._cut)
        self._socket.byte_limit = self._socket.received + ALLOWED
        self._channel.settimeout(patience_s)
        self._channel.sendall(b".")
        self._channel.settimeout(_TICK_S)
