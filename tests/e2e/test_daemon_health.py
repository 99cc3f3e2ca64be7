"""The shipped daemon's health as a kubelet asks for it: ready, kept from its store, and stopping."""

import http.client
import os
import signal
import sqlite3
from pathlib import Path

from daemons import run_daemon, wait_for_end
from servers import free_port, wait_until

from driftd.settings import load
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
