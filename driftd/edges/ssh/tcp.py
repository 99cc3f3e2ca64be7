"""The TCP side of a connection: reached by a deadline, without Nagle's delay, metered and bounded.

Paramiko reads from what it is given whatever the far end sends, for as long as it sends. So it is given this wrapper,
which counts, keeps the deadline, and refuses a packet or a total that no honest server would send.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence

from driftd.edges.ssh.failure import SshError, quoted

READ_SIZE = 64 * 1024
PACKET_LIMIT = 256 * 1024  # RFC 4253 asks for 35,000 bytes; OpenSSH never sends more than 256 KiB
GREETING_KEPT = 256

_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}


class Deadline:
    """A moment that everything must be done by. ``limit_s`` is how long it was when it was set, for the sentence.

    Once ``cut`` is set, it has passed.
    """

    def __init__(self, seconds: float, cut: threading.Event | None = None) -> None:
        self.limit_s = seconds
        self._at = time.monotonic() + seconds
        self._cut = cut

    def left(self) -> float:
        """Seconds until then; 0.0 once it has passed."""
        if self._cut is not None and self._cut.is_set():
            return 0.0
        return max(0.0, self._at - time.monotonic())

    def within(self, seconds: float) -> Deadline:
        """A nearer deadline, at most ``seconds`` away and never later than this one."""
        return Deadline(min(seconds, self.left()), self._cut)


class MeteredSocket:
    """A connected socket as paramiko uses one. ``stopped`` says why reading was cut off: "", "deadline" or a reason.

    ``source`` and ``port`` are this end's.
    """

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._closed = False  # paramiko asks for it by this name
        self.source, self.port = _name(sock)
        self.deadline = deadline
        self.byte_limit = 1024 * 1024
        self.overfull: Callable[[], bool] | None = None
        self.sent = 0
        self.received = 0
        self.greeting = b""
        self.stopped = ""

    def recv(self, size: int) -> bytes:
        """At most ``size`` bytes; EOFError once the deadline or a bound is passed."""
        if not self.deadline.left():
            self.stop("deadline")
        elif size > PACKET_LIMIT:
            self.stop(f"it announced a packet of {size} bytes")
        elif self.received > self.byte_limit:
            self.stop(f"it sent more than {self.byte_limit} bytes")
        elif self.overfull is not None and self.overfull():
            self.stop("it sent more than it had been granted")
        if self.stopped:
            raise EOFError(self.stopped)
        data = self._sock.recv(min(size, READ_SIZE))
        self.received += len(data)
        if len(self.greeting) < GREETING_KEPT:
            self.greeting += data[: GREETING_KEPT - len(self.greeting)]
        return data

    def send(self, data: bytes) -> int:
        """As ``socket.send``; EOFError once the deadline has passed."""
        if not self.deadline.left():
            self.stop("deadline")
        if self.stopped:
            raise EOFError(self.stopped)
        count = self._sock.send(data)
        self.sent += count
        return count

    def stop(self, reason: str) -> None:
        """Let nothing more through; the first reason stays."""
        self.stopped = self.stopped or reason

    def settimeout(self, seconds: float | None) -> None:
        """As ``socket.settimeout``."""
        self._sock.settimeout(seconds)

    def close(self) -> None:
        """Close both directions, also under whoever reads just now; a second time is a no-op."""
        self._closed = True
        with contextlib.suppress(OSError):  # it was closed, or never connected
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


def _name(sock: socket.socket) -> tuple[str, int]:
    """This end's address and port; none for what is no socket of the internet."""
    name = sock.getsockname()
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) and len(name) > 1 else ("", 0)


def open_socket(host: str, port: int, deadline: Deadline) -> MeteredSocket:
    """Connect to the first address of ``host`` that answers. Raises ``SshError`` saying what it means."""
    addresses = _resolve(host, port, deadline)
    last: OSError | None = None
    for index, (family, kind, protocol, _name, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        # An address that swallows packets must not eat the time of those after it.
        sock.settimeout(max(0.01, deadline.left() / (len(addresses) - index)))
        try:
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            last = error
        else:
            return MeteredSocket(sock, deadline)
    raise _connect_failure(host, port, last, deadline)


_Address = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


def _resolve(host: str, port: int, deadline: Deadline) -> Sequence[_Address]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        pass
    found: list[_Address] = []
    failed: list[str] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failed.append(getattr(error, "strerror", None) or "not a host name")

    # The resolver knows no deadline, so it runs in a thread that may be left behind.
    thread = threading.Thread(target=ask, name="driftd-resolve", daemon=True)
    thread.start()
    thread.join(deadline.left())
    if found:
        return found
    why = failed[0] if failed else f"the name servers did not answer within {deadline.limit_s:.0f} s"
    raise SshError(
        f"{quoted(host)} cannot be found by name: {why}",
        "check the host name in the inventory and this machine's name servers",
    )


def _connect_failure(host: str, port: int, error: OSError | None, deadline: Deadline) -> SshError:
    where = f"{quoted(host)} port {port}"
    if isinstance(error, ConnectionRefusedError):
        return SshError(
            f"{where} refused the connection: nothing listens there",
            "check that sshd runs on the instance and that the port is right",
        )
    if error is None or isinstance(error, TimeoutError):
        return SshError(
            f"{where} did not answer within {deadline.limit_s:.0f} s",
            "check that the instance is up and that firewalls and security groups let this machine reach the port",
        )
    reason = os.strerror(error.errno) if error.errno else "no address could be used"
    if error.errno in _UNREACHABLE:
        return SshError(f"{where} is unreachable: {reason}", "check the route from this machine to the instance")
    return SshError(f"{where} cannot be connected to: {reason}", "check the address and this machine's network")
