"""Aftermath: what follows from a taint, when, and how a person delays it. Pure, and a forecast: the guards decide.

It knows what a person at login can wait for: sessions, grace, holds, windows. What else may speak against a change at
that time (the budget, a breaker) only the guards know.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from driftd.core.guards.case import GroupRules, Held, Presence
from driftd.core.memory import InstanceRow
from driftd.core.wording import aftermath as say


@dataclass(frozen=True, slots=True)
class Aftermath:
    """``says`` in one sentence what follows; ``due`` is the earliest that it may, None where nothing does or is known.

    ``hold`` is the command that delays it, "" where there is nothing to delay.
    """

    says: str
    due: datetime | None = None
    hold: str = ""


def aftermath(
    row: InstanceRow, rules: GroupRules, presence: Presence, held: Held | None, now: datetime
) -> Aftermath | None:
    """What follows from the taint of ``row``; None where it has none."""
    if not row.taint:
        return None
    by_hand = f'driftd replace {row.id} --reason "…"'
    if not row.action.replaces:
        return Aftermath(say.only_noted(row.group, row.action, by_hand))
    if not rules.replaces:
        return Aftermath(say.only_observed(row.group, by_hand))
    command = f'driftd hold {row.id} --for 2h --reason "…"'
    earliest = held.until if held is not None and held.until > now else now
    waits = [say.held(held.owner, held.until, held.reason, now)] if held is not None and held.until > now else []
    if rules.approve:
        waits.append(say.APPROVAL)
    if presence.live:
        waits.append(say.live(presence.live, rules.grace.after))
        return Aftermath(say.follows(waits, None, now), None, command)
    until = presence.ended and presence.ended + rules.grace.after
    if until is not None and presence.since is not None:
        until = min(until, presence.since + rules.grace.cap)
    if until is not None and until > now:
        waits.append(say.grace(until, now))
        earliest = max(earliest, until)
    due = opening(rules, earliest)
    if due is None:
        waits.append(say.NO_WINDOW)
    elif due > earliest:
        waits.append(say.window(due, now))
    return Aftermath(say.follows(waits, due, now), due, command)


def opening(rules: GroupRules, at: datetime) -> datetime | None:
    """``at``, or when the group's next window opens after it; None where none does within a year."""
    return at if rules.calendar.is_open(at) else rules.calendar.opens_at(at)
