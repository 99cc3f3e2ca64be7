"""Sentences of an explanation: what differs, since when, because of what, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence

COSMETIC = "only comments, white space or an order without meaning differ"
NO_RULE = "no rule speaks of it, and what nothing explains is drift"
RULE_GONE = "that rule is in the group's policy no more"
NOT_SHOWABLE = "no pack lists this path as showable, so its content never left the instance: only digests are known"
NOT_KEPT = (
    "its content was not kept: the look that found it was made before it could be, or the host could not be asked"
)
ACCEPT = "it was meant: leave it out for a while"
CANCEL = "call this replacement off"
PAUSE = "change nothing in this group until: driftd resume"
HOLD = "keeps it from being replaced for so long; what was found stays"
NOTHING_OPEN = "nothing open"


def not_found(name: str) -> str:
    return f"neither an instance nor an open finding is called {name!r}"


def elsewhere(others: Sequence[str], peers: int) -> str:
    """On how many other instances the same was found."""
    if not others:
        return "on no other instance" if peers > 1 else "this is the only instance that is known"
    few = ", ".join(others[:6]) + (f" and {len(others) - 6} more" if len(others) > 6 else "")
    return f"on {len(others)} more: {few}"


def more(number: int) -> str:
    return f"and {number} findings more: driftd findings --all"


def kept_from(why: str) -> str:
    return f"not replaced: {why}"


def asks_for(action: str, *, suppressed: str) -> str:
    """What the finding by itself asks for."""
    if suppressed:
        return f"nothing: {suppressed}"
    return {"replace": "a replacement", "alert": "to be told, no more"}.get(action, "nothing")


def overlap(door: str, user: str, source: str, when: str, ended: str) -> str:
    """A session that overlaps; no proof that it was it."""
    return f"{user or '?'} from {source or '?'} by {door}, {when} to {ended}: there while it came about"
