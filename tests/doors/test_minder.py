"""What the service manager is told while the daemon runs, with beats that are well, slow by right, or hang."""

import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from test_daemon import Engine, wait_for

from driftd.doors.daemon import Daemon
from driftd.doors.house import Beat

SHORT = timedelta(seconds=0.5)


@dataclass
class Manager:
    watchdog_s: float = 0.06
    heard: list[dict[str, object]] = field(default_factory=list)

    def tell(self, **said: object) -> None:
        self.heard.append(said)

    def count(self, name: str) -> int:
        return sum(name in one for one in self.heard)

    def order(self) -> list[str]:
        return [name for one in self.heard for name in one]


@pytest.fixture
def run():
    """Start a daemon with these beats under a manager; it is let go and ended after the test."""
    let_go = threading.Event()
    started = []

    def start(*beats: Beat) -> tuple[Manager, Daemon, threading.Thread]:
        manager = Manager()
        daemon = Daemon(Engine(list(beats)), manager)
        thread = threading.Thread(target=daemon.run)
        thread.start()
        started.append((daemon, thread))
        return manager, daemon, thread

    start.let_go = let_go
    yield start
    let_go.set()
    for daemon, thread in started:
        daemon.stop()
        thread.join(20)
        assert not thread.is_alive()


def held(gate: threading.Event) -> list[str]:
    """A run that ends when it is let go."""
    gate.wait(30)
    return []


def every(name: str, job, patience: timedelta = timedelta(minutes=1), **more) -> Beat:
    return Beat(name, timedelta(seconds=0.02), job, patience, **more)


def test_it_is_ready_once_each_job_has_run_and_then_alive(run):
    gate = threading.Event()
    manager, *_ = run(every("quick", list), every("first", lambda: held(gate)))
    wait_for(lambda: manager.count("EXTEND_TIMEOUT_USEC") >= 2)
    assert manager.count("READY") == manager.count("WATCHDOG") == 0
    assert "starting" in manager.heard[0]["STATUS"]
    gate.set()
    wait_for(lambda: manager.count("WATCHDOG") >= 3)
    assert manager.count("READY") == 1
    assert manager.order().index("READY") < manager.order().index("WATCHDOG")


def test_a_job_that_is_seldom_due_has_run_when_its_first_run_ended(run):
    manager, *_ = run(Beat("hourly", timedelta(hours=1), list))
    wait_for(lambda: manager.count("READY") == 1)


def test_a_job_that_fails_is_alive(run):
    def broken():
        raise ZeroDivisionError

    manager, *_ = run(every("broken", broken, SHORT))
    wait_for(lambda: manager.count("WATCHDOG") >= 3)
    time.sleep(SHORT.total_seconds() * 2)
    count = manager.count("WATCHDOG")
    wait_for(lambda: manager.count("WATCHDOG") > count)


def test_a_job_that_hangs_stops_what_the_watchdog_waits_for(run):
    turns = iter(range(10**6))
    hang = every("sweep", lambda: [] if next(turns) < 3 else held(run.let_go), SHORT)
    manager, *_ = run(every("well", list), hang)
    wait_for(lambda: any("no sign of life from sweep" in str(one.get("STATUS")) for one in manager.heard))
    count = manager.count("WATCHDOG")
    assert count >= 1
    time.sleep(0.5)
    assert manager.count("WATCHDOG") == count
    run.let_go.set()
    wait_for(lambda: manager.count("WATCHDOG") > count)


def test_a_long_run_that_gets_on_is_alive(run):
    manager, *_ = run(every("sweep", lambda: held(run.let_go), SHORT, sign=time.monotonic))
    wait_for(lambda: manager.count("WATCHDOG") >= 1)
    time.sleep(SHORT.total_seconds() * 3)
    count = manager.count("WATCHDOG")
    wait_for(lambda: manager.count("WATCHDOG") > count)
    assert manager.count("READY") == 1


def test_stopping_is_said_and_is_no_hanging(run):
    entered = threading.Event()

    def step():
        entered.set()
        return held(run.let_go)

    manager, daemon, thread = run(every("step", step, SHORT))
    assert entered.wait(10)
    daemon.stop()
    wait_for(lambda: manager.count("STOPPING") == 1)
    count = manager.count("WATCHDOG")
    wait_for(lambda: manager.count("WATCHDOG") >= count + 3)
    assert thread.is_alive()
    run.let_go.set()
    thread.join(20)
    assert not thread.is_alive()
