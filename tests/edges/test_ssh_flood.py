"""A server that keeps to the protocol's letter and to none of its limits."""

import contextlib
import socket
import threading

import paramiko
import pytest
from sshd import keygen

from driftd.core.facts import Instance, Reach, Unseen
from driftd.edges.ssh.connect import WINDOW, connect
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.edges.ssh.tcp import Deadline

pytestmark = pytest.mark.servers


class Welcome(paramiko.ServerInterface):
    """Lets anybody in and starts anything."""

    def __init__(self):
        self.started = threading.Event()

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        self.started.set()
        return True


@contextlib.contextmanager
def flood(tmp_path, piece):
    """Sends ``piece`` for as long as it can, having granted itself a window without end."""
    host = paramiko.Ed25519Key.from_private_key_file(str(keygen(tmp_path / "host")))
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        sock, _ = listener.accept()
        transport = paramiko.Transport(sock)
        transport.add_server_key(host)
        welcome = Welcome()
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            transport.start_server(server=welcome)
            channel = transport.accept(10)
            assert welcome.started.wait(10)
            while transport.is_active():
                channel.out_window_size = 1 << 30
                channel.sendall(piece)
        transport.close()

    thread = threading.Thread(target=serve)
    thread.start()
    line = f"ssh-ed25519 {host.get_base64()}"
    reach = Reach("127.0.0.1", listener.getsockname()[1], "root", str(keygen(tmp_path / "client")), (line,))
    try:
        yield reach
    finally:
        listener.close()
        thread.join(20)
        assert not thread.is_alive()


OPTIONS = SshOptions(known_hosts=(), agent=False)


def test_a_server_that_ignores_the_window_is_cut_off_before_memory_fills(tmp_path):
    with flood(tmp_path, b"x" * 32768) as reach, connect(reach, OPTIONS, Deadline(20)) as connection:
        channel = connection.open_channel()
        channel.exec_command("anything")
        connection.transport.join(20)
        assert connection.socket.stopped == "it sent more than it had been granted"
        assert 2 * WINDOW < len(channel.in_buffer) < 3 * WINDOW


def test_and_the_look_says_so_or_finds_it_to_be_no_answer(tmp_path):
    with flood(tmp_path, b"x" * 32768) as reach:
        seen = SshLooker(OPTIONS).look(Instance("i-1", "web", "img", reach=reach), deadline_s=20)
    assert isinstance(seen, Unseen)
    assert "cut off" in seen.reason or "no answer of a probe" in seen.reason
