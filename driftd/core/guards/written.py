"""How people write what guards go by: windows, freezes, percentages. Each raises ValueError with the remedy."""

from __future__ import annotations

import re
from datetime import date, time

from driftd.core.guards.calendar import DAYS, Freeze, Window

EVERY_DAY = frozenset(range(7))

_WINDOW = re.compile(r"(\S+) +(\d\d):(\d\d)-(\d\d):(\d\d)")
_PERCENT = re.compile(r"(\d{1,3})%")


def window(text: object) -> Window:
    """``mon-thu 09:00-16:00``, ``sat,sun 22:00-04:00`` (until the next morning), ``daily 00:00-24:00``."""
    match = _WINDOW.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a window; write it like 'mon-thu 09:00-16:00' or 'daily 22:00-04:00'")
    start, end = (_clock(match[hour], match[minute], str(text)) for hour, minute in ((2, 3), (4, 5)))
    return Window(_days(match[1], str(text)), start, end)


def freeze(text: object) -> Freeze:
    """``2026-12-24``, or ``2026-12-24..2027-01-02`` with both days included."""
    first, dots, last = str(text).partition("..")
    try:
        made = Freeze(date.fromisoformat(first), date.fromisoformat(last if dots else first))
    except ValueError:
        raise ValueError(f"{text!r} is not a day; write it like 2026-12-24 or 2026-12-24..2027-01-02") from None
    if made.last < made.first:
        raise ValueError(f"{text!r} ends before it begins; write the earlier day first")
    return made


def percent(text: object) -> int:
    """``20%``, from 0 to 100."""
    if isinstance(text, int) and not isinstance(text, bool) and 0 <= text <= 100:
        return text
    match = _PERCENT.fullmatch(text) if isinstance(text, str) else None
    if match is None or int(match[1]) > 100:
        raise ValueError(f"{text!r} is not a percentage; write it like 20%")
    return int(match[1])


def _clock(hour: str, minute: str, text: str) -> time:
    """24:00 is the midnight at which the day ends."""
    if (hour, minute) == ("24", "00"):
        return time(0)
    if int(hour) > 23 or int(minute) > 59:
        raise ValueError(f"{text!r} names no time of the day: {hour}:{minute}; write it from 00:00 to 24:00")
    return time(int(hour), int(minute))


def _days(words: str, text: str) -> frozenset[int]:
    if words == "daily":
        return EVERY_DAY
    found: set[int] = set()
    for word in words.lower().split(","):
        first, _, last = word.partition("-")
        last = last or first
        if first not in DAYS or last not in DAYS:
            raise ValueError(f"{text!r} names no day: {word!r}; the days are {', '.join(DAYS)}, and daily")
        begin, end = DAYS.index(first), DAYS.index(last)
        found.update(day % 7 for day in range(begin, end + 1 if end >= begin else end + 8))
    return frozenset(found)
