"""What people said or do: holds, approvals, and who is on the instance right now."""

from __future__ import annotations

from datetime import datetime, timedelta

from driftd.core.guards.case import Case, Presence, Refusal
from driftd.core.guards.said import when
from driftd.core.wording import lasting

# So long a person's "no" to a replacement counts for the next one of the same instance, too.
DENIED_FOR = timedelta(hours=24)


def hold(case: Case, now: datetime) -> Refusal | None:
    """A hold binds everybody, also who asks by hand, and also its owner: one command releases it."""
    held = case.facts.holds.get(case.record.old_id)
    if held is None or now >= held.until:
        return None
    return Refusal(
        "hold",
        f"{held.owner} holds {case.record.old_id} until {when(held.until, now)}: {held.reason}; it waits for that, or "
        f"for driftd release {case.record.old_id}",
        held.until,
    )


def approval(case: Case, _now: datetime) -> Refusal | None:
    """Where the group asks for it, a person agrees to each replacement that no person asked for."""
    if not case.rules.approve or case.attended:
        return None
    return Refusal(
        "approval",
        f"{case.rules.name} asks a person (enforce: approve); it waits for driftd approve {case.record.rid}, "
        f"and driftd deny {case.record.rid} ends it",
    )


def session(case: Case, now: datetime) -> Refusal | None:
    """Nobody is ever cut off. Who left may come back for a while, but the cap ends the waiting for that.

    Out of service already, the old one is kept for those alone who are on it now.
    """
    present = case.facts.present.get(case.record.old_id, Presence())
    grace, old = case.rules.grace, case.record.old_id
    ends = present.since + grace.cap if present.since is not None else None
    if present.live:
        sessions = f"{present.live} live session{'s' if present.live > 1 else ''}"
        why = f"{sessions} on {old}, and nobody is cut off: it waits until the last one ends"
        if ends is not None and now >= ends:
            why += f", which takes longer than {lasting(grace.cap)}; then it waits no longer for them to come back"
        return Refusal("session", why)
    out = case.record.drain_seen or case.record.quiesced or case.record.stop_sent
    if present.ended is None or out:
        return None
    back = present.ended + grace.after
    until = back if ends is None else min(back, ends)
    if now >= until:
        return None
    return Refusal(
        "session",
        f"the last session on {old} ended at {when(present.ended, now)}, and who was there may come back; it waits "
        f"until {when(until, now)}",
        until,
    )
