"""Alive is who does its work, however badly; ready is whose word counts."""

from dataclasses import replace

import pytest

from driftd.core.liveness import LATE_S, Pulse, not_alive, not_ready

NEW = Pulse("sweep", every_s=2, longest_s=600, known_s=1000)
IDLE = replace(NEW, began_s=1000, ended_s=1001, well_s=1001)
BUSY = replace(IDLE, began_s=1010)


@pytest.mark.parametrize(
    ("pulse", "now", "alive"),
    [
        (NEW, 1000, True),
        (NEW, 1000 + 2 + LATE_S, True),
        (NEW, 1000 + 2 + LATE_S + 1, False),
        (IDLE, 1001 + 2 + LATE_S, True),
        (IDLE, 1001 + 2 + LATE_S + 1, False),
        (replace(IDLE, began_s=1001), 1050, True),
        (BUSY, 1010 + 600, True),
        (BUSY, 1010 + 601, False),
        (replace(BUSY, ended_s=None, well_s=None), 1010 + 601, False),
        # It ends badly each time, and it does end.
        (replace(BUSY, ended_s=1011, well_s=None), 1012, True),
    ],
)
def test_a_job_is_dead_that_takes_too_long_or_does_not_begin(pulse: Pulse, now: float, alive: bool):
    assert (not_alive([IDLE, pulse], min(now, 1003)) == "") or not alive
    assert (not_alive([pulse], now) == "") is alive


def test_each_dead_job_is_named_with_the_numbers():
    lease = Pulse("lease", every_s=5, longest_s=120, known_s=0)
    said = not_alive([replace(BUSY, longest_s=300), lease, replace(IDLE, job="watch", ended_s=1380)], 1390)
    assert said == (
        "the job sweep has been running for 6 min and may take 5 min; "
        "the job lease has not run for 23 min and is due every 5 s"
    )


def test_nobody_is_dead_before_there_are_jobs():
    assert not_alive([], 10**9) == ""


def ready_ones() -> list[Pulse]:
    return [
        Pulse(job, every_s=5, longest_s=120, known_s=0, began_s=99, ended_s=100, well_s=100)
        for job in ("lease", "journal", "sweep", "janitor")
    ]


def test_ready_is_who_holds_the_lease_and_did_the_first_pass():
    assert not_ready(ready_ones(), 110, 30) == ""
    assert not_ready(ready_ones(), 130, 30) == ""


@pytest.mark.parametrize("job", ["lease", "journal", "sweep"])
def test_who_has_not_done_the_first_pass_is_not_ready(job: str):
    pulses = [replace(one, well_s=None) if one.job == job else one for one in ready_ones()]
    assert not_ready(pulses, 110, 30) == f"the first pass is not done: {job} has not ended well yet"


def test_a_janitor_that_did_not_run_yet_keeps_nobody_waiting():
    assert (
        not_ready([replace(one, well_s=None) if one.job == "janitor" else one for one in ready_ones()], 110, 30) == ""
    )


def test_a_lease_that_ran_out_is_not_ready_though_it_is_alive():
    assert not_ready(ready_ones(), 131, 30) == "the controller's lease was last renewed 31 s ago and lasts 30 s"
    assert not_alive(ready_ones(), 131) == ""


def test_who_starts_is_not_ready():
    assert not_ready([], 0, 30) == "driftd is starting"
