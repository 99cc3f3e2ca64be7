"""Sentences about a daemon that has just begun."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from driftd.core.wording import listed


def _began(since: datetime) -> str:
    return f"driftd began at {since.astimezone(UTC):%H:%M:%S} UTC"


def no_inventory_yet(group: str, since: datetime, why: str) -> str:
    """The inventory was not read since the start; ``why`` it could not be, where that is known."""
    because = f" ({why})" if why else ""
    return f"{_began(since)} and has not read the inventory of {group} since{because}; nothing is changed before that"


def not_looked_yet(group: str, since: datetime, looked: int, of: int, missing: Sequence[str]) -> str:
    """Not every instance was looked at since the start."""
    return (
        f"{_began(since)} and has looked at {looked} of {of} instances of {group} since, not at {listed(missing)}; "
        "nothing is changed before each was looked at once"
    )
