"""Prometheus and Alertmanager as strangers: whatever they answer is a number, a list of alerts, or one sentence."""

import contextlib
import json
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import free_port
from test_health import _drip, _endless, say, server

from driftd.core.errors import BadInput
from driftd.core.facts import Unseen
from driftd.core.matchers import Matcher, parse
from driftd.edges.http import prometheus
from driftd.edges.http.alertmanager import Alertmanager
from driftd.edges.http.exchange import Answer
from driftd.edges.http.prometheus import Prometheus
from driftd.edges.http.server import NoAnswerError, Server

WEB = [Matcher("group", "=", "web")]


def http(body, status="200 OK", *headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", *headers]
    return say(("\r\n".join(lines) + "\r\n\r\n").encode() + data)


def vector(*values):
    result = [{"metric": {}, "value": [1, value]} for value in values]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def ask(answer, timeout_s=2.0, query="up"):
    with server(answer) as (port, asked):
        return Prometheus(Server(f"http://127.0.0.1:{port}", timeout_s=timeout_s)).ask(query), asked


def firing(answer, matchers=WEB, timeout_s=2.0):
    with server(answer) as (port, asked):
        return Alertmanager(Server(f"http://127.0.0.1:{port}", timeout_s=timeout_s)).firing(matchers), asked


def alert(**labels):
    status = {"state": "active", "silencedBy": [], "inhibitedBy": []}
    return {"labels": {"alertname": "Slow", "group": "web"} | labels, "status": status}


STRANGE = [
    b"",
    b"null",
    b"{}",
    b"[1]",
    b"\xff\xfe",
    b"<html>please log in</html>",
    b"[" * 200_000,
    b'{"status": "success"}',
    b'{"status": "success", "status": "success"}',
]


@pytest.mark.parametrize(
    "body",
    [
        *STRANGE,
        b"[]",
        {"status": "success", "data": {"resultType": "vector", "result": {}}},
        {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}}]}},
        {"status": "success", "data": {"resultType": "vector", "result": [7]}},
        {"status": "success", "data": {"resultType": "scalar", "result": [1]}},
        {"status": "success", "data": {"resultType": "scalar", "result": [1, 2]}},
        {"status": "success", "data": {"resultType": "streams", "result": []}},
        {"status": "success", "data": {"resultType": "vector", "result": [{"histogram": [1, {}]}]}},
        {"status": "error", "errorType": "\x1b[31m", "error": "\x00" * 100_000},
        {"status": "error", "errorType": "x"},
        vector("seven"),
        vector("NaN"),
        vector("+Inf"),
        vector("-Inf"),
        vector("1" * 100),
        vector("1", "2"),
        vector(),
        vector("1") | {"warnings": ["one store did not answer"]},
    ],
)
def test_what_is_no_number_is_one_sentence(body):
    answer, _ = ask(http(body))
    assert isinstance(answer, Unseen)
    assert answer.reason.isprintable()
    assert len(answer.reason) < 500


@pytest.mark.parametrize(("said", "number"), [("0", 0), ("-1.5e3", -1500), ("0.25", 0.25)])
def test_a_number_is_read(said, number):
    assert ask(http(vector(said)))[0] == number
    assert ask(http({"status": "success", "data": {"resultType": "scalar", "result": [1.5, said]}}))[0] == number


def test_a_good_body_with_a_bad_status_is_no_answer():
    assert "answered 503" in ask(http(vector("1"), "503 Busy"))[0].reason
    assert isinstance(firing(http([], "500 No"))[0], Unseen)


def test_a_redirect_is_not_followed():
    with server(http(vector("1"))) as (port, elsewhere):
        answer, _ = ask(http(b"", "302 Found", f"Location: http://127.0.0.1:{port}/api/v1/query"))
        assert isinstance(answer, Unseen)
        assert not elsewhere


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda sock: time.sleep(0.6), "did not answer within 0.3 s"),
        (_drip, "did not answer within 0.3 s"),
        (say(b""), "closed the connection without an answer"),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), "does not answer in HTTP"),
        (_endless, "more than"),
        (say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "does not answer in HTTP"),
    ],
)
def test_silence_drips_and_floods_end_in_time(answer, said):
    for asked in (ask, firing):
        began = time.monotonic()
        found, _ = asked(answer, timeout_s=0.3 if "0.3" in said else 5.0)
        assert time.monotonic() - began < (1.5 if "0.3" in said else 5)
        assert isinstance(found, Unseen)
        assert said in found.reason


def test_nobody_there_is_one_sentence():
    port = free_port()
    found = Prometheus(Server(f"http://127.0.0.1:{port}")).ask("up")
    assert (
        found.reason
        == f"Prometheus cannot be asked: http://127.0.0.1:{port} refuses connections: nothing listens there"
    )
    assert "name that is not known" in Prometheus(Server("http://no-such-host.invalid:1")).ask("up").reason


def test_the_query_is_sent_as_a_form_below_the_path_of_the_address():
    with server(http(vector("1"))) as (port, asked):
        assert Prometheus(Server(f"http://127.0.0.1:{port}/prom/")).ask('a{b="ü&x=1"}') == 1
    assert asked[0].startswith(b"POST /prom/api/v1/query HTTP/1.1\r\n")
    assert asked[0].endswith(b"query=a%7Bb%3D%22%C3%BC%26x%3D1%22%7D")


@given(st.binary(max_size=300))
def test_no_body_breaks_the_judge(data):
    with contextlib.suppress(NoAnswerError, ValueError):
        prometheus._number(Answer(200, data, whole=True))


# --- alerts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        *STRANGE,
        {"code": 400, "message": "bad matcher"},
        [{"labels": {}}],
        [{"labels": {"group": "web"}, "status": {"silencedBy": "x", "inhibitedBy": []}}],
        [{"labels": {"group": 1}, "status": {"silencedBy": [], "inhibitedBy": []}}],
        [alert(**{f"l{number}": "x" for number in range(100)})],
        [alert(group="db")],
    ],
)
def test_what_is_no_list_of_the_alerts_asked_for_is_one_sentence(body):
    answer, _ = firing(http(body))
    assert isinstance(answer, Unseen), answer
    assert answer.reason.isprintable()
    assert len(answer.reason) < 500


def test_alerts_are_asked_for_as_they_are_and_read_so():
    answer, asked = firing(http([alert(), alert(alertname="\x1b[2J" * 100) | {"startsAt": "yesterday"}]))
    assert [one.name[:5] for one in answer] == ["Slow", "?[2J?"]
    assert [one.since for one in answer] == [None, None]
    assert re.match(
        rb"GET /api/v2/alerts\?active=true&silenced=false&inhibited=false&unprocessed=true&filter=group%3D%22web%22 ",
        asked[0],
    )


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00+14:00", "2030-01-01T00:00:00", "soon", 7, None, "9" * 10_000])
def test_a_time_that_is_none_costs_no_alert(when):
    (one,) = firing(http([alert() | {"startsAt": when}]))[0]
    assert one.since is None


def test_what_is_muted_all_the_same_is_left_out():
    muted = alert() | {"status": {"state": "suppressed", "silencedBy": ["x"], "inhibitedBy": []}}
    assert firing(http([muted]))[0] == []


def test_the_words_of_a_refusal_are_told():
    assert firing(http("bad matcher format", "400 Bad"))[0].reason.endswith("answered 400: bad matcher format")


# --- whom to trust, and the token ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:9090",
        "ftp://x",
        "http://",
        "http://x:y/",
        "http://x/?a=b",
        "http://x/#a",
        "http://x\r\n/",
        "http://x/ a",
    ],
)
def test_what_is_no_address_is_refused_at_once(url):
    with pytest.raises(BadInput, match="no address to ask at"):
        Server(url)


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(BadInput) as refused:
        Server("https://me:hunter2@prometheus.example")
    assert "hunter2" not in str(refused.value)
    assert "token_file" in refused.value.hint
    with pytest.raises(BadInput) as refused:
        Server("https://me:hunter2@prometheus.example:x")
    assert "hunter2" not in str(refused.value)


@pytest.fixture
def token(tmp_path):
    file = tmp_path / "token"
    file.write_text("s3cr3t-t0ken\n")
    return file


def test_the_token_is_sent_and_renewed(token):
    with server(http(vector("1"))) as (port, asked):
        judge = Prometheus(Server(f"http://127.0.0.1:{port}", token_file=token))
        assert judge.ask("up") == 1
        token.write_text("another")
        assert judge.ask("up") == 1
    assert [re.search(rb"Authorization: (.*)\r\n", one)[1] for one in asked] == [
        b"Bearer s3cr3t-t0ken",
        b"Bearer another",
    ]


def test_the_token_goes_nowhere_in_clear(token):
    for url in ("http://prometheus.example:9090", "http://192.0.2.1", "http://127.0.0.1.example"):
        with pytest.raises(BadInput, match="in clear"):
            Server(url, token_file=token)
    Server("http://[::1]:9090", token_file=token)
    Server("http://localhost:9090", token_file=token)


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"a\r\nX: y", b"\xff", b"x" * 20_000])
def test_what_is_no_token_is_refused_and_not_repeated(token, content):
    token.write_bytes(content)
    with pytest.raises(BadInput, match="no bearer token") as refused:
        Server("https://prometheus.example", token_file=token)
    assert content.decode(errors="replace").strip() not in str(refused.value) or not content.strip()


def test_a_token_that_is_gone_later_is_one_sentence(token):
    judge = Prometheus(Server("http://127.0.0.1:1", token_file=token))
    token.unlink()
    assert "cannot be read" in judge.ask("up").reason


def test_no_error_holds_the_token(token):
    for answer in (say(b""), say(b"\xff\x00"), http(b"Bearer s3cr3t-t0ken", "401 No"), lambda sock: time.sleep(0.4)):
        with server(answer) as (port, _):
            found = Prometheus(Server(f"http://127.0.0.1:{port}", token_file=token, timeout_s=0.2)).ask("up")
            assert isinstance(found, Unseen)
            assert "s3cr3t" not in found.reason + found.hint


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    home = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", home / "key.pem", "-out", home / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    return home


def test_over_tls_whom_the_file_names_is_trusted_and_nobody_else(certificate, token):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    def answer(sock):
        try:
            with context.wrap_socket(sock, server_side=True) as secure:
                secure.recv(4096)
                http(vector("7"))(secure)
        except ssl.SSLError:
            pass

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve():
        for _ in range(3):
            sock, _peer = listener.accept()
            with sock:
                answer(sock)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        trusted = Prometheus(Server(f"https://localhost:{port}", ca_file=certificate / "cert.pem", token_file=token))
        assert trusted.ask("up") == 7
        stranger = Prometheus(Server(f"https://localhost:{port}", token_file=token)).ask("up")
        assert "certificate that is not trusted" in stranger.reason
        of_another = Prometheus(Server(f"https://127.0.0.1:{port}", ca_file=certificate / "cert.pem")).ask("up")
        assert "certificate that is not trusted" in of_another.reason
    finally:
        thread.join(10)
        listener.close()


def test_plain_http_where_tls_is_expected_is_one_sentence(certificate):
    with server(http(vector("1"))) as (port, _):
        found = Prometheus(Server(f"https://127.0.0.1:{port}", ca_file=certificate / "cert.pem")).ask("up")
    assert "does not speak TLS" in found.reason


def test_certificates_that_cannot_be_read_are_refused_at_once(tmp_path):
    for content in (None, "no certificate"):
        file = tmp_path / "ca.pem"
        if content is not None:
            file.write_text(content)
        with pytest.raises(BadInput, match="certificates in"):
            Server("https://prometheus.example", ca_file=file)


def test_matchers_are_those_of_alertmanager():
    answer, asked = firing(http([]), parse('severity=~"a|b", x!="\\"y"'))
    assert answer == []
    assert b"filter=severity%3D~%22a%7Cb%22&filter=x%21%3D%22%5C%22y%22 " in asked[0]
