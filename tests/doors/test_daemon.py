"""The daemon's heart: beats that never overlap, errors that stay where they are, and a stop that waits."""

import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from driftd.core.errors import Unavailable
from driftd.core.memory import LeaseHeld
from driftd.doors.daemon import Daemon
from driftd.doors.house import Beat
from driftd.doors.jobs import signs_of


@dataclass
class Engine:
    beats: list[Beat]
    ended: list[tuple[str, bool]] = field(default_factory=list)
    closed: int = 0
    stopped: bool = False

    def __post_init__(self) -> None:
        self.jobs = signs_of(self.beats, time.monotonic())

    def job_ended(self, name: str, *, well: bool) -> None:
        self.ended.append((name, well))

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        self.closed += 1


def beat(name: str, run, every: float = 0.02) -> Beat:
    return Beat(name, timedelta(seconds=every), run)


def wait_for(what, limit: float = 10.0) -> None:
    ends = time.monotonic() + limit
    while not what():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.005)


@pytest.fixture
def running():
    """Start an engine's daemon in a thread; it is stopped and joined at the end."""
    started: list[tuple[Daemon, threading.Thread, list[str]]] = []

    def start(*beats: Beat) -> tuple[Engine, Daemon, threading.Thread, list[str]]:
        engine, said = Engine(list(beats)), []
        daemon = Daemon(engine)
        thread = threading.Thread(target=lambda: said.append(daemon.run()))
        thread.start()
        started.append((daemon, thread, said))
        return engine, daemon, thread, said

    yield start
    for daemon, thread, _ in started:
        daemon.stop()
        thread.join(10)
        assert not thread.is_alive()


def test_a_beat_never_overlaps_itself(running):
    under_way, most = [0], [0]

    def slow():
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        time.sleep(0.05)
        under_way[0] -= 1
        return []

    engine, *_ = running(beat("slow", slow, every=0.01))
    wait_for(lambda: len(engine.ended) >= 4)
    assert most[0] == 1


@pytest.mark.parametrize("error", [Unavailable("the store is away"), ZeroDivisionError("a mistake of ours")])
def test_a_beat_that_fails_is_tried_again_and_stops_no_other(running, error: Exception):
    def broken():
        raise error

    engine, *_ = running(beat("broken", broken), beat("fine", list))
    wait_for(lambda: engine.ended.count(("broken", False)) >= 2 and engine.ended.count(("fine", True)) >= 2)


def test_what_a_beat_says_again_and_again_is_logged_once_in_a_while(running, monkeypatch):
    lines: list[str] = []

    class Log:
        def info(self, event, **_values):
            lines.append(event)

        error = info

    monkeypatch.setattr("driftd.doors.daemon.structlog.get_logger", Log)
    turns = iter(range(10**6))

    def away():
        raise Unavailable("the store is away")

    engine, *_ = running(
        beat("away", away), beat("odd", lambda: ["again"] if next(turns) % 2 else []), beat("same", lambda: ["same"])
    )
    wait_for(lambda: min(engine.ended.count((name, name != "away")) for name in ("away", "odd", "same")) >= 6)
    assert lines.count("the store is away") == 1
    assert lines.count("same") == 1
    assert lines.count("again") >= 2, "said after a silence, it is news"


def test_losing_the_lease_ends_the_daemon_with_a_sentence(running):
    def lose():
        raise LeaseHeld("another driftd took over")

    engine, _, thread, said = running(beat("lease", lose))
    thread.join(10)
    assert said == ["another driftd took over"]
    assert engine.closed == 1


def test_stopping_waits_for_the_step_under_way(running):
    entered, finished = threading.Event(), []

    def step():
        entered.set()
        time.sleep(0.2)
        finished.append(True)
        return []

    engine, daemon, thread, said = running(beat("step", step))
    assert entered.wait(10)
    daemon.stop()
    assert engine.stopped
    thread.join(10)
    assert finished
    assert engine.closed == 1
    assert said == [""]
