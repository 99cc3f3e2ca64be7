"""Whether jobs are alive: long work that gets on is fine, silence is not."""

from driftd.core.signs import Signs


def jobs(now: float = 100.0) -> Signs:
    return Signs({"sweep": 60.0, "lease": 10.0}, now)


def test_a_job_that_never_began_is_silent_since_the_start():
    found = jobs()
    assert found.silent(110.0) == {}
    assert found.silent(111.0) == {"lease": 11.0}
    assert list(found.silent(200.0)) == ["sweep", "lease"]
    assert jobs().silent(200.0)["sweep"] == 100.0


def test_a_run_that_hangs_is_silent_and_one_that_gets_on_is_not():
    found = jobs()
    found.began("sweep", 101.0)
    found.began("lease", 101.0)
    found.ended("lease", 101.0)
    found.sign("sweep", 150.0)
    found.ended("lease", 155.0)
    assert found.silent(160.0) == {}
    assert found.silent(211.0) == {"sweep": 61.0, "lease": 56.0}
    found.sign("sweep", 0.0)
    assert found.silent(211.0)["sweep"] == 61.0, "an old sign is no news"
    found.sign("sweep", 205.0)
    assert "sweep" not in found.silent(211.0)


def test_a_scheduler_that_starts_nothing_any_more_is_noticed():
    found = jobs()
    for job in ("sweep", "lease"):
        found.began(job, 101.0)
        found.ended(job, 102.0)
    assert found.silent(113.0) == {"lease": 11.0}


def test_ready_is_when_each_has_run_or_got_on():
    found = jobs()
    found.began("lease", 101.0)
    found.ended("lease", 102.0)
    assert not found.ready()
    found.began("sweep", 103.0)
    assert not found.ready(), "begun is not yet got on"
    found.sign("sweep", 104.0)
    assert found.ready()
    found.began("sweep", 200.0)
    assert found.ready(), "once ready, ready"
