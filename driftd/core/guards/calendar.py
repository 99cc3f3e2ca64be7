"""Windows and freezes: at which hours of which days changes may begin, by the clocks on the wall of one time zone.

A window is the time between two wall clock times, so it moves with daylight saving time. A start or end that a change
of the clocks skips is the moment of the change; one that comes twice is the first of the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WORKDAYS = frozenset({0, 1, 2, 3})
# So far ahead is looked for a time that is open; who froze more is told "not within a year".
HORIZON = 366

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """``days`` are those on which it opens, Monday is 0. An ``end`` not after ``start`` is on the day after."""

    days: frozenset[int] = WORKDAYS
    start: time = time(9)
    end: time = time(16)

    def __str__(self) -> str:
        """As it is written in the configuration: ``mon-thu 09:00-16:00``."""
        return f"{_days(self.days)} {self.start:%H:%M}-{self.end:%H:%M}"


@dataclass(frozen=True, slots=True)
class Freeze:
    """Whole days, both included, on which no window is open."""

    first: date
    last: date

    def __str__(self) -> str:
        """As it is written in the configuration."""
        return str(self.first) if self.first == self.last else f"{self.first}..{self.last}"

    def holds(self, day: date) -> bool:
        """Whether ``day`` is one of them."""
        return self.first <= day <= self.last


@dataclass(frozen=True, slots=True)
class Calendar:
    """When a group may be changed. No window at all means at any hour; freezes hold all the same.

    ``chosen`` is False where nobody configured the windows, so that a refusal can say so.
    """

    windows: tuple[Window, ...] = (Window(),)
    zone: tzinfo = UTC
    freezes: tuple[Freeze, ...] = ()
    chosen: bool = False

    def frozen(self, now: datetime) -> Freeze | None:
        """The freeze that holds now."""
        today = now.astimezone(self.zone).date()
        return next((freeze for freeze in self.freezes if freeze.holds(today)), None)

    def is_open(self, now: datetime) -> bool:
        """Whether a change may begin now."""
        if self.frozen(now):
            return False
        if not self.windows:
            return True
        today = now.astimezone(self.zone).date()
        return any(begins <= now < ends for begins, ends in self._spans(today - _DAY, today))

    def opens_at(self, now: datetime) -> datetime | None:
        """The next moment at which it is open, ``now`` where it is; None when there is none within a year."""
        if self.is_open(now):
            return now
        today = now.astimezone(self.zone).date()
        for ahead in range(HORIZON + 1):
            day = today + ahead * _DAY
            if any(freeze.holds(day) for freeze in self.freezes):
                continue
            # Midnight counts where a window of the evening before, or a freeze that ends, leads into the day.
            moments = {moment(day, time(0), self.zone)} | {begins for begins, _ in self._spans(day, day)}
            for at in sorted(at for at in moments if at > now):
                if self.is_open(at):
                    return at
        return None

    def _spans(self, first: date, last: date) -> list[tuple[datetime, datetime]]:
        """The windows that open on the days from ``first`` to ``last``."""
        found = []
        for ahead in range((last - first).days + 1):
            day = first + ahead * _DAY
            for window in self.windows:
                if day.weekday() in window.days:
                    ends_on = day if window.end > window.start else day + _DAY
                    found.append((moment(day, window.start, self.zone), moment(ends_on, window.end, self.zone)))
        return found


WORK_HOURS = Calendar()
ALWAYS = Calendar(windows=(), chosen=True)


def moment(day: date, at: time, zone: tzinfo) -> datetime:
    """The moment, in UTC, at which the clocks of ``zone`` show ``at`` on ``day``, or would if they were not set."""
    wanted = datetime.combine(day, at)
    before, after = (wanted.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if before <= after:  # once, or twice: the first
        return before
    # Skipped: ``after`` lies before the change of the clocks and ``before`` behind it.
    early, late = after, before
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        if middle.astimezone(zone).replace(tzinfo=None) < wanted:
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)


def _days(days: frozenset[int]) -> str:
    if len(days) == 7:
        return "daily"
    runs: list[list[int]] = []
    for day in sorted(days):
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(DAYS[run[0]] if len(run) == 1 else f"{DAYS[run[0]]}-{DAYS[run[-1]]}" for run in runs)
