"""Pace: how fast the instances of a group may follow one another, and how long a group that failed is left alone."""

from __future__ import annotations

from datetime import datetime, timedelta

from driftd.core.guards.case import Case, Failures, Refusal
from driftd.core.guards.said import part, when

HOUR, DAY = timedelta(hours=1), timedelta(hours=24)
BACK_OFF_DOUBLINGS = 3
STUCK = "mend it (docs/stuck.md), then replace one instance of the group by hand: its success lets the others go on"


def between(case: Case, now: datetime) -> Refusal | None:
    """Some time from one retirement to the next; longer after a checkpoint, so that a bad change is seen in time."""
    pace, retired = case.rules.pace, case.facts.retired
    if case.by_hand or not retired:
        return None
    last = max(one.at for one in retired)
    done, size = sum(1 for one in retired if one.at > now - DAY), case.facts.size
    marks = {-(-size * percent // 100): percent for percent in pace.checkpoints}
    gap, why = pace.between, f"at least {_minutes(pace.between)} pass between two"
    if done in marks and pace.checkpoint > gap:
        gap = pace.checkpoint
        why = f"{done} of {size} in 24 h is the checkpoint at {marks[done]} %, watched for {_minutes(gap)}"
    until = last + gap
    if now >= until:
        return None
    return Refusal(
        "pace",
        f"the last instance of {case.rules.name} was retired at {when(last, now)}, and {why}; the next may go at "
        f"{when(until, now)}",
        until,
    )


def one_leaves(case: Case, _now: datetime) -> Refusal | None:
    """Where instances must not follow one another at once, only one at a time is on its way out."""
    if case.by_hand or not case.rules.pace.between or case.record.drain_sent:
        return None
    leaving = [flight.old_id for flight in case.others if flight.out]
    if not leaving:
        return None
    return Refusal(
        "pace",
        f"{leaving[0]} of {case.rules.name} is on its way out, and at least {_minutes(case.rules.pace.between)} pass "
        "between two; it waits until that replacement is over",
    )


def hourly(case: Case, now: datetime) -> Refusal | None:
    """So many in an hour, those under way included."""
    most = case.rules.pace.per_hour
    if most is None or case.by_hand:
        return None
    lately = sorted(one.at for one in case.facts.retired if one.at > now - HOUR)
    under_way = len(case.others)
    if len(lately) + under_way < most:
        return None
    until = lately[0] + HOUR if lately else None
    waits = f"the next may go at {when(until, now)}" if until else "it waits until one is over"
    return Refusal(
        "pace",
        f"{len(lately)} of {case.rules.name} were retired within the hour and {under_way} are under way, and at most "
        f"{most} an hour may go; {waits}",
        until,
    )


def daily(case: Case, now: datetime) -> Refusal | None:
    """So much of the group in 24 hours without that a person asked for it or approved it."""
    percent = case.rules.pace.per_day
    if percent is None or case.attended:
        return None
    size = case.facts.size
    most = max(1, part(percent, size))
    lately = sorted(one.at for one in case.facts.retired if one.at > now - DAY and not one.attended)
    under_way = sum(1 for flight in case.others if not flight.attended)
    if len(lately) + under_way < most:
        return None
    until = lately[0] + DAY if lately else None
    waits = f"the next may go at {when(until, now)}" if until else "it waits until one is over"
    return Refusal(
        "pace",
        f"{len(lately)} of {case.rules.name} were retired within 24 h and {under_way} are under way with nobody asked, "
        f"and at most {most} ({percent} % of {size}) may go; {waits}, or when somebody approves it "
        f"(driftd approve {case.record.rid})",
        until,
    )


def back_off_ends(back_off: timedelta, failures: Failures) -> datetime | None:
    """Until when what failed is left alone: the back-off, doubled with each further failure, three times."""
    if failures.at is None or not failures.count:
        return None
    factor: int = 2 ** min(failures.count - 1, BACK_OFF_DOUBLINGS)
    return failures.at + back_off * factor


def stuck(case: Case, _now: datetime) -> Refusal | None:
    """A group with one that needs a person waits for that person."""
    if case.by_hand or not case.facts.stuck:
        return None
    return Refusal("stuck", f"{case.rules.name} has a replacement that is stuck ({case.facts.stuck}); {STUCK}")


def back_off(case: Case, now: datetime) -> Refusal | None:
    """After a failure the group is left alone for a while, ever longer; so is, everywhere, drift of the same look."""
    if case.by_hand:
        return None
    own = case.facts.failures
    alike = case.facts.signatures.get(case.record.signature, Failures()) if case.record.signature else Failures()
    ends = back_off_ends(case.rules.back_off, own)
    if ends is not None and now < ends:
        return Refusal(
            "back-off",
            f"{own.count} replacement{'s' if own.count > 1 else ''} in {case.rules.name} failed in a row; "
            f"the next one waits until {when(ends, now)}",
            ends,
        )
    ends = back_off_ends(case.rules.back_off, alike)
    if ends is not None and now < ends:
        return Refusal(
            "back-off",
            f"{alike.count} replacement{'s' if alike.count > 1 else ''} for drift of the same look "
            f"({case.record.signature}) failed in a row; the next one waits until {when(ends, now)}",
            ends,
        )
    return None


def slow_start(case: Case, _now: datetime) -> Refusal | None:
    """One at first, and twice as many after each success (core/guards/width.py)."""
    if case.by_hand or case.facts.widths is None:
        return None
    why = case.facts.widths.refusal(case.record)
    return Refusal("slow start", f"{why}; it waits until one of them is proven") if why else None


def _minutes(span: timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
