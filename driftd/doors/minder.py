"""What the service manager is told of the daemon: that it is ready, that its jobs are alive, or which of them hangs."""

from __future__ import annotations

import structlog

from driftd.core.signs import Signs
from driftd.core.wording import health
from driftd.core.wording import service as wording
from driftd.doors.house import Manager

EVERY_S = 10.0
# While it starts it asks for this much more time each time, for as long as no job hangs.
MORE_S = 60


class Minder:
    """Turned by the daemon's own thread, several times a second; times are those of ``time.monotonic``."""

    def __init__(self, manager: Manager, jobs: Signs) -> None:
        self._manager = manager
        self._jobs = jobs
        self._every = min(EVERY_S, manager.watchdog_s / 3 or EVERY_S)
        self._next = 0.0
        self._ready = False
        self._said: tuple[str, ...] = ()
        manager.tell(STATUS=wording.starting())

    def turn(self, now: float) -> None:
        """Tell what is due. A job that hangs is logged once, and stops what the watchdog waits for."""
        if not self._ready and self._jobs.ready():
            self._ready = True
            self._manager.tell(READY=1)
        if now < self._next:
            return
        self._next = now + self._every
        silent = self._jobs.silent(now)
        if tuple(silent) != self._said:
            self._said = tuple(silent)
            if silent:
                said = wording.hangs(health.silent(silent))
                structlog.get_logger().error(said, jobs=list(silent))
                self._manager.tell(STATUS=said)
        if not silent:
            self._alive()

    def stopping(self) -> None:
        """It ends: how long that may take is the service manager's to say, and no job counts any more."""
        self._manager.tell(STOPPING=1, STATUS=wording.stopping())

    def still(self, now: float) -> None:
        """It is still ending."""
        if now >= self._next:
            self._next = now + self._every
            self._manager.tell(WATCHDOG=1)

    def _alive(self) -> None:
        if self._ready:
            self._manager.tell(WATCHDOG=1)
        else:
            self._manager.tell(EXTEND_TIMEOUT_USEC=MORE_S * 1_000_000)
