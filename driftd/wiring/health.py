"""Health, joined together: what the daemon's jobs and its store say of being alive and of being ready."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from driftd.core.memory import Store, StoreUnavailable
from driftd.core.readiness import not_ready
from driftd.core.signs import Signs
from driftd.core.wording.health import STARTING, STOPPING, silent

Monotonic = Callable[[], float]


class Health:
    """Whether this daemon lives, and whether it is ready; asked from several threads, also while it starts.

    ``lease`` is how long the controller's lease lasts from each renewal.
    """

    def __init__(self, store: Store, lease: timedelta, monotonic: Monotonic = time.monotonic) -> None:
        self._store = store
        self._lease_s = lease.total_seconds()
        self._monotonic = monotonic
        self._jobs: Signs | None = None
        self._well: dict[str, float] = {}
        self._stopping = False

    def started(self, jobs: Signs) -> None:
        """It has these jobs. The watchdog asks the same signs, so the two never say different things."""
        self._jobs = jobs

    def job_ended(self, job: str, *, well: bool) -> None:
        """A run of ``job`` ended."""
        if well:
            self._well[job] = self._monotonic()

    def stopping(self) -> None:
        """From now on no job begins, and none is dead for that. Takes no lock: a signal may be why."""
        self._stopping = True

    def alive(self) -> str:
        """Nothing ("") while the daemon lives; else why it should be started again. Touches nothing that could hang."""
        if self._stopping or self._jobs is None:
            return ""
        jobs = self._jobs.silent(self._monotonic())
        return silent(jobs) if jobs else ""

    def ready(self) -> str:
        """Nothing ("") when it holds the lease, has done its first pass and can read the store; else why not.

        May take as long as the store is patient.
        """
        if self._stopping:
            return STOPPING
        if self._jobs is None:
            return STARTING
        return not_ready(self._well, self._monotonic(), self._lease_s) or self._readable()

    def _readable(self) -> str:
        try:
            with self._store.read() as tx:
                tx.pauses()
        except StoreUnavailable as error:
            return str(error).removesuffix(".")
        return ""
