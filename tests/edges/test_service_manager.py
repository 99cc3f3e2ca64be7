"""The service manager: what it gets, from whom, and that nobody else can speak for us."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from driftd.edges.service import ServiceManager


@pytest.fixture(params=["file", "abstract"])
def listening(request, tmp_path: Path):
    """A manager's socket, and the address as systemd gives it."""
    address = str(tmp_path / "notify") if request.param == "file" else f"@driftd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind("\0" + address[1:] if address.startswith("@") else address)
        wire.settimeout(10)
        yield wire, address


def test_what_is_told_is_one_datagram_of_lines(listening):
    wire, address = listening
    manager = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"})
    manager.tell(READY=1, STATUS="3 instances")
    assert wire.recv(4096) == b"READY=1\nSTATUS=3 instances"
    assert (manager.listens, manager.watchdog_s) == (True, 30.0)


def test_a_value_adds_no_line(listening):
    wire, address = listening
    ServiceManager({"NOTIFY_SOCKET": address}).tell(STATUS="well\nMAINPID=1\rX=1\u2028Y=1")
    assert wire.recv(4096) == b"STATUS=well MAINPID=1 X=1 Y=1"


def test_no_program_that_we_start_speaks_for_us(listening, monkeypatch):
    for name, value in (("NOTIFY_SOCKET", listening[1]), ("WATCHDOG_USEC", "1"), ("WATCHDOG_PID", str(os.getpid()))):
        monkeypatch.setenv(name, value)
    assert ServiceManager().listens
    said = subprocess.run(
        [sys.executable, "-c", "import os; print(sorted(os.environ))"], capture_output=True, text=True, check=True
    )
    assert "NOTIFY" not in said.stdout
    assert "WATCHDOG" not in said.stdout


@pytest.mark.parametrize("pid", [str(os.getpid() + 1), "0", "x"], ids=["another", "none", "no number"])
def test_somebody_elses_watchdog_is_none_of_ours(pid: str):
    assert ServiceManager({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": pid}).watchdog_s == 0.0


@pytest.mark.parametrize("usec", ["", "-1", "soon", "1.5"])
def test_a_watchdog_that_makes_no_sense_is_none(usec: str):
    assert ServiceManager({"WATCHDOG_USEC": usec}).watchdog_s == 0.0


def test_where_nobody_listens_nothing_fails(tmp_path: Path):
    ServiceManager({}).tell(READY=1)
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell(READY=1)
    assert not ServiceManager({}).listens
