"""The daemon's HTTP server: it says what is so, and always answers, whatever its clients and the store do."""

import contextlib
import http.client
import socket
import sqlite3
import threading
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, Gauge
from servers import wait_until

from driftd.core.errors import BadInput
from driftd.core.memory import StoreUnavailable
from driftd.edges.listener import CONNECTIONS, SCRAPES, Listener
from driftd.edges.metrics import Metrics
from driftd.edges.store import open_store


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def listening():
    """Start a listener; it is closed at the end."""
    with contextlib.ExitStack() as stack:

        def start(alive=str, ready=str, registry=None, **options) -> int:
            listener = Listener("127.0.0.1:0", registry or CollectorRegistry(), alive, ready, **options)
            stack.callback(listener.close)
            return listener.port

        yield start


def test_health_is_ok_or_the_reason(listening):
    said = {"alive": "", "ready": "the first pass is not done"}
    port = listening(lambda: said["alive"], lambda: said["ready"])
    assert ask(port, "/healthz") == (200, "ok\n")
    assert ask(port, "/readyz") == (503, "the first pass is not done\n")
    said.update(alive="the job sweep hangs", ready="")
    assert ask(port, "/healthz") == (503, "the job sweep hangs\n")
    assert ask(port, "/readyz") == (200, "ok\n")


def test_metrics_stand_beside_it_and_everything_else_is_nowhere(listening):
    registry = CollectorRegistry()
    Gauge("driftd_told", "Told.", registry=registry).set(7)
    port = listening(registry=registry)
    status, text = ask(port, "/metrics")
    assert (status, "driftd_told 7.0" in text) == (200, True)
    assert ask(port, "/")[1].split() == ["/metrics", "/healthz", "/readyz"]
    assert ask(port, "/etc/passwd")[0] == 404
    assert ask(port, "/metrics", "POST")[0] == 405
    assert ask(port, "/healthz", "HEAD") == (200, "")


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/nowhere"])
def test_no_answer_tells_what_it_is_made_of(listening, path: str):
    with socket.create_connection(("127.0.0.1", listening())) as wire:
        wire.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        head = wire.makefile("rb").read().partition(b"\r\n\r\n")[0]
    assert b"\r\nServer: driftd" in head
    assert b"Python" not in head


def test_an_answer_that_does_not_come_is_not_waited_for_and_asked_once(listening):
    goes_on, asked = threading.Event(), []

    def hangs() -> str:
        asked.append(1)
        goes_on.wait(60)
        return ""

    port = listening(ready=hangs, patience_s=0.05)
    for _ in range(3):
        assert ask(port, "/readyz") == (503, "the store did not answer within 0.05 s\n")
    assert ask(port, "/healthz") == (200, "ok\n")
    assert len(asked) == 1
    goes_on.set()
    wait_until(lambda: ask(port, "/readyz") == (200, "ok\n"), "the answer")


def https() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "http"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mistake_of_ours_is_not_ready(listening):
    def broken() -> str:
        raise ZeroDivisionError

    status, said = ask(listening(ready=broken), "/readyz")
    assert (status, "cannot be told" in said) == (503, True)
    # Its last words are about this test, and none of the next one's.
    wait_until(lambda: all(thread.name != "ready" for thread in threading.enumerate()), "the end of who asked")


def test_silent_clients_keep_nobody_out(listening):
    """More of them than there are places, each in the middle of its request."""
    others = https()
    port = listening()
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(3 * CONNECTIONS)]
        for one in silent:
            one.sendall(b"GET /healthz HT")
        assert ask(port, "/healthz") == (200, "ok\n")
        # The first of them were hung up on: their places were needed.
        silent[0].settimeout(30)
        assert silent[0].recv(1) == b""
        assert len(https() - others) <= CONNECTIONS + 1


def test_scrapes_that_hang_keep_health_from_nobody(listening):
    goes_on, under_way = threading.Event(), []

    class Slow:
        def collect(self):
            under_way.append(1)
            goes_on.wait(60)
            return ()

    registry = CollectorRegistry(auto_describe=False)
    port = listening(registry=registry)
    registry._collector_to_names[Slow()] = []
    threads = [threading.Thread(target=ask, args=(port, "/metrics")) for _ in range(SCRAPES)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(under_way) == SCRAPES, "the scrapes")
    try:
        assert ask(port, "/metrics") == (503, "too many ask for metrics at once; ask again\n")
        assert ask(port, "/healthz") == (200, "ok\n")
    finally:
        goes_on.set()
        for thread in threads:
            thread.join()
    assert ask(port, "/metrics")[0] == 200


def test_a_locked_store_is_told_and_holds_nobody_up(listening, tmp_path):
    """Another process that holds the file for itself alone, as a repair or a copy would."""
    open_store(f"sqlite:///{tmp_path}/driftd.db").close()
    store = open_store(f"sqlite:///{tmp_path}/driftd.db", read_only=True, patience_s=0.1)
    metrics = Metrics(store, lambda: datetime(2026, 11, 21, tzinfo=UTC), "1")

    def ready() -> str:
        try:
            with store.read() as tx:
                tx.pauses()
        except StoreUnavailable as error:
            return str(error)
        return ""

    port = listening(ready=ready, registry=metrics.registry)
    assert ask(port, "/readyz")[0] == 200
    store.close()
    holder = sqlite3.connect(tmp_path / "driftd.db", isolation_level=None)
    try:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        holder.execute("CREATE TABLE held (x)")
        status, said = ask(port, "/readyz")
        assert (status, "locked" in said) == (503, True), said
        assert "driftd_store_up 0.0" in ask(port, "/metrics")[1]
        assert ask(port, "/healthz") == (200, "ok\n")
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert ask(port, "/readyz") == (200, "ok\n")
    assert "driftd_store_up 1.0" in ask(port, "/metrics")[1]
    store.close()


@pytest.mark.parametrize("listen", ["", "nowhere", "127.0.0.1:http", "127.0.0.1:99999", "192.0.2.1:80"])
def test_what_is_no_address_to_listen_on_is_one_sentence(listen: str):
    with pytest.raises(BadInput, match="cannot serve metrics on") as caught:
        Listener(listen, CollectorRegistry(), str, str)
    assert caught.value.hint


def test_a_port_that_is_taken_is_one_sentence(listening):
    with pytest.raises(BadInput, match="cannot serve metrics on"):
        Listener(f"127.0.0.1:{listening()}", CollectorRegistry(), str, str)


def test_it_listens_on_ipv6_too():
    try:
        listener = Listener("[::1]:0", CollectorRegistry(), str, str)
    except BadInput:
        pytest.skip("this machine has no IPv6")
    try:
        with socket.create_connection(("::1", listener.port), timeout=30) as wire:
            wire.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert wire.recv(100).startswith(b"HTTP/1.0 200")
    finally:
        listener.close()


def test_closing_ends_what_hangs_on_it_and_frees_the_port():
    others = https()
    listener = Listener("127.0.0.1:0", CollectorRegistry(), str, str)
    with socket.create_connection(("127.0.0.1", listener.port)) as silent:
        silent.sendall(b"GET /")
        wait_until(lambda: https() - others)
        listener.close()
        silent.settimeout(30)
        assert silent.recv(1) == b""
    again = Listener(f"127.0.0.1:{listener.port}", CollectorRegistry(), str, str)
    again.close()
