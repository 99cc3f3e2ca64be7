"""Sentences about whether the daemon lives and is ready."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from driftd.core.wording import lasting, listed

STARTING = "driftd is starting"
STOPPING = "driftd is stopping: the steps under way are finished first"
NOT_TOLD = "whether driftd is ready cannot be told; its log says why"


def _long(seconds: float) -> str:
    return lasting(timedelta(seconds=seconds))


def too_long(job: str, so_far_s: float, longest_s: float) -> str:
    return f"the job {job} has been running for {_long(so_far_s)} and may take {_long(longest_s)}"


def overdue(job: str, since_s: float, every_s: float) -> str:
    return f"the job {job} has not run for {_long(since_s)} and is due every {_long(every_s)}"


def lease_lost(since_s: float, lasts_s: float) -> str:
    return f"the controller's lease was last renewed {_long(since_s)} ago and lasts {_long(lasts_s)}"


def first_pass(jobs: Sequence[str]) -> str:
    return f"the first pass is not done: {listed(jobs)} {'has' if len(jobs) == 1 else 'have'} not ended well yet"


def store_silent(patience_s: float) -> str:
    return f"the store did not answer within {patience_s:g} s"


def too_many(what: str) -> str:
    return f"too many ask for {what} at once; ask again"
