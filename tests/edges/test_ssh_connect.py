"""Connecting: real sshd, real agents, and servers that are none. Each failure is one sentence, in time."""

import contextlib
import os
import socket
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leavings import no_open_files, no_threads
from sshd import ME, fingerprint, free_port, keygen, sshd

from driftd.core.facts import Reach
from driftd.edges.ssh.connect import connect
from driftd.edges.ssh.failure import SshError
from driftd.edges.ssh.keys import identity
from driftd.edges.ssh.options import SshOptions
from driftd.edges.ssh.tcp import Deadline
from driftd.edges.ssh.trust import record_host_keys, scan_host_keys

pytestmark = [pytest.mark.machine, pytest.mark.servers]


@pytest.fixture(scope="module")
def server():
    # Not below pytest's own directory: sshd reads authorized_keys as the user who logs in.
    with (
        tempfile.TemporaryDirectory(prefix="driftd-ssh-") as directory,
        sshd(Path(directory) / "sshd", ("ed25519", "ecdsa", "rsa")) as running,
    ):
        Path(directory).chmod(0o755)
        yield running


@pytest.fixture(autouse=True)
def _nothing_stays_behind(server):
    server.know()
    with no_open_files(), no_threads():
        yield


def options(server, **more):
    return SshOptions(**{"known_hosts": (server.known_hosts,), "agent": False, **more})


def reach(server, **more):
    return Reach(**{"host": "127.0.0.1", "port": server.port, "user": ME, "key_file": str(server.client_key), **more})


def refusal(where, how, seconds=10.0):
    began = time.monotonic()
    with pytest.raises(SshError) as error, connect(where, how, Deadline(seconds)):
        pass
    assert time.monotonic() - began < seconds + 1
    assert str(error.value).isprintable()
    assert "\n" not in error.value.hint
    assert error.value.hint
    return error.value


# --- a good server ------------------------------------------------------------------------------------------------


def test_a_command_runs_over_an_authenticated_encrypted_connection(server):
    with connect(reach(server), options(server), Deadline(10)) as connection:
        channel = connection.open_channel()
        channel.exec_command("echo $0 here; exit 3")
        assert channel.recv(100).endswith(b" here\n")
        assert channel.recv_exit_status() == 3
        assert connection.transport.remote_cipher == connection.transport.local_cipher == "aes128-gcm@openssh.com"
        assert connection.key == fingerprint(server.client_key)
        assert connection.host_key.fingerprint == fingerprint(server.host_keys["ed25519"])
        assert connection.socket._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert 1000 < connection.socket.sent < 10_000
    assert f"Accepted publickey for {ME} from 127.0.0.1" in server.log()
    assert connection.key in server.log()
    assert "Failed" not in server.log()


def test_the_server_is_asked_for_the_kind_of_key_that_is_known(server):
    for kind in ("rsa", "ecdsa", "ed25519"):
        server.know(kind)
        with connect(reach(server), options(server), Deadline(10)) as connection:
            assert connection.host_key.fingerprint == fingerprint(server.host_keys[kind])


def test_a_provider_may_vouch_for_the_key(server, tmp_path):
    how = options(server, known_hosts=(tmp_path / "none",))
    with connect(reach(server, host_keys=(server.line(),)), how, Deadline(10)) as connection:
        assert connection.host_key.line == server.line()


def test_a_provider_is_asked_for_the_key_when_somebody_connects(server, tmp_path):
    how, asked = options(server, known_hosts=(tmp_path / "none",)), []

    def vouching():
        asked.append(server.line())
        return (server.line(),)

    there = reach(server, vouching=vouching)
    assert there == reach(server)
    assert asked == []
    with connect(there, how, Deadline(10)) as connection:
        assert connection.host_key.line == server.line()
    assert asked == [server.line()]
    known = reach(server, host_keys=(server.line(),), vouching=vouching)
    with connect(known, how, Deadline(10)):
        assert len(asked) == 1, "what is known is not asked for"


def test_scanning_finds_each_kind_and_what_is_recorded_is_trusted(server, tmp_path):
    found = scan_host_keys("127.0.0.1", server.port, 10)
    assert {key.fingerprint for key in found} == {fingerprint(path) for path in server.host_keys.values()}
    path = tmp_path / "known_hosts"
    record_host_keys(path, "127.0.0.1", server.port, found)
    with connect(reach(server), options(server, known_hosts=(path,)), Deadline(10)):
        pass


def test_a_server_may_lack_a_kind_of_key(tmp_path):
    with sshd(tmp_path, ("ed25519",)) as other:
        assert [key.type for key in scan_host_keys("127.0.0.1", other.port, 10)] == ["ssh-ed25519"]


def test_nothing_of_paramikos_is_logged(server, caplog, capfd):
    with caplog.at_level(0), connect(reach(server), options(server), Deadline(10)):
        pass
    refusal(reach(server, host_keys=("ssh-ed25519 AAAA",)), options(server))
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


# --- host keys ----------------------------------------------------------------------------------------------------


def test_an_unknown_host_is_refused_and_nothing_is_added(server, tmp_path):
    path = tmp_path / "known_hosts"
    error = refusal(reach(server), options(server, known_hosts=(path,)))
    assert "is unknown" in str(error)
    assert fingerprint(server.host_keys["ed25519"]) in str(error)
    assert error.hint.endswith(f"driftd trust 127.0.0.1:{server.port}")
    assert not path.exists()


def test_a_changed_host_key_is_refused_before_any_login(server, tmp_path):
    other = keygen(tmp_path / "other")
    line = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {line}\n")
    accepted = server.log().count("publickey")
    error = refusal(reach(server), options(server))
    assert "has changed" in str(error)
    assert fingerprint(other) in str(error)
    assert fingerprint(server.host_keys["ed25519"]) in str(error)
    assert server.log().count("publickey") == accepted


def test_a_revoked_host_key_is_refused(server):
    with server.known_hosts.open("a") as file:
        file.write(f"@revoked * {server.line()}\n")
    assert "revoked" in str(refusal(reach(server), options(server)))


# --- our key ------------------------------------------------------------------------------------------------------


def test_a_refused_key_is_named_with_its_user(server, tmp_path):
    other = keygen(tmp_path / "other")
    error = refusal(reach(server, key_file=str(other)), options(server))
    assert f"refused the key {fingerprint(other)} for user {ME}" in str(error)
    assert "authorized_keys" in error.hint


def test_a_second_factor_is_not_ours_to_give(server):
    server.restart("AuthenticationMethods publickey,publickey")
    try:
        assert "another factor" in str(refusal(reach(server), options(server)))
    finally:
        server.restart()


def test_a_login_that_hangs_ends_with_its_own_deadline(server):
    server.restart("AuthorizedKeysFile none\nAuthorizedKeysCommand /bin/sleep 2\nAuthorizedKeysCommandUser root")
    try:
        error = refusal(reach(server), options(server, auth_s=0.5), 5)
        assert "did not answer the login" in str(error)
    finally:
        server.restart()


def _fifo(path):
    os.mkfifo(path)
    path.chmod(0o600)


BAD_KEYS = {
    "does not exist": lambda path: None,
    "not a regular file": _fifo,
    "cannot be read: Too many levels": lambda path: path.symlink_to(path),
    "is not a regular file": lambda path: path.mkdir(0o700),
    "can be read by others (mode 0644)": lambda path: keygen(path).chmod(0o644),
    "it has a passphrase": lambda path: keygen(path, passphrase="hunter2"),
    "not an Ed25519 private key": lambda path: keygen(path, "rsa"),
    "not an Ed25519 private key in": lambda path: (path.write_bytes(b"\xff\0\n" * 99), path.chmod(0o600)),
    "too long": lambda path: (path.write_bytes(b"-" * 70_000), path.chmod(0o600)),
}


@pytest.mark.parametrize("said", BAD_KEYS)
def test_a_key_file_that_cannot_serve_is_one_sentence(server, tmp_path, said):
    path = tmp_path / "key"
    BAD_KEYS[said](path)
    error = refusal(reach(server, key_file=str(path)), options(server))
    assert said in str(error)
    assert str(path) in str(error)


def test_no_part_of_a_private_key_reaches_a_message(server, tmp_path):
    text = server.client_key.read_text()
    lines = text.splitlines()
    for number, broken in enumerate((text[:-120], text.replace("A", "B", 9), "\n".join(reversed(lines)), lines[2])):
        path = tmp_path / f"key{number}"
        path.write_text(broken)
        path.chmod(0o600)
        error = refusal(reach(server, key_file=str(path)), options(server))
        shown = f"{error!r} {error} {error.hint} {error.__cause__!r}"
        assert not any(line[n : n + 12] in shown for line in lines[1:-1] for n in range(0, len(line) - 12, 4))
        assert error.__cause__ is None
        assert error.__context__ is None or error.__suppress_context__
    with identity(str(server.client_key), options(server)) as mine:
        assert repr(mine) == f"Identity({fingerprint(server.client_key)})"


# --- agents -------------------------------------------------------------------------------------------------------


@pytest.fixture
def agent(tmp_path, monkeypatch):
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    limit = time.monotonic() + 5
    while not (path.exists() and stat.S_ISSOCK(path.stat().st_mode)) and time.monotonic() < limit:
        time.sleep(0.01)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))

    def add(key, passphrase=""):
        ask = tmp_path / "askpass"
        ask.write_text(f"#!/bin/sh\necho '{passphrase}'\n")
        ask.chmod(0o700)
        environment = {**os.environ, "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}
        subprocess.run(["ssh-add", "-q", key], check=True, env=environment, stdin=subprocess.DEVNULL)

    yield add
    process.terminate()
    process.wait(5)


def test_the_agents_only_key_is_used(server, agent):
    agent(server.client_key)
    with connect(reach(server, key_file=""), options(server, agent=True), Deadline(10)) as connection:
        assert connection.key == fingerprint(server.client_key)


def test_the_agent_signs_for_a_public_half_and_for_a_key_with_a_passphrase(server, agent, tmp_path):
    other = keygen(tmp_path / "locked", passphrase="hunter2")
    with (server.directory / "authorized_keys").open("a") as file:
        file.write(Path(f"{other}.pub").read_text())
    agent(server.client_key)
    agent(other, "hunter2")
    for named in (str(other), f"{other}.pub"):
        with connect(reach(server, key_file=named), options(server, agent=True), Deadline(10)) as connection:
            assert connection.key == fingerprint(other)


def test_an_agent_that_cannot_serve_is_one_sentence(server, agent, tmp_path, monkeypatch):
    how = options(server, agent=True)
    assert "holds no Ed25519 key" in str(refusal(reach(server, key_file=""), how))
    agent(server.client_key)
    agent(keygen(tmp_path / "second"))
    assert "2 Ed25519 keys" in str(refusal(reach(server, key_file=""), how))
    third = keygen(tmp_path / "third", passphrase="x")
    error = refusal(reach(server, key_file=str(third)), how)
    assert "the SSH agent does not hold it" in str(error)
    assert error.hint.startswith(f"ssh-add {third}")
    monkeypatch.delenv("SSH_AUTH_SOCK")
    assert "no SSH agent runs" in str(refusal(reach(server, key_file=""), how))


# --- servers that are none ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def listener(speak):
    """Accepts connections and lets ``speak(sock)`` have them."""
    server = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve():
        with contextlib.suppress(OSError):
            while not ended.is_set():
                sock, _ = server.accept()
                with sock, contextlib.suppress(OSError):
                    sock.settimeout(5)
                    speak(sock, ended)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        ended.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(10)


def _say(data, *, stay=True):
    def speak(sock, ended):
        sock.sendall(data)
        if stay:
            ended.wait(8)

    return speak


def _endlessly(piece, pause=0.0, greeting=b""):
    def speak(sock, ended):
        sock.sendall(greeting)
        while not ended.wait(pause) if pause else not ended.is_set():
            sock.sendall(piece)

    return speak


BANNER = b"SSH-2.0-OpenSSH_9.2\r\n"
# A packet of 32764 bytes, 4 of them padding, of type 2 (SSH_MSG_IGNORE).
IGNORED = b"\0\0\x7f\xfc\x04\x02" + b"\0" * 32762


@pytest.mark.parametrize(
    ("speak", "said"),
    [
        (_say(b""), "then said nothing for"),
        (_say(b"", stay=False), "closed the connection before saying anything"),
        (
            _say(b"HTTP/1.1 400 Bad\x1b[31m Request\r\n\r\n", stay=False),
            r"it began with 'HTTP/1.1 400 Bad\x1b[31m Request'",
        ),
        (_say(b"\0\xff" * 50), "does not speak SSH"),
        (_say(b"x\r\n" * 1000), "does not speak SSH"),
        (_endlessly(b"x" * 65536), "does not speak SSH"),
        (_endlessly(b"x", 0.05), "does not speak SSH"),
        (_say(b"SSH-1.5-ancient\r\n"), "offers no cipher"),
        (_say(BANNER), "did not finish the SSH handshake within"),
        (_say(BANNER, stay=False), "it closed the connection"),
        (_say(BANNER + b"\xff\xff\xff\xfc" + b"x" * 100), "it announced a packet of 4294967"),
        (_say(BANNER + b"\0\0\0\x1c\x04\x14" + b"y" * 200), "offers no cipher"),
        (_endlessly(IGNORED, greeting=BANNER), "it sent more than 1048576 bytes"),
    ],
)
def test_what_is_no_ssh_server_gets_its_sentence_in_time(server, speak, said):
    with listener(speak) as port:
        error = refusal(reach(server, port=port), options(server, connect_s=0.5, banner_s=0.7), 3)
    assert said in str(error)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400))
def test_any_bytes_after_the_banner_are_a_sentence(server, data):
    with listener(_say(BANNER + data, stay=False)) as port:
        refusal(reach(server, port=port), options(server, connect_s=0.5, banner_s=0.5), 2)


def test_nothing_listening_is_said(server):
    port = free_port()
    error = refusal(reach(server, port=port), options(server))
    assert str(error) == f"127.0.0.1 port {port} refused the connection: nothing listens there"


def test_a_host_that_swallows_packets_is_said_in_time(server):
    # A listener whose queue is full lets further connections wait for ever, as a firewall that drops does.
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(full.getsockname())
        error = refusal(reach(server, port=full.getsockname()[1]), options(server, connect_s=0.4), 3)
    assert "did not answer within 0" in str(error)


def test_a_name_that_nobody_knows_is_said(server):
    error = refusal(reach(server, host="no-such-host.invalid"), options(server, connect_s=2.0), 5)
    assert "cannot be found by name" in str(error)
