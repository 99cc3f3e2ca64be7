"""Who listens, on real sockets of the machine that the tests run on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from gathering import in_namespaces
from started import real, run, seen

from driftd.probe import listeners


@pytest.mark.parametrize(
    ("address", "shown"),
    [("127.0.0.1", b"127.0.0.1"), ("0.0.0.0", b"0.0.0.0"), ("::1", b"[::1]"), ("::", b"[::]")],
)
def test_who_listens_on_tcp_is_told_with_the_program(address: str, shown: bytes) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as line:
        line.bind((address, 0))
        name = b"tcp %s:%d" % (shown, line.getsockname()[1])
        assert name not in seen().names(b"listener")
        line.listen()
        (fields,) = seen().of(b"listener", name)
    assert fields["program"] == real("/proc/self/exe")
    assert fields["user"]
    assert "namespace" not in fields
    assert name not in seen().names(b"listener")


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        (b"sshd: /usr/sbin/sshd -D -f /run/s [listener] 0 of 10-100 startups", b"/run/s"),
        (b"/usr/sbin/sshd\0-f/run/s\0", b"/run/s"),
        (b"/usr/sbin/sshd\0-o\0AuthorizedKeysFile=/run/s", b"/run/s"),
        (b"/usr/sbin/sshd\0-oAuthorizedKeysFile /run/s", b"/run/s"),
        (b"/usr/sbin/sshd\0-f\0/etc/../run/s", b"/etc/../run/s"),
        (b"nginx: master process nginx -c /run/n", b"/run/n"),
        (b"nginx: master process nginx -p /run/n -c x", b"/run/n"),
        (b"postgres\0-c\0config_file=/run/p", b"/run/p"),
        (b"mysqld\0--defaults-file=/run/m", b"/run/m"),
        (b"x\0--config\0/etc/x\0--config\0/run/x", b"/run/x"),
        # As the packages start them.
        (b"sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", b""),
        (b"/usr/sbin/sshd\0-D\0-oAuthorizedKeysCommand=/usr/share/x", b""),
        (b"nginx: master process /usr/sbin/nginx -g daemon on; master_process on;", b""),
        (b"postgres\0-D\0/var/lib/postgresql/15/main\0-c\0config_file=/etc/postgresql/15/main/postgresql.conf", b""),
        (b"dhclient\0-4\0-pf\0/run/dhclient.pid\0-lf\0/var/lib/dhcp/x", b""),
        (b"chronyd\0-F\0" + b"1", b""),
        (b"", b""),
    ],
)
def test_settings_that_a_command_line_names_in_place_of_the_images_own(command: bytes, settings: bytes) -> None:
    assert listeners.settings_of(command) == settings


def test_whoever_listens_with_other_settings_is_told_with_them() -> None:
    script = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script, "-f", "/run/other"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as one:
        name = b"tcp 127.0.0.1:%d" % int(one.stdout.readline())
        (fields,) = seen().of(b"listener", name)
        one.communicate(b"\n")
    assert fields["settings"] == b"/run/other"


def test_udp_that_waits_for_anybody(tmp_path: Path) -> None:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to,
    ):
        port = next(port for port in range(low - 1, 1024, -1) if bound(line, port))
        name = b"udp 127.0.0.1:%d" % port
        assert seen().of(b"listener", name)[0]["program"] == real("/proc/self/exe")
        to.bind(("127.0.0.1", 0))
        assert b"udp 127.0.0.1:ephemeral" in seen().names(b"listener")
        line.connect(to.getsockname())
        assert name not in seen().names(b"listener")


def bound(line: socket.socket, port: int) -> bool:
    try:
        line.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


SNIFF = """
import socket
one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
two = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
two.bind(('lo', 3))
three = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
four = socket.socket(); four.bind(('10.9.8.7', 80)); four.listen()
five = socket.socket(socket.AF_INET6); five.bind(('fd00::7', 80)); five.listen()
"""


def test_who_gets_raw_packets_and_an_interface_of_ones_own(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    wait = f"open('{fifo}', 'w').close(); import time; time.sleep(60)"
    script = (
        "ip link set lo up; ip link add eth7 type bridge; ip addr add 10.9.8.7/24 dev eth7;"
        "ip addr add fd00::7/64 dev eth7 nodad; ip link set eth7 up;"
        f"mkfifo {fifo}; '{sys.executable}' -c \"{SNIFF}\n{wait}\" &"
        f"cat {fifo}; $look"
    )
    rooms = ("--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
    found = in_namespaces(script, "running", options=rooms)
    assert found.names(b"listener") == [b"packet any", b"packet lo", b"raw 0.0.0.0:1", b"tcp [eth7]:80", b"tcp eth7:80"]
    assert {fields["program"] for kind, _, fields in found.facts if kind == b"listener"} == {real(sys.executable)}
    assert found.one(b"listener", b"packet any")["type"] == b"raw"
    assert found.one(b"listener", b"packet lo")["protocol"] == b"0x0003"


def test_a_listener_in_another_network_namespace_is_told(tmp_path: Path) -> None:
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    program = "import socket,time; s=socket.socket(); s.bind(('0.0.0.0', 8)); s.listen(); print('ready', flush=True)"
    with run("unshare", *user, "--net", "--", sys.executable, "-c", program + "; time.sleep(60)", ready="ready"):
        rows = [row for row in seen().of(b"listener", b"tcp 0.0.0.0:8") if row.get("program") == real(sys.executable)]
    assert [row["namespace"] for row in rows] == [b"other"]
