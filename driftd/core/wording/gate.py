"""What is said of instances that wait at a gate before they serve."""

from __future__ import annotations

from datetime import datetime


def verified(rid: str) -> str:
    """A newcomer of driftd's own."""
    return f"it was verified by replacement {rid}"


def not_verified(rid: str) -> str:
    """One that its replacement has yet to look at."""
    return f"replacement {rid} has not verified it yet"


def undone(rid: str) -> str:
    """A newcomer that is taken back."""
    return f"replacement {rid} is undone"


def gone() -> str:
    """One that is no member any more."""
    return "it is in quarantine, or was taken for gone"


def replaced(rid: str) -> str:
    """One that is to go."""
    return f"replacement {rid} replaces it"


def not_looked_at() -> str:
    """Nobody knows yet."""
    return "it was not looked at yet"


def not_as_baked(verdict: str, reason: str) -> str:
    """What the last look says."""
    return f"it is {verdict}: {reason}"


def long_ago(at: datetime) -> str:
    """The last look is too old to go by."""
    return f"it was last looked at {at:%Y-%m-%dT%H:%M:%SZ}, and that is too long ago"


def as_baked(verdict: str) -> str:
    """What the last look says."""
    return f"it is {verdict}"


def admitted(instance_id: str, group: str, why: str) -> str:
    """It may serve from now on."""
    return f"{instance_id} was let through the gate of {group}: {why}"


def waits(instance_id: str, group: str, why: str) -> str:
    """It is kept waiting."""
    return f"{instance_id} waits at the gate of {group}: {why}"


def unanswered(instance_id: str, group: str, why: str) -> str:
    """Nothing could be said about one."""
    return f"{instance_id} waits at the gate of {group}, which could not be told anything: {why}"


def unknown(group: str, why: str) -> str:
    """Who waits could not be read."""
    return f"the gate of {group} is not kept: {why}"
