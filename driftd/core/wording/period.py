"""Sentences of the report of a period: ``driftd report``."""

from __future__ import annotations

from datetime import datetime

from driftd.core.wording import count

NO_CHECKPOINT = "no checkpoint was signed, so nothing proves to a stranger that no line was cut off the journal's end"
AS_NOW = "What stands (verdicts, states, ends) is told as it is now; what happened, as it did then."


def at(moment: datetime | None) -> str:
    """``2026-01-31 08:00:00``, in UTC; "" for none."""
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment is not None else ""


def unsigned(line: int, when: datetime) -> str:
    return f"the newest checkpoint (line {line}, {at(when)} UTC) bears no signature: it proves nothing to a stranger"


def trusted(line: int, when: datetime) -> str:
    return f"the newest checkpoint (line {line}, {at(when)} UTC) is signed by a trusted key, and that line is as it was"


def untrusted(line: int, why: str) -> str:
    return f"the newest checkpoint (line {line}) is not to be relied on here: {why}"


def other_line(line: int) -> str:
    return f"line {line} is not the one that the newest checkpoint was made for"


def numbers(fleet: int, sessions: int, drifts: int, replacements: int, deeds: int) -> str:
    return ", ".join(
        (
            count(fleet, "instance"),
            count(sessions, "session"),
            count(drifts, "drift"),
            count(replacements, "replacement"),
            count(deeds, "act by persons", "acts by persons"),
        )
    )


def coverage(never: int, holes: int, unknown: int) -> str:
    """How much nobody can speak of."""
    if not never and not holes and not unknown:
        return "everybody was looked at, without a gap"
    said = [f"{never} never looked at"] if never else []
    said += [f"{count(holes, 'instance')} with a gap"] if holes else []
    said += [f"{unknown} unknown now"] if unknown else []
    return ", ".join(said)
