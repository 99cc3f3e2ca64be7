"""A daemon's health, from what its jobs do."""

from datetime import timedelta

import pytest

from driftd.core.memory import StoreUnavailable
from driftd.doors.house import Beat
from driftd.doors.jobs import signs_of
from driftd.edges.store import open_store
from driftd.wiring.health import Health
from driftd.wiring.pulse import Pulse

FIRST = ("lease", "journal", "sweep")


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


def one(health: Health, sign=float):
    """The signs of a daemon whose only job is to be silent for ten minutes at most, besides its two seconds."""
    jobs = signs_of([Beat("sweep", timedelta(seconds=2), list, timedelta(minutes=10), sign)], 1000.0)
    health.started(jobs)
    return jobs


def test_it_is_ready_once_each_of_the_first_has_ended_well(made):
    health, _, _ = made
    assert (health.alive(), health.ready()) == ("", "driftd is starting")
    one(health)
    for name in FIRST:
        assert "first pass" in health.ready()
        health.job_ended(name, well=False)
        assert name in health.ready()
        health.job_ended(name, well=True)
    assert health.ready() == ""


def test_it_is_not_ready_while_its_lease_is_not_renewed(made):
    health, clock, _ = made
    one(health)
    for name in FIRST:
        health.job_ended(name, well=True)
    clock.now += 31
    health.job_ended("lease", well=False)
    assert health.ready() == "the controller's lease was last renewed 31 s ago and lasts 30 s"
    assert health.alive() == ""
    health.job_ended("lease", well=True)
    assert health.ready() == ""


def test_a_job_that_hangs_is_dead_while_it_hangs(made):
    health, clock, _ = made
    jobs = one(health)
    jobs.began("sweep", clock())
    clock.now += 602
    assert health.alive() == ""
    clock.now += 1
    assert health.alive() == "no sign of life from sweep for 10 min"
    jobs.ended("sweep", clock())
    assert health.alive() == "", "it ended after all"


def test_a_long_run_that_gets_on_is_alive_and_nobody_has_to_pass_it_on(made, monkeypatch):
    health, clock, _ = made
    pulse = Pulse(lambda: None)
    jobs = one(health, pulse.sign)
    jobs.began("sweep", clock())
    monkeypatch.setattr("driftd.wiring.pulse.time.monotonic", clock)
    for _ in range(5):
        clock.now += 500
        pulse()
        assert health.alive() == ""
    clock.now += 603
    assert "sweep" in health.alive()


def test_jobs_that_do_not_begin_are_dead_but_not_while_it_stops(made):
    health, clock, _ = made
    one(health)
    clock.now += 660
    assert health.alive() == "no sign of life from sweep for 11 min"
    health.stopping()
    assert health.alive() == ""
    assert health.ready() == "driftd is stopping: the steps under way are finished first"


def test_a_store_that_cannot_be_read_is_alive_and_not_ready(made, monkeypatch):
    health, _, store = made
    one(health)
    for name in FIRST:
        health.job_ended(name, well=True)

    def away():
        raise StoreUnavailable("The disk is gone.")

    monkeypatch.setattr(store, "read", away)
    assert (health.alive(), health.ready()) == ("", "The disk is gone")
