"""Who listens at an address that driftd means to serve its metrics at."""

from __future__ import annotations

import errno
import http.client
import socket

from driftd.core.checkup import Listening
from driftd.edges.http.exchange import Request, exchange

_METRICS_LIMIT = 1 << 22
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where to ask whoever listens there


def listening(listen: str, timeout_s: float = 2.0) -> tuple[Listening, str]:
    """Who is at ``host:port``, and why nobody can be. It is bound for a moment, and nobody is answered."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    try:
        number = int(port)
        family, kind, protocol, _, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
    except (ValueError, OSError, OverflowError):
        return Listening.UNUSABLE, f"{listen!r} is no host:port of this machine"
    try:
        with socket.socket(family, kind, protocol) as trying:
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trying.bind(address)
    except (OSError, OverflowError) as error:
        if getattr(error, "errno", 0) != errno.EADDRINUSE:
            return Listening.UNUSABLE, getattr(error, "strerror", None) or str(error)
    else:
        return Listening.FREE, ""
    try:
        answer = exchange(Request(_EVERYWHERE.get(host, host), number, "/metrics"), timeout_s, _METRICS_LIMIT)
    except (OSError, http.client.HTTPException, ValueError):
        return Listening.OTHER, ""
    return (Listening.OURS if b"driftd_build_info" in answer.body else Listening.OTHER), ""
