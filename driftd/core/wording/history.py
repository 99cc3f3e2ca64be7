"""Sentences of an instance's history."""

from __future__ import annotations

from driftd.core.facts import Session
from driftd.core.holds import Hold
from driftd.core.replacement import Record


def session(one: Session, did: str = "") -> str:
    """Who came, by what way, for how long, how sure that is, and what is attributed to it."""
    who = f"{one.user} with {one.key_id or one.key}" if one.key_id or one.key else one.user
    until = "still there" if one.live else f"until {one.ended_at:%H:%M:%S}" if one.ended_at else "nobody knows how long"
    sure = f"; {one.confidence}" if one.confidence else ""
    kind = f" ({one.kind})" if one.kind else ""
    deeds = f"; {did}" if did else ""
    return f"{who} came by {one.door}{kind} from {one.source or 'an unknown address'}, {until}{sure}{deeds}"


def finding(severity: str, what: str, suppressed: str, by: str = "") -> str:
    """Something differs; ``by`` says whose it is."""
    return f"{severity} {what}" + (f", {suppressed}" if suppressed else "") + (f"; {by}" if by else "")


def resolved(what: str) -> str:
    """It does no more."""
    return f"{what}: no longer seen"


def hold(one: Hold) -> str:
    """Somebody wanted it kept."""
    until = f"until {one.ended_at:%Y-%m-%d %H:%M:%S} UTC"
    by = (
        f", released by {one.released_by}"
        if one.released_by
        else f", renewed by {one.renewed_by}" * bool(one.renewed_by)
    )
    return f"{one.owner} held it {until}{by}: {one.reason}"


def replacement(one: Record, *, over: bool) -> str:
    """It was replaced, or is being."""
    return f"replacement {one.rid} {'ended' if over else 'is'} {one.state}: {one.note or one.why}"
