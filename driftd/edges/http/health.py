"""Asking an instance's application whether it serves: one HTTP request, past the load balancer."""

from __future__ import annotations

import http.client
import urllib.parse

from driftd.core.errors import BadInput
from driftd.core.facts import Instance
from driftd.edges.http.exchange import Request, exchange, why

BODY_LIMIT = 64 * 1024


class HttpHealth:
    """``Health`` over plain HTTP. ``url`` may hold ``{address}``; ``timeout_s`` is for all of it, first address to
    last byte; a name is looked up before, in the resolver's own time.

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
            answer = exchange(Request(host, port, path), self._timeout_s, BODY_LIMIT)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"{shown} {why(error, self._timeout_s)}"
        return "" if answer.status == self._expect else f"{shown} answered {answer.status}, not {self._expect}"

    def _for(self, address: str) -> tuple[str, str, int, str]:
        """(url, host, port, path) for one address. Raises ValueError."""
        url = self._url.replace("{address}", f"[{address}]" if ":" in address else address)
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.username is not None or not url.isprintable():
            raise ValueError(url)
        return url, parts.hostname, parts.port or 80, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
