"""The daemon's jobs, as those see them who ask whether they are alive."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.core.signs import Signs
from driftd.doors.house import Beat


def signs_of(beats: Sequence[Beat], now: float) -> Signs:
    """Nothing has begun yet. ``now`` is ``time.monotonic``'s, as the times of ``Beat.sign`` are."""
    return Signs(
        {beat.name: (beat.every + beat.patience).total_seconds() for beat in beats},
        {beat.name: beat.sign for beat in beats},
        now,
    )
