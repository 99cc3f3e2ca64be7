"""A daemon's health, from what its jobs do."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from driftd.core.errors import Unavailable
from driftd.core.memory import StoreUnavailable
from driftd.doors.house import Beat
from driftd.edges.store import open_store
from driftd.wiring.health import Health

MINUTE = timedelta(minutes=1)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def made(tmp_path):
    """Health over a real store, and the clock that it goes by."""
    store, clock = open_store(f"sqlite:///{tmp_path}/driftd.db"), Clock()
    yield Health(store, timedelta(seconds=30), clock), clock, store
    store.close()


def noted(health: Health, run=list, name: str = "sweep") -> Beat:
    return health.noted(Beat(name, timedelta(seconds=2), run), 10 * MINUTE)


def test_it_is_ready_once_each_of_the_first_has_ended_well(made):
    health, _, _ = made
    assert (health.alive(), health.ready()) == ("", "driftd is starting")
    beats = [noted(health, name=name) for name in ("lease", "journal", "sweep", "janitor")]
    for beat in beats[:3]:
        assert "first pass" in health.ready()
        beat.run()
    assert health.ready() == ""


def test_a_beat_does_and_says_what_it_did_before(made):
    said = ["one", "two"]
    assert noted(made[0], lambda: said).run() is said


def test_a_job_that_hangs_is_dead_while_it_hangs(made):
    health, clock, _ = made
    seen = []

    def hangs() -> Sequence[str]:
        clock.now += 599
        seen.append(health.alive())
        clock.now += 2
        seen.append(health.alive())
        return []

    noted(health, hangs).run()
    assert seen == ["", "the job sweep has been running for 10 min and may take 10 min"]
    assert health.alive() == "", "it ended after all"


def test_jobs_that_do_not_begin_are_dead_but_not_while_it_stops(made):
    health, clock, _ = made
    noted(health).run()
    clock.now += 63
    assert health.alive() == "the job sweep has not run for 1 min and is due every 2 s"
    health.stopping()
    assert health.alive() == ""
    assert health.ready() == "driftd is stopping: the steps under way are finished first"


def test_a_job_that_ends_in_an_error_is_alive_and_its_error_goes_on(made):
    health, clock, _ = made

    def away() -> Sequence[str]:
        raise Unavailable("the provider is away")

    beat = noted(health, away)
    with pytest.raises(Unavailable):
        beat.run()
    clock.now += 50
    assert health.alive() == ""
    assert health.ready() == "the first pass is not done: sweep has not ended well yet"


def test_a_store_that_cannot_be_read_is_alive_and_not_ready(made, monkeypatch):
    health, _, store = made
    for name in ("lease", "journal", "sweep"):
        noted(health, name=name).run()

    def away():
        raise StoreUnavailable("The disk is gone.")

    monkeypatch.setattr(store, "read", away)
    assert (health.alive(), health.ready()) == ("", "The disk is gone")
