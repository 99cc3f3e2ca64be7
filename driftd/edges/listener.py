"""The daemon's own small HTTP server: ``/metrics``, ``/healthz`` and ``/readyz``, and nothing that changes anything.

It answers in a bounded number of threads whatever its clients and the store do: a newcomer takes the place of the
connection that was there longest, few may scrape at once, and a store that hangs is asked by one thread at a time that
nobody waits long for. So a daemon that lives can always say so.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from driftd.core.errors import BadInput
from driftd.core.wording import health as wording

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

CONNECTIONS = 16
SCRAPES = 2
# Shorter than a kubelet's patience is ever set: it is to hear the reason.
PATIENCE_S = 2.0
# For each read and each write, of a client that says nothing.
SILENCE_S = 10.0
# How long a scrape waits where it does not say; and how long one may have us wait.
SCRAPE_S = 10.0
LONGEST_SCRAPE_S = 60.0
# In which Prometheus, and who works like it, says how long a scrape waits.
_SCRAPE_HEADER = "HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS"
_TEXT = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
_PAGES = "/metrics\n/healthz\n/readyz\n"

Health = Callable[[], str]
Within = Callable[[float], AbstractContextManager[object]]


class _Patient:
    """Asks what may hang, in one thread at a time; everybody who comes meanwhile waits for that same answer."""

    def __init__(self, ask: Health, patience_s: float) -> None:
        self._ask = ask
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._answer: Future[str] | None = None

    def __call__(self) -> str:
        with self._lock:
            answer = self._answer
            if answer is None or answer.done():
                answer = self._answer = Future()
                threading.Thread(target=self._fill, args=(answer,), name="ready", daemon=True).start()
        try:
            return answer.result(self._patience_s)
        except TimeoutError:
            return wording.store_silent(self._patience_s)

    def _fill(self, answer: Future[str]) -> None:
        said = wording.NOT_TOLD
        try:
            said = self._ask()
        finally:
            answer.set_result(said)


class _Pages:
    """The WSGI application. A health page answers 200 and "ok", or 503 and the reason in one sentence."""

    def __init__(
        self, registry: CollectorRegistry, alive: Health, ready: Health, patience_s: float, within: Within
    ) -> None:
        self._metrics: WSGIApplication = make_wsgi_app(registry)
        self._within = within
        self._places = threading.BoundedSemaphore(SCRAPES)
        self._health: dict[str, Health] = {"/healthz": alive, "/readyz": _Patient(ready, patience_s)}

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        def named(status: str, headers: list[tuple[str, str]], *failed: Any) -> Any:
            """Without this wsgiref tells everybody which Python it is."""
            return start(status, [*headers, ("Server", "driftd")], *failed)

        return self._answer(environ, named)

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ.get("REQUEST_METHOD") not in {"GET", "HEAD"}:
            return _say(start, HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD\n", [("Allow", "GET, HEAD")])
        if path in self._health:
            return self._well(self._health[path], start)
        if path == "/metrics":
            return self._scraped(environ, start)
        if path == "/":
            return _say(start, HTTPStatus.OK, _PAGES)
        return _say(start, HTTPStatus.NOT_FOUND, f"there is nothing here; there are:\n{_PAGES}")

    @staticmethod
    def _well(health: Health, start: StartResponse) -> Iterable[bytes]:
        why = health()
        return _say(start, HTTPStatus.SERVICE_UNAVAILABLE if why else HTTPStatus.OK, f"{why or 'ok'}\n")

    def _scraped(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if not self._places.acquire(blocking=False):
            return _say(start, HTTPStatus.SERVICE_UNAVAILABLE, f"{wording.too_many('metrics')}\n")
        try:
            with self._within(waits := _waits_s(environ)):
                return [*self._metrics(environ, start)]
        except TimeoutError:
            return _say(start, HTTPStatus.SERVICE_UNAVAILABLE, f"{wording.late(waits)}\n")
        finally:
            self._places.release()


def _waits_s(environ: WSGIEnvironment) -> float:
    """How long this scrape waits, by its own word."""
    try:
        said = float(environ.get(_SCRAPE_HEADER, ""))
    except ValueError:
        return SCRAPE_S
    return min(said, LONGEST_SCRAPE_S) if said > 0 else SCRAPE_S


def _say(
    start: StartResponse, status: HTTPStatus, text: str, headers: Iterable[tuple[str, str]] = ()
) -> Iterable[bytes]:
    start(f"{status.value} {status.phrase}", [*_TEXT, *headers])
    return [text.encode()]


class _Quiet(WSGIRequestHandler):
    timeout = SILENCE_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as http.server calls it
        """Requests are not news."""


class _Server(WSGIServer):
    """One thread a connection, and no more than ``CONNECTIONS`` of them: the oldest gives its place to a newcomer."""

    request_queue_size = 64

    def __init__(self, host: str, port: int) -> None:
        self.address_family, _, _, _, found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        self._open: dict[socket.socket, None] = {}
        self._lock = threading.Lock()
        super().__init__((str(found[0]), port), _Quiet)

    def server_bind(self) -> None:
        """As HTTPServer does, without asking the DNS for this machine's name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "driftd", self.socket.getsockname()[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            oldest = next(iter(self._open)) if len(self._open) >= CONNECTIONS else None
            if oldest is not None:
                self._open.pop(oldest)
                _hang_up(oldest)
            self._open[request] = None
        threading.Thread(target=self._answer, args=(request, client_address), name="http", daemon=True).start()

    def _answer(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except (OSError, ValueError):
            pass  # the client is gone, or was never one
        finally:
            with self._lock:
                self._open.pop(request, None)
            self.shutdown_request(request)

    def hang_up(self) -> None:
        """End every connection."""
        with self._lock:
            for request in self._open:
                _hang_up(request)


def _hang_up(request: socket.socket) -> None:
    """Its thread then finds the end of the connection, and closes it."""
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class Listener:
    """Serves from now until ``close``.

    ``listen`` is ``host:port``; no host is this machine alone. ``alive`` and ``ready`` answer "" or why not: ``alive``
    is asked at once, ``ready`` may hang and is given ``patience_s``. Raises BadInput for what is no address to listen
    on. Each scrape is collected in a block of ``within``, which is told for how many seconds the scrape waits.
    """

    def __init__(
        self,
        listen: str,
        registry: CollectorRegistry,
        alive: Health,
        ready: Health,
        *,
        patience_s: float = PATIENCE_S,
        within: Within = nullcontext,
    ) -> None:
        host, _, port = listen.rpartition(":")
        try:
            self._server = _Server(host.strip("[]") or "127.0.0.1", int(port))
        except (OSError, ValueError, OverflowError) as error:
            raise BadInput(
                f"cannot serve metrics on {listen!r}: {error}", "set metrics.listen to a free host:port"
            ) from None
        self._server.set_app(_Pages(registry, alive, ready, patience_s, within))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="listener", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.server_port

    def close(self) -> None:
        """Stop serving; whoever is still connected is hung up on."""
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()
