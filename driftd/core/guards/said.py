"""How guards say numbers and times, so that all of them say them alike."""

from __future__ import annotations

from datetime import UTC, datetime


def when(at: datetime, now: datetime) -> str:
    """``09:00:00 UTC``, with the day before it where that is not today."""
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    return f"{at:%H:%M:%S} UTC" if at.date() == now.date() else f"{at:%a %Y-%m-%d %H:%M:%S} UTC"


def part(percent: int, size: int) -> int:
    """So many percent of a group, rounded down, but never to nothing unless it is 0 % or the group is empty."""
    return max(1, size * percent // 100) if percent and size else 0


def are(number: int) -> str:
    """``1 is``, ``2 are``."""
    return f"{number} {'is' if number == 1 else 'are'}"
