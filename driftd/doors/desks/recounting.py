"""What the doors may ask about a time that is over: everything that store and journal know of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from driftd.core.period import Period


Tell = Callable[[str, int, int], None]
"""(what is read, how much of it, of how much)."""


class RecountDesk(Protocol):
    """Reads the store and its journal, and nothing else. Raises DriftdError with a sentence."""

    def period(self, since: datetime, until: datetime, tell: Tell) -> Period: ...
