"""Sentences about whether the daemon lives and is ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from driftd.core.wording import lasting, listed, service

STARTING = "driftd is starting"
STOPPING = f"driftd is {service.stopping()}"
NOT_TOLD = "whether driftd is ready cannot be told; its log says why"


def _long(seconds: float) -> str:
    return lasting(timedelta(seconds=seconds))


def silent(jobs: Mapping[str, float]) -> str:
    """Which jobs hang, each with the seconds of its silence."""
    return f"no sign of life from {listed([f'{job} for {_long(int(span))}' for job, span in jobs.items()])}"


def lease_lost(since_s: float, lasts_s: float) -> str:
    return f"the controller's lease was last renewed {_long(since_s)} ago and lasts {_long(lasts_s)}"


def first_pass(jobs: Sequence[str]) -> str:
    return f"the first pass is not done: {listed(jobs)} {'has' if len(jobs) == 1 else 'have'} not ended well yet"


def store_silent(patience_s: float) -> str:
    return f"the store did not answer within {patience_s:g} s"


def late(waits_s: float) -> str:
    return f"driftd is too busy to tell all of its metrics within {waits_s:g} s"


def too_many(what: str) -> str:
    return f"too many ask for {what} at once; ask again"
