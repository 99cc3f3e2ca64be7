"""Outlook: for one instance, why it is not being replaced, and what happens next. Pure; a sentence each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.core.aftermath import Aftermath
from driftd.core.findings import Action, Verdict
from driftd.core.memory import InstanceRow, Pause
from driftd.core.replacement import Record, State
from driftd.core.wording import lasting

_SOON = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Outlook:
    """``why_not`` is empty where there is nothing to replace, or it is being replaced.

    ``follows`` is what follows from the taint, None where there is none or nobody asked.
    """

    why_not: str
    next: str
    follows: Aftermath | None = None

    def taint_follows(self) -> dict[str, object]:
        """What follows from the taint, for machines; nothing where nothing was asked, or there is no taint."""
        if self.follows is None:
            return {}
        due = self.follows.due.isoformat() if self.follows.due else None
        return {"taint_follows": {"says": self.follows.says, "due": due, "hold": self.follows.hold}}


def outlook(
    row: InstanceRow,
    record: Record | None,
    pauses: Sequence[Pause],
    enforce: Action,
    every: timedelta,
    now: datetime,
) -> Outlook:
    """What stands between this instance and its replacement, read off the store's rows."""
    look = _next_look(row, every, now)
    if record is not None:
        role = "being replaced" if record.old_id == row.id else "the newcomer of a replacement"
        pause = _pause(row, pauses)
        if record.state is State.ADMITTING and record.note:
            # Every guard that refuses, each with its arithmetic.
            return Outlook(pause or record.note, f"replacement {record.rid} waits for that")
        then = (
            f", looked at again in {lasting(record.next_at - now)}"
            if record.next_at and record.next_at - now >= _SOON
            else ""
        )
        return Outlook(
            pause, f"{role}, {record.state}: {record.note}{then}" if record.note else f"{role}, {record.state}"
        )
    if not row.action.replaces:
        return Outlook("", look)
    if row.verdict is Verdict.UNKNOWN:
        return Outlook(f"it could not be seen: {row.reason}", look)
    if not enforce.replaces:
        return Outlook(
            f"group {row.group} only observes (enforce: {enforce_word(enforce)})",
            f"driftd replace {row.id} --reason …, or {look}",
        )
    return Outlook(_pause(row, pauses) or "the next look decides", look)


def enforce_word(enforce: Action) -> str:
    """The word that the configuration uses for the most that a group's rules may do."""
    return "replace" if enforce.replaces else "observe"


def _pause(row: InstanceRow, pauses: Sequence[Pause]) -> str:
    for pause in pauses:
        if pause.group in {"", row.group}:
            return f"{pause.owner} paused {pause.group or 'everything'}: {pause.reason}"
    return ""


def _next_look(row: InstanceRow, every: timedelta, now: datetime) -> str:
    if row.looked_at is None:
        return "its first look"
    due = row.looked_at + every - now
    if due < -max(every, timedelta(minutes=1)):
        return f"a look is overdue by {lasting(-due)}: see that driftd runs"
    return f"looked at again in {lasting(due)}" if due > timedelta(0) else "looked at again now"
