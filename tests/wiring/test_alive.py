"""What the shipped daemon's jobs tell of being alive, and what the service manager is told of the fleet."""

import socket
import time
from datetime import timedelta
from pathlib import Path

import pytest

from driftd.settings import load
from driftd.wiring.engine import PATIENCE
from driftd.wiring.house import WiredHouse

CONFIG = """\
store: sqlite:///driftd.db
metrics: {listen: ""}
ssh: {look_timeout: 1h}
groups:
  web: {provider: static, hosts: ["127.0.0.1:1", "127.0.0.1:2"], image: none, hooks: {timeout: 3m}}
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request):
    """An engine whose jobs are run by the test, and the socket that the service manager listens at."""
    (tmp_path / "driftd.yaml").write_text(CONFIG)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind(str(tmp_path / "notify"))
        wire.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify") if getattr(request, "param", True) else "")
        made = WiredHouse(load(tmp_path / "driftd.yaml"), tmp_path / "driftd.yaml").engine()
        try:
            yield made, wire, tmp_path
        finally:
            made.stop()
            made.close()


def test_a_long_job_is_heard_of_at_each_of_its_steps(engine):
    beats = {beat.name: beat for beat in engine[0].beats}
    for name in ("sweep", "replace", "janitor"):
        before = time.monotonic()
        beats[name].run()
        assert beats[name].sign() >= before, name


def test_how_long_a_job_may_be_silent_covers_the_longest_look_and_hook(engine):
    beats = {beat.name: beat for beat in engine[0].beats}
    assert beats["replace"].patience == PATIENCE + timedelta(hours=2, minutes=3)
    assert beats["lease"].patience < timedelta(minutes=5)
    assert all(beat.patience >= timedelta(minutes=2) for beat in beats.values())


def test_the_service_manager_is_told_how_the_fleet_stands(engine):
    made, wire, folder = engine
    beats = {beat.name: beat for beat in made.beats}
    beats["sweep"].run()
    beats["status"].run()
    assert wire.recv(4096) == b"STATUS=2 instances (2 unknown), no open replacements"
    (folder / "driftd.pause").touch()
    beats["status"].run()
    assert wire.recv(4096).startswith(b"STATUS=paused; 2 instances")


@pytest.mark.parametrize("engine", [False], indirect=True)
def test_where_nobody_listens_nothing_is_counted_for_it(engine):
    assert "status" not in {beat.name for beat in engine[0].beats}
