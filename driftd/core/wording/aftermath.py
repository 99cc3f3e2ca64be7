"""Sentences about what follows from a taint."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from driftd.core.findings import Action
from driftd.core.guards.said import when
from driftd.core.wording import lasting

APPROVAL = "a person has to approve it"
NO_WINDOW = "no window opens within a year (replacing.windows, freezes)"


def only_noted(group: str, action: Action, by_hand: str) -> str:
    """Where the rules ask for no replacement, or may not (nobody vouches for the manifest; only a mark is left)."""
    told = "people are told, and nothing is done" if action is Action.ALERT else "it is noted, and nothing is done"
    return f"{told} about it, as nothing that {group} goes by asks for a replacement; {by_hand} ends it"


def only_observed(group: str, by_hand: str) -> str:
    """Where the group allows none."""
    return f"nothing is done about it, since {group} only observes (enforce: observe); {by_hand} ends it"


def held(owner: str, until: datetime, reason: str, now: datetime) -> str:
    """Somebody's hold."""
    return f"{owner} holds it until {when(until, now)} ({reason})"


def live(number: int, grace: timedelta) -> str:
    """People are on it."""
    sessions = "1 session on it ends" if number == 1 else f"the {number} sessions on it end"
    return f"nobody is cut off, so it waits until {sessions}, and {lasting(grace)} more"


def grace(until: datetime, now: datetime) -> str:
    """Who left may come back."""
    return f"who left may come back until {when(until, now)}"


def window(opens: datetime, now: datetime) -> str:
    """The group's own hours."""
    return f"the next window opens at {when(opens, now)}"


def follows(waits: Sequence[str], due: datetime | None, now: datetime) -> str:
    """All of it, in one sentence."""
    if due is not None and due <= now and not waits:
        return "it will be replaced now, as soon as the guards allow it"
    at = f" at {when(due, now)} at the earliest" if due is not None and due > now else ""
    return f"it will be replaced{at}: {'; '.join(waits)}"
