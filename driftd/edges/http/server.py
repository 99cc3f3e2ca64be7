"""A server of metrics or alerts as configured: its address, whom to trust there, and the token that it wants."""

from __future__ import annotations

import http.client
import ipaddress
import ssl
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path

from driftd.core.errors import BadInput, Unavailable, Unreached
from driftd.edges.http.exchange import Answer, Request, exchange, unsent, why
from driftd.secretfiles import token

TOKEN_LIMIT = 16 * 1024


class NoAnswerError(Exception):
    """What was answered is no answer to the question: the end of a sentence about whoever answered."""


class Server:
    """Asks one HTTP server. ``url`` may have a path that all of its own begin with; ``timeout_s`` is for each answer,
    from the first address to the last byte; a name is looked up before.

    ``token_file`` holds a bearer token and is read for every request, so that it can be renewed; ``ca_file`` is whom
    to trust instead of the machine's own list. The token goes over TLS or to this machine, and into no sentence.
    Where the address itself is a secret, ``shown`` is what it is called instead, and it needs TLS as a token does.
    Raises BadInput for what cannot be asked.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 5.0,
        token_file: Path | None = None,
        ca_file: Path | None = None,
        shown: str = "",
    ) -> None:
        self._timeout_s = timeout_s
        self._token_file = token_file
        try:
            parts = urllib.parse.urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            parts, host, port = urllib.parse.urlsplit(""), "", None
        plain = url.isascii() and url.isprintable() and " " not in url
        called = shown or repr(_without_user(url))
        if parts.scheme not in {"http", "https"} or not host or not plain or parts.query or parts.fragment:
            raise BadInput(f"{called} is no address to ask at", "write it like http://127.0.0.1:9090")
        if parts.username is not None:
            raise BadInput(f"{called} has a name or password in it", "put a bearer token in a file: token_file")
        secure = parts.scheme == "https"
        if (token_file is not None or shown) and not secure and not here(host):
            what = f"the token in {token_file} would go to {called}" if token_file else f"{called} would be asked"
            raise BadInput(f"{what} in clear", "use https, or ask without a token")
        self.shown = shown or url.rstrip("/")
        self._host, self._port = host, port or (443 if secure else 80)
        self._prefix = parts.path.rstrip("/")
        self._tls = _context(ca_file) if secure else None
        if token_file is not None:
            _bearer(token_file)

    def get(self, path: str, query: Sequence[tuple[str, str]], limit: int) -> Answer:
        """The answer to a GET. Raises Unavailable with a sentence, BadInput when the token cannot be read."""
        return self._ask("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path, b"", limit)

    def post(self, path: str, form: Sequence[tuple[str, str]], limit: int) -> Answer:
        """The answer to a form. Raises like ``get``."""
        return self._ask("POST", path, urllib.parse.urlencode(form).encode("ascii"), limit)

    def send(self, path: str, body: bytes, headers: Mapping[str, str], limit: int) -> Answer:
        """The answer to a POST of ``body``, whose type is among ``headers``. Raises like ``get``, and Unreached where
        the body surely never arrived.
        """
        return self._ask("POST", path, body, limit, headers)

    def _ask(self, method: str, target: str, body: bytes, limit: int, more: Mapping[str, str] | None = None) -> Answer:
        headers = {"Accept": "application/json", **(more or {})}
        if body and more is None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if self._token_file is not None:
            headers["Authorization"] = f"Bearer {_bearer(self._token_file)}"
        request = Request(self._host, self._port, (self._prefix + target) or "/", method, headers, body, self._tls)
        try:
            return exchange(request, self._timeout_s, limit)
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Without the cause: what a broken request says of itself may hold the token.
            kind = Unreached if unsent(error) else Unavailable
            raise kind(f"{self.shown} {why(error, self._timeout_s)}") from None


def _bearer(file: Path) -> str:
    return token(file, "bearer token", "it is one line of printable ASCII", TOKEN_LIMIT)


def here(host: str) -> bool:
    """Whether ``host`` is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _without_user(url: str) -> str:
    """``url`` as it may be shown: what stands before an @ may be a password."""
    return url.rpartition("@")[2] if "@" in url else url


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise BadInput(
            f"the certificates in {ca_file} cannot be read: {error.strerror or 'they are none'}",
            "ca_file names a file in PEM form",
        ) from None
