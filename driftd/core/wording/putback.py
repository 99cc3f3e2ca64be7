"""Sentences about what people said to a store that a backup replaced, and what to type to say it again."""

from __future__ import annotations

import math
import shlex
from datetime import datetime, timedelta

from driftd.core.wording.holds import at

UNREAD = (
    "what was there before cannot be read, and neither can its pauses and holds: who made any makes them again, with "
    "driftd pause and driftd hold"
)


def paused(group: str, owner: str, reason: str, *, hard: bool) -> str:
    """A pause that the backup does not know."""
    where = f"--group {shlex.quote(group)} " if group else ""
    again = f"driftd pause {where}{'--hard ' if hard else ''}--reason {shlex.quote(reason)}"
    also = ", undoing too" if hard else ""
    return f"{owner} had paused {group or 'everything'}{also}, and the backup does not know it; again: {again}"


def held(instance: str, owner: str, reason: str, until: datetime, now: datetime) -> str:
    """A hold that the backup does not know, or knows for less."""
    minutes = max(1, math.ceil((until - now) / timedelta(minutes=1)))
    again = f"driftd hold {shlex.quote(instance)} --for {minutes}m --reason {shlex.quote(reason)}"
    return f"{owner} held {instance} until {at(until)}, and the backup does not know it; again: {again}"
