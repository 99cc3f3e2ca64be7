"""The shipped daemon's health as a kubelet asks for it: ready, kept from its store, hanging, and stopping."""

import http.client
import os
import signal
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from daemons import run_daemon, wait_for_end
from servers import free_port, wait_until

from driftd.doors.daemon import Daemon
from driftd.edges.store import SqlStore
from driftd.settings import load
from driftd.wiring import engine as wired
from driftd.wiring.house import WiredHouse


def ask(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError as error:
        return 0, str(error)
    finally:
        connection.close()


def test_a_daemon_says_when_it_is_ready_and_stays_alive_when_it_is_not(tmp_path: Path):
    port = free_port()
    config = tmp_path / "driftd.yaml"
    config.write_text(f"metrics: {{listen: '127.0.0.1:{port}'}}\n")
    pid = run_daemon(config)
    try:
        wait_until(lambda: ask(port, "/readyz") == (200, "ok\n"), "ready", 60)
        assert ask(port, "/healthz") == (200, "ok\n")
        holder = sqlite3.connect(tmp_path / "driftd.db", isolation_level=None, timeout=0)
        try:
            wait_until(lambda: _held(holder), "the store, for this process alone", 60)
            status, said = ask(port, "/metrics")
            assert (status, "driftd_store_up 1.0" in said) == (200, True), "readers wait for no writer"
            assert ask(port, "/healthz") == (200, "ok\n")
            assert ask(port, "/readyz")[0] == 200
        finally:
            holder.execute("ROLLBACK")
            holder.close()
    finally:
        os.kill(pid, signal.SIGTERM)
        ended = wait_for_end(pid)
    assert ended == 0
    assert ask(port, "/healthz")[0] == 0


def _held(holder: sqlite3.Connection) -> bool:
    try:
        holder.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        return False
    return True


def test_who_stops_is_not_ready_and_not_dead(tmp_path: Path):
    port = free_port()
    config = tmp_path / "driftd.yaml"
    config.write_text(f"metrics: {{listen: '127.0.0.1:{port}'}}\n")
    engine = WiredHouse(load(config), config).engine()
    try:
        status, said = ask(port, "/readyz")
        assert (status, "the first pass is not done" in said) == (503, True)
        engine.stop()
        assert ask(port, "/readyz") == (503, "driftd is stopping: the steps under way are finished first\n")
        assert ask(port, "/healthz") == (200, "ok\n")
    finally:
        engine.close()
    assert ask(port, "/healthz")[0] == 0


class Manager:
    """Stands in for systemd; it notes what it is told."""

    watchdog_s = 0.3

    def __init__(self) -> None:
        self.heard: list[dict[str, str | int]] = []

    def tell(self, **said: str | int) -> None:
        self.heard.append(said)

    def count(self, name: str) -> int:
        return sum(name in one for one in self.heard)


def test_a_job_that_hangs_is_dead_to_the_kubelet_and_to_the_watchdog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    go_on, renew = threading.Event(), SqlStore.renew_lease
    go_on.set()

    def hangs(*args):
        assert go_on.wait(60)
        renew(*args)

    monkeypatch.setattr(SqlStore, "renew_lease", hangs)
    monkeypatch.setattr(wired, "LEASE_BEAT", timedelta(seconds=0.1))
    monkeypatch.setattr(wired, "LEASE_PATIENCE", timedelta(seconds=2))
    port, manager = free_port(), Manager()
    config = tmp_path / "driftd.yaml"
    config.write_text(f"metrics: {{listen: '127.0.0.1:{port}'}}\n")
    daemon = Daemon(WiredHouse(load(config), config).engine(), manager)
    thread = threading.Thread(target=daemon.run)
    thread.start()
    try:
        wait_until(lambda: manager.count("WATCHDOG") >= 2, "a daemon that is alive", 60)
        wait_until(lambda: ask(port, "/healthz") == (200, "ok\n"), "the same over HTTP", 60)
        go_on.clear()
        wait_until(lambda: ask(port, "/healthz")[0] == 503, "the hang, over HTTP", 60)
        assert "no sign of life from lease for " in ask(port, "/healthz")[1]
        wait_until(lambda: "no sign of life from lease for " in str(manager.heard[-1]), "the same by the watchdog", 60)
        told = manager.count("WATCHDOG")
        go_on.set()
        wait_until(lambda: ask(port, "/healthz") == (200, "ok\n"), "life", 60)
        wait_until(lambda: manager.count("WATCHDOG") > told, "the same by the watchdog", 60)
    finally:
        go_on.set()
        daemon.stop()
        thread.join(60)
    assert not thread.is_alive()
