"""A job's own clock: whoever asks it for the time gets on, and the daemon's watchdog and health may know."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime


class Pulse:
    """The clock, and when it was last asked. A job that takes long by right asks at each of its steps."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._asked = 0.0

    def __call__(self) -> datetime:
        self._asked = time.monotonic()
        return self._clock()

    def sign(self) -> float:
        """When it was last asked, in seconds of ``time.monotonic``; 0.0 when never."""
        return self._asked
