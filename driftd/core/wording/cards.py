"""Sentences of cards: what an outlet shows of an incident, and what its buttons would do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

GONE = "gone"
HELD = "held"
TAINTED = "tainted"
HOLD_FOR = "2h"
ACCEPT_FOR = "7d"


def at(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def instance(name: str, group: str, status: str) -> str:
    return f"{name} in {group or 'no group'}: {status}"


def replacing(state: str, *, asked: bool) -> str:
    return "waits for approval" if asked else f"replacement {state}"


def replaced(by: str) -> str:
    return f"replaced by {by}"


def step(state: str, why: str) -> str:
    return f"{state}: {why}" if why else state


def did(what: str, who: str) -> str:
    """What a person said of a replacement."""
    return f"{who or 'somebody'}: {what}"


def other(key: str, group: str, *, held: bool) -> str:
    """The title of what is no instance."""
    kind, _, rest = key.partition("/")
    if kind == "breaker":
        return f"breaker {rest.replace('/', ' ')}: {'open' if held else 'not open'}"
    return f"driftd: {rest.partition('/')[0]}" + (f" in {group}" if group else "")


def changes(causes: Sequence[tuple[str, str, bool]], most: int) -> tuple[str, ...]:
    """A line for each cause (severity, sentence, accepted), worst first, and one that counts the rest."""
    lines = [f"{severity}: {said}" + (" (accepted)" if accepted else "") for severity, said, accepted in causes[:most]]
    return (*lines, f"and {len(causes) - most} more") if len(causes) > most else tuple(lines)


def record(rid: str, note: str) -> str:
    return f"{rid}: {note}" if note else rid


def held(owner: str, until: datetime, reason: str) -> str:
    return f"by {owner} until {at(until)}: {reason}"


def would_approve(instance: str, rid: str) -> str:
    return f"Replacement {rid} begins as soon as its guards allow: {instance} is drained and ended."


def would_deny(instance: str, rid: str) -> str:
    return f"Replacement {rid} is cancelled and what it did is undone. {instance} stays, and is not replaced for a day."


def would_hold(instance: str) -> str:
    return f"{instance} is not replaced for {HOLD_FOR}, by your name. Only a second person can renew it, and once."


def would_accept(sentence: str, group: str) -> str:
    return f"Accepted in {group or 'every group'} for {ACCEPT_FOR}, by your name: {sentence}"
