"""One request and its answer over a socket: bounded in bytes, and in time from the first address to the last byte.

``http.client`` reads the answer; what it lacks is a deadline over all its reads, so that a slow drip is no way around.
A name is looked up before that: the resolver cannot be interrupted, and has its own time (resolv.conf(5): timeout,
attempts).
"""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# One of getaddrinfo's answers.
_Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. ``target`` is path and query, already quoted; ``tls`` is None for plain HTTP."""

    host: str
    port: int
    target: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``whole`` is False where there was more than was taken; ``retry_after`` is a header's value."""

    status: int
    body: bytes
    whole: bool
    retry_after: str = ""


class _Timed(io.RawIOBase):
    """A socket's reading side with one deadline over all reads."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock = sock
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # io gives a memoryview here
        self._sock.settimeout(_left(self._until))
        return self._sock.recv_into(buffer)


class _TimedSocket:
    """What http.client asks of a socket."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock = sock
        self._until = until

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Timed(self._sock, self._until))


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def exchange(request: Request, timeout_s: float, limit: int) -> Answer:
    """Send ``request``, take at most ``limit`` bytes of the answer. Raises OSError, HTTPException or ValueError.

    A redirect is an answer like any other, and the environment's proxies are not asked. ``timeout_s`` is for all of
    the host's addresses together; looking up its name comes before.
    """
    addresses = socket.getaddrinfo(request.host, request.port, type=socket.SOCK_STREAM)
    until = time.monotonic() + timeout_s
    with _connected(addresses, until) as plain:
        plain.settimeout(_left(until))
        sock = request.tls.wrap_socket(plain, server_hostname=request.host) if request.tls else plain
        with sock:
            sock.settimeout(_left(until))
            sock.sendall(_head(request) + request.body)
            response = http.client.HTTPResponse(_TimedSocket(sock, until), method=request.method)  # type: ignore[arg-type]  # makefile is all
            with response:
                response.begin()
                body = response.read(limit)
                if response.length and len(body) < limit:
                    raise http.client.IncompleteRead(body, response.length)
                whole = not response.length and response.read(1) == b""
                return Answer(response.status, body, whole, response.headers.get("Retry-After") or "")


def _connected(addresses: Sequence[_Found], until: float) -> socket.socket:
    """A connection to the first that answers; each has its share of what is left, so that one hole hides no other."""
    failed = OSError("there is no address")
    for number, found in enumerate(addresses):
        try:
            return _connection(found, _left(until) / (len(addresses) - number))
        except OSError as error:
            failed = error
    raise failed


def _connection(found: _Found, timeout_s: float) -> socket.socket:
    family, kind, protocol, _name, address = found
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(timeout_s)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _head(request: Request) -> bytes:
    name = f"[{request.host}]" if ":" in request.host else request.host
    headers = {
        "Host": f"{name}:{request.port}",
        "User-Agent": "driftd",
        **request.headers,
        "Connection": "close",
        **({"Content-Length": str(len(request.body))} if request.method != "GET" else {}),
    }
    lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def unsent(error: Exception) -> bool:
    """Whether the request surely never arrived."""
    return isinstance(error, ConnectionRefusedError | socket.gaierror | ssl.SSLCertVerificationError)


def why(error: Exception, timeout_s: float) -> str:
    """What went wrong, as the end of a sentence. What the other side said may be anything, so it is not repeated."""
    if isinstance(error, TimeoutError):
        return f"did not answer within {timeout_s:g} s"
    for kind, said in _KNOWN:
        if isinstance(error, kind):
            return said
    if isinstance(error, ssl.SSLError):
        said = getattr(error, "verify_message", "")
        return f"has a certificate that is not trusted: {said}" if said else "does not speak TLS as it should"
    if isinstance(error, OSError) and not isinstance(error, http.client.HTTPException):
        return f"cannot be reached: {os.strerror(error.errno) if error.errno else type(error).__name__}"
    return f"does not answer in HTTP ({type(error).__name__})"


_KNOWN: tuple[tuple[type[Exception], str], ...] = (
    (ConnectionRefusedError, "refuses connections: nothing listens there"),
    (http.client.RemoteDisconnected, "closed the connection without an answer"),
    (socket.gaierror, "has a name that is not known"),
)
