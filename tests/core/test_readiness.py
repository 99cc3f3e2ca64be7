"""Ready is whose word counts: who holds the lease and did the first pass."""

import pytest

from driftd.core.readiness import not_ready

WELL = {"lease": 100.0, "journal": 100.0, "sweep": 100.0, "janitor": 100.0}


def without(job: str) -> dict[str, float]:
    return {name: at for name, at in WELL.items() if name != job}


def test_ready_is_who_holds_the_lease_and_did_the_first_pass():
    assert not_ready(WELL, 110, 30) == ""
    assert not_ready(WELL, 130, 30) == ""


@pytest.mark.parametrize("job", ["lease", "journal", "sweep"])
def test_who_has_not_done_the_first_pass_is_not_ready(job: str):
    assert not_ready(without(job), 110, 30) == f"the first pass is not done: {job} has not ended well yet"


def test_all_that_is_waited_for_is_named():
    assert "lease, journal and sweep have not ended well yet" in not_ready({}, 110, 30)


def test_a_janitor_that_did_not_run_yet_keeps_nobody_waiting():
    assert not_ready(without("janitor"), 110, 30) == ""


def test_a_lease_that_ran_out_is_not_ready():
    assert not_ready(WELL, 131, 30) == "the controller's lease was last renewed 31 s ago and lasts 30 s"
