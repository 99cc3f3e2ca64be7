"""Whether jobs are alive: long work that gets on is fine, silence is not."""

import pytest

from driftd.core.signs import Signs
from driftd.core.wording import health


@pytest.fixture
def got_on() -> dict[str, float]:
    """When each job under way says that it got on last."""
    return {"sweep": 0.0, "lease": 0.0}


@pytest.fixture
def found(got_on) -> Signs:
    """Jobs that were set up at 100."""
    return Signs({"sweep": 60.0, "lease": 10.0}, {name: lambda name=name: got_on[name] for name in got_on}, 100.0)


def test_a_job_that_never_began_is_silent_since_the_start(found):
    assert found.silent(110.0) == {}
    assert found.silent(111.0) == {"lease": 11.0}
    assert found.silent(200.0)["sweep"] == 100.0


def test_who_is_silent_for_longest_comes_first(found, got_on):
    got_on["sweep"] = 105.0
    assert list(found.silent(200.0)) == ["lease", "sweep"]
    got_on["lease"] = 110.0
    assert list(found.silent(200.0)) == ["sweep", "lease"]


def test_a_run_that_hangs_is_silent_and_one_that_gets_on_is_not(found, got_on):
    found.began("sweep", 101.0)
    found.began("lease", 101.0)
    found.ended("lease", 101.0)
    got_on["sweep"] = 150.0
    found.ended("lease", 155.0)
    assert found.silent(160.0) == {}
    assert found.silent(211.0) == {"sweep": 61.0, "lease": 56.0}
    got_on["sweep"] = 205.0
    assert "sweep" not in found.silent(211.0)


def test_a_sign_older_than_the_end_of_a_run_is_no_news(found, got_on):
    found.began("sweep", 101.0)
    got_on["sweep"] = 102.0
    found.ended("sweep", 150.0)
    assert "sweep" not in found.silent(210.0)
    assert found.silent(211.0)["sweep"] == 61.0


def test_a_scheduler_that_starts_nothing_any_more_is_noticed(found):
    for job in ("sweep", "lease"):
        found.began(job, 101.0)
        found.ended(job, 102.0)
    assert found.silent(113.0) == {"lease": 11.0}


def test_ready_is_when_each_has_run_or_got_on(found, got_on):
    found.began("lease", 101.0)
    found.ended("lease", 102.0)
    assert not found.ready()
    found.began("sweep", 103.0)
    assert not found.ready(), "begun is not yet got on"
    got_on["sweep"] = 104.0
    assert found.ready()
    found.began("sweep", 200.0)
    assert found.ready(), "once ready, ready"


def test_each_silent_job_is_named_with_how_long(found):
    assert health.silent(found.silent(400.9)) == "no sign of life from sweep for 5 min and lease for 5 min"
