"""Windows and freezes: changes begin while people are awake to see them."""

from __future__ import annotations

from datetime import datetime

from driftd.core.guards.case import Case, Refusal
from driftd.core.guards.said import when


def window(case: Case, now: datetime) -> Refusal | None:
    """Only in a window and on no freeze day; what a person asks for by hand begins at any hour."""
    calendar = case.rules.calendar
    if case.by_hand or calendar.is_open(now):
        return None
    local = now.astimezone(calendar.zone)
    opens = calendar.opens_at(now)
    waits = f"it opens at {when(opens, now)}" if opens else "no window opens within a year"
    freeze = calendar.frozen(now)
    if freeze is not None:
        return Refusal("freeze", f"{case.rules.name} is frozen on {freeze} ({calendar.zone}); {waits}", opens)
    hours = ", ".join(str(one) for one in calendar.windows)
    default = "" if calendar.chosen else ", the default: replacing.windows changes it"
    return Refusal(
        "window",
        f"it is {local:%a %H:%M}, and {case.rules.name} is changed in {hours} ({calendar.zone}{default}); {waits}",
        opens,
    )
