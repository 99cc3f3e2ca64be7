"""Health: one request, one sentence, one deadline, whatever the application does."""

import contextlib
import socket
import threading
import time

import pytest

from driftd.core.errors import BadInput
from driftd.core.facts import Instance
from driftd.edges.http.health import HttpHealth


@contextlib.contextmanager
def server(answer):
    """Answers each connection by calling ``answer(sock)`` once the request's head has come."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                with sock, contextlib.suppress(OSError):
                    asked.append(sock.recv(4096))
                    answer(sock)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], asked
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
        assert not thread.is_alive()


HERE = Instance("i-1", "web", "img", address="127.0.0.1")


def ask(port, timeout_s=2.0, path="/healthz"):
    return HttpHealth(f"http://{{address}}:{port}{path}", timeout_s=timeout_s).check(HERE)


def say(data):
    return lambda sock: sock.sendall(data)


def test_the_expected_status_is_health():
    with server(say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as (port, asked):
        assert ask(port, path="/healthz?deep=1") == ""
    assert asked[0].startswith(b"GET /healthz?deep=1 HTTP/1.1\r\n")


def test_another_status_is_not_and_a_redirect_is_not_followed():
    with server(say(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")) as (port, asked):
        assert ask(port) == f"http://127.0.0.1:{port}/healthz answered 302, not 200"
    assert len(asked) == 1


def test_an_expected_status_may_be_another_than_200():
    with server(say(b"HTTP/1.1 204 No Content\r\n\r\n")) as (port, _):
        assert HttpHealth(f"http://{{address}}:{port}/", expect=204).check(HERE) == ""


def test_the_environments_proxy_is_not_asked(monkeypatch):
    with (
        server(say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (proxy, asked),
        server(say(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")) as (port, _),
    ):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        assert "answered 503" in ask(port)
        assert not asked


def test_nothing_listening_is_said():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert ask(port) == f"http://127.0.0.1:{port}/healthz refuses connections: nothing listens there"


def _drip(sock):
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100:
        sock.sendall(bytes([byte]))
        time.sleep(0.05)


def _endless(sock):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
    while True:
        sock.sendall(b"x" * 65536)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda sock: time.sleep(0.6), "did not answer within 0.3 s"),
        (_drip, "did not answer within 0.3 s"),
        (say(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not answer in HTTP"),
        (say(b""), "closed the connection without an answer"),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), "does not answer in HTTP (IncompleteRead)"),
        (say(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"), "does not answer in HTTP"),
        (say(b"\xff\x00\x1b[31m" * 100), "does not answer in HTTP"),
    ],
)
def test_nonsense_and_silence_are_a_sentence_in_time(answer, said):
    with server(answer) as (port, _):
        began = time.monotonic()
        why = ask(port, timeout_s=0.3)
        assert time.monotonic() - began < 0.55
        assert said in why
        assert why.isprintable()


def test_a_body_without_end_is_read_only_so_far():
    with server(_endless) as (port, _):
        began = time.monotonic()
        assert ask(port) == ""
        assert time.monotonic() - began < 1


def test_an_instance_without_an_address_is_not_healthy():
    assert "no address yet" in HttpHealth("http://{address}/").check(Instance("i-1", "web", "img"))


@pytest.mark.parametrize(
    "url", ["ftp://{address}/", "https://{address}/", "{address}:80", "http:///x", "http://{address}:x/"]
)
def test_a_url_that_cannot_be_asked_is_refused_at_once(url):
    with pytest.raises(BadInput, match="health"):
        HttpHealth(url)


def test_an_address_that_is_none_is_a_sentence():
    why = HttpHealth("http://{address}:8080/").check(Instance("i-1", "web", "img", address="a\r\nX: y"))
    assert "cannot stand in" in why
    assert "\n" not in why


# --- a name with several addresses -----------------------------------------------------------------------------------


@pytest.fixture
def hole():
    """A port where nobody answers a SYN: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()


def named(monkeypatch, *addresses):
    """``many.test`` has these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_words, **_more: found)


def test_one_deadline_covers_all_addresses_of_a_name(monkeypatch, hole):
    named(monkeypatch, hole, hole, hole, hole)
    began = time.monotonic()
    said = HttpHealth("http://many.test/", timeout_s=1.0).check(HERE)
    assert said == "http://many.test/ did not answer within 1 s"
    assert time.monotonic() - began < 2.5


def test_an_address_where_nobody_answers_hides_no_other(monkeypatch, hole):
    with server(say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as (port, _):
        named(monkeypatch, hole, ("127.0.0.1", port))
        assert HttpHealth("http://many.test/", timeout_s=2.0).check(HERE) == ""
