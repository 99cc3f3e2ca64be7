"""Asking an instance's application whether it serves: one HTTP request, past the load balancer."""

from __future__ import annotations

import http.client
import io
import os
import socket
import time
import urllib.parse

from driftd.core.errors import BadInput
from driftd.core.facts import Instance

BODY_LIMIT = 64 * 1024


class HttpHealth:
    """``Health`` over plain HTTP. ``url`` may hold ``{address}``; ``timeout_s`` is for all of it, name to last byte.

    A redirect is an answer like any other (not the expected status), and the environment's proxies are not asked:
    the question is whether *this* instance serves. Raises ``BadInput`` for what is not such a URL.
    """

    def __init__(self, url: str, *, timeout_s: float = 2.0, expect: int = 200) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._expect = expect
        try:
            self._for("192.0.2.1")
        except ValueError:
            raise BadInput(
                f"{url!r} is not an address that health can be asked at", "write it like http://{address}:8080/healthz"
            ) from None

    def check(self, instance: Instance) -> str:
        """See ``Health.check``."""
        if "{address}" in self._url and not instance.address:
            return f"{instance.id} has no address yet, so its health cannot be asked"
        try:
            shown, host, port, path = self._for(instance.address)
        except ValueError:
            return f"the address {instance.address!r} of {instance.id} cannot stand in {self._url}"
        try:
            status = _get(host, port, path, self._timeout_s)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"{shown} {self._why(error)}"
        return "" if status == self._expect else f"{shown} answered {status}, not {self._expect}"

    def _why(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"did not answer within {self._timeout_s:g} s"
        if isinstance(error, ConnectionRefusedError):
            return "refuses connections: nothing listens there"
        if isinstance(error, http.client.RemoteDisconnected):
            return "closed the connection without an answer"
        if isinstance(error, OSError) and not isinstance(error, http.client.HTTPException):
            return f"cannot be reached: {os.strerror(error.errno) if error.errno else type(error).__name__}"
        # What it said may be anything, so only the kind of nonsense is told.
        return f"does not answer in HTTP ({type(error).__name__})"

    def _for(self, address: str) -> tuple[str, str, int, str]:
        """(url, host, port, path) for one address. Raises ValueError."""
        url = self._url.replace("{address}", f"[{address}]" if ":" in address else address)
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.username is not None or not url.isprintable():
            raise ValueError(url)
        return url, parts.hostname, parts.port or 80, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


class _Timed(io.RawIOBase):
    """A socket's reading side with one deadline over all reads, so that a slow drip is no way around it."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock = sock
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # io gives a memoryview here
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._sock.recv_into(buffer)


class _TimedSocket:
    """What http.client asks of a socket."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock = sock
        self._until = until

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Timed(self._sock, self._until))


def _get(host: str, port: int, path: str, timeout_s: float) -> int:
    """The status of one GET. Raises OSError, HTTPException or ValueError."""
    until = time.monotonic() + timeout_s
    with socket.create_connection((host, port), timeout=timeout_s) as sock:
        sock.settimeout(max(0.01, until - time.monotonic()))
        name = f"[{host}]" if ":" in host else host
        sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nUser-Agent: driftd\r\nConnection: close\r\n\r\n".encode(
                "ascii"
            )
        )
        response = http.client.HTTPResponse(_TimedSocket(sock, until), method="GET")  # type: ignore[arg-type]  # makefile is all
        with response:
            response.begin()
            body = response.read(BODY_LIMIT)
            if response.length and len(body) < BODY_LIMIT:
                raise http.client.IncompleteRead(body, response.length)
            return response.status
