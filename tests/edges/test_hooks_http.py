"""Hooks over HTTP: what is posted, what each answer means, and servers that hang, redirect, or talk without end."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import socket
import ssl
import subprocess
import threading
import time
from base64 import b64decode, b64encode
from datetime import UTC, datetime

import pytest
from receiving import receiver

from driftd.core.errors import BadInput
from driftd.core.facts import Instance, Unseen
from driftd.core.hooks import HookName, NotYet
from driftd.edges.http import hooks as edge
from driftd.edges.http.hooks import HttpHooks, Place
from driftd.edges.http.server import Server
from driftd.testing import HooksContract

DB = Instance("i-1", "db", "db-7", slot="db/0", address="192.0.2.9")
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def hooks_at(url, *names, timeout_s=5.0, **files):
    server = {name: files[name] for name in ("token_file", "ca_file") if name in files}
    place = Place(Server(url, timeout_s=timeout_s, **server), files.get("token_file"), files.get("secret_file"))
    return HttpHooks(dict.fromkeys(names or (HookName.PRE_DRAIN,), place), lambda: NOW)


def run(hooks, name=HookName.PRE_DRAIN, instance=DB, **facts):
    return hooks.run(name, instance, "db", {"rid": "r-1", **facts})


class TestPosted(HooksContract):
    @pytest.fixture
    def hooks(self):
        with receiver() as self.receiver:
            self.receiver.says = b'{"members": 3}'
            yield hooks_at(self.receiver.url, HookName.QUIESCE, HookName.SERVE, HookName.QUORUM)

    @pytest.fixture
    def instance(self):
        return DB

    def fail(self, hooks, name, why):
        self.receiver.status, self.receiver.says = 500, why.encode()


def test_a_post_says_what_a_command_is_told():
    with receiver() as there:
        assert run(hooks_at(there.url), hook="other", instance_name="x") == ""
    (posted,) = there.posts
    assert posted.path == "/hook"
    assert posted.headers["content-type"] == "application/json"
    assert json.loads(posted.body) == {
        "hook": "pre_drain",
        "instance": "i-1",
        "address": "192.0.2.9",
        "group": "db",
        "slot": "db/0",
        "image": "db-7",
        "rid": "r-1",
        "instance_name": "x",
    }


def test_the_key_is_the_same_for_the_same_hook_and_for_no_other():
    with receiver() as there:
        hooks = hooks_at(there.url, HookName.PRE_DRAIN, HookName.SERVE)
        run(hooks)
        run(hooks)
        run(hooks, HookName.SERVE)
        run(hooks, HookName.SERVE, instance=Instance("i-2", "db", "db-7"))
        run(hooks, instance=Instance("i\r\nX-Evil: 1", "db", "db-7"))
    keys = [posted.headers["idempotency-key"] for posted in there.posts]
    assert keys[0] == keys[1] == "r-1/pre_drain/i-1"
    assert len(set(keys)) == 4
    assert not any("x-evil" in posted.headers for posted in there.posts)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_2xx_is_done(status):
    with receiver() as there:
        there.status, there.says = status, b""
        assert run(hooks_at(there.url)) == ""


@pytest.mark.parametrize(("header", "after_s"), [("30", 30.0), ("Fri, 31 Dec 2027 23:59:59 GMT", 0.0), ("-1", 0.0)])
def test_accepted_with_a_time_to_ask_again_is_not_yet(header, after_s):
    with receiver() as there:
        there.status, there.headers = 202, {"Retry-After": header}
        said = run(hooks_at(there.url))
    assert said == NotYet("the pre_drain hook of db on i-1 is not done yet", after_s)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, b"boom", "answered 500 by URL: boom"),
        (503, b"", "answered 503 by URL"),
        (404, b"\x1b[2Jno\xff", "answered 404 by URL: ?[2Jno\ufffd"),
        (302, b"", "answered 302 by URL: a redirect, which is not followed"),
    ],
)
def test_all_else_is_no_with_the_servers_own_words(status, body, said):
    with receiver() as there:
        there.status, there.says = status, body
        there.headers = {"Location": there.url + "/elsewhere"} if status == 302 else {}
        why = run(hooks_at(there.url))
        there.status = 200
    assert why == f"the pre_drain hook of db on i-1 was {said.replace('URL', there.url)}"
    assert there.posts == [], "nobody is asked elsewhere"


@contextlib.contextmanager
def speaking(first, forever=b"", pause_s=0.0):
    """A server that says ``first``, and then ``forever``, to each; what it got rid of is counted."""
    sent, over = [0], threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while not over.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                client.recv(65536)
                client.sendall(first)
                while forever and not over.is_set():
                    client.sendall(forever)
                    sent[0] += len(forever)
                    time.sleep(pause_s)
                over.wait(20 if not forever else 0)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", sent
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(30)


TEN_GIGABYTES = 10 * (1 << 30)


@pytest.mark.parametrize("status", ["200 OK", "500 Broken"])
@pytest.mark.parametrize("length", [f"Content-Length: {TEN_GIGABYTES}", "X-None: 0"])
def test_ten_gigabytes_are_not_read(status, length):
    begun = time.monotonic()
    with speaking(f"HTTP/1.1 {status}\r\n{length}\r\n\r\n".encode(), b"x" * 65536) as (url, sent):
        why = run(hooks_at(url))
        assert why == (
            ""
            if status.startswith("200")
            else f"the pre_drain hook of db on i-1 was answered 500 by {url[:-1]}: {'x' * 199}…"
        )
        answer = hooks_at(url, HookName.QUORUM).ask(HookName.QUORUM, DB, "db")
        assert isinstance(answer, Unseen)
    assert time.monotonic() - begun < 10
    assert sent[0] < 64 << 20, "it stopped when nobody listened"
    if status.startswith("200"):
        assert answer.reason == "the quorum hook of db on i-1 said more than 1 MiB"


def test_an_answer_may_be_as_long_as_is_allowed():
    with receiver() as there:
        there.says = bytes(edge.ANSWER_LIMIT)
        hooks = hooks_at(there.url, HookName.QUORUM)
        assert hooks.ask(HookName.QUORUM, DB, "db") == there.says
        there.says += b"x"
        assert isinstance(hooks.ask(HookName.QUORUM, DB, "db"), Unseen)


@pytest.mark.parametrize("said", [(b"",), (b"HTTP/1.1 200 OK\r\nX: ", b"y", 0.05)], ids=["it hangs", "it drips"])
def test_its_time_is_over(said):
    begun = time.monotonic()
    with speaking(*said) as (url, _):
        why = run(hooks_at(url, timeout_s=0.5))
    assert why == f"the pre_drain hook of db on i-1 got no answer: {url[:-1]} did not answer within 0.5 s"
    assert time.monotonic() - begun < 10


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    assert run(hooks_at(url)).endswith(f"got no answer: {url} refuses connections: nothing listens there")


# --- secrets ---------------------------------------------------------------------------------------------------------

TOKEN = "tok-s3cr3t-0123456789"
KEY = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def secrets(tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    (tmp_path / "secret").write_bytes(b"whsec_" + b64encode(KEY) + b"\n")
    return {"token_file": tmp_path / "token", "secret_file": tmp_path / "secret"}


def test_who_asks_proves_it(secrets):
    with receiver() as there:
        assert run(hooks_at(there.url, **secrets)) == ""
    (posted,) = there.posts
    assert posted.headers["authorization"] == f"Bearer {TOKEN}"
    name, at = posted.headers["webhook-id"], posted.headers["webhook-timestamp"]
    version, _, mark = posted.headers["webhook-signature"].partition(",")
    assert (version, at) == ("v1", str(int(NOW.timestamp())))
    assert b64decode(mark) == hmac.new(KEY, f"{name}.{at}.".encode() + posted.body, hashlib.sha256).digest()


@pytest.mark.parametrize("form", ["Authorization: Bearer {}", '{{"seen": "Bearer {}"}}', "…{:.12}"])
def test_a_server_that_repeats_our_token_is_not_quoted(secrets, form):
    with receiver() as there:
        there.status, there.says = 401, form.format(TOKEN).encode()
        hooks = hooks_at(there.url, HookName.PRE_DRAIN, HookName.QUORUM, **secrets)
        said = [run(hooks), hooks.ask(HookName.QUORUM, DB, "db").reason]
        there.says = b"go away"
        assert run(hooks).endswith("answered 401 by " + there.url + ": go away")
    assert all(one.endswith(f"was answered 401 by {there.url}") for one in said)
    assert "s3cr3t" not in repr(hooks._places)


def test_secrets_are_read_each_time_and_told_of_without_what_they_hold(secrets, tmp_path):
    with receiver() as there:
        hooks = hooks_at(there.url, **secrets)
        (tmp_path / "secret").write_bytes(b"whsec_" + b64encode(KEY[::-1]))
        assert run(hooks) == ""
        (tmp_path / "secret").write_text("hunter2")
        why = run(hooks)
    assert "hunter2" not in why
    assert str(tmp_path / "secret") in why
    (tmp_path / "secret").unlink()
    with pytest.raises(BadInput, match="cannot be read"):
        hooks_at(there.url, **secrets)


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    more = ["-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run(["openssl", *words.split(), *more], check=True, capture_output=True)
    return folder


def test_whom_nobody_vouches_for_is_told_nothing(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    got = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            for _ in range(2):
                client, _ = listener.accept()
                with client, contextlib.suppress(OSError), context.wrap_socket(client, server_side=True) as secure:
                    got.append(secure.recv(65536))
                    secure.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://localhost:{listener.getsockname()[1]}"
        why = run(hooks_at(url))
        assert "has a certificate that is not trusted" in why
        assert not any(got)
        assert run(hooks_at(url, ca_file=certificate / "cert.pem")) == ""
        thread.join(10)
    assert got[-1].startswith(b"POST / HTTP/1.1\r\n")
