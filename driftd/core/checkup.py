"""A checkup: what ``driftd doctor`` finds of one deployment, point by point, and what all of it amounts to. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from driftd.core.asides import Rights
from driftd.core.wording import doctor as say


class Mark(StrEnum):
    """How one thing stands, in rising order of what comes of it.

    NOTE is worth knowing and stops nothing. UNSEEN could not be looked at, so that nothing is known. WRONG is to be
    mended. UNUSABLE is a configuration that cannot be read, so that nothing else can be looked at.
    """

    GOOD = "good"
    NOTE = "note"
    UNSEEN = "unseen"
    WRONG = "wrong"
    UNUSABLE = "unusable"


_STATUS = {Mark.GOOD: 0, Mark.NOTE: 0, Mark.UNSEEN: 3, Mark.WRONG: 1, Mark.UNUSABLE: 2}


@dataclass(frozen=True, slots=True)
class Point:
    """One line: ``area`` is what kind of thing, ``about`` which one, ``says`` one sentence, ``hint`` what to do."""

    area: str
    about: str
    mark: Mark
    says: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at. ``run`` may take long and may fail: who runs it bounds both (flows/checkup.py)."""

    area: str
    about: str
    run: Callable[[], Sequence[Point]] = field(compare=False)


def status(points: Iterable[Point]) -> int:
    """The exit status: 2 nothing can be used, 1 something is to be mended, 3 something could not be seen, else 0."""
    marks = {one.mark for one in points}
    return next((_STATUS[mark] for mark in reversed(Mark) if mark in marks), 0)


# --- what was seen of single things, and what is to be thought of it -------------------------------------------------

GIBIBYTE = 1 << 30
ROOM_LEAST = GIBIBYTE // 8
BUNDLE_LONGEST = 64 << 20  # bytes, as a group allows unless it says otherwise
BUNDLE_SHORT = 1 << 20
ROOM_USUAL = GIBIBYTE
SKEW_NOTE, SKEW_MOST = timedelta(seconds=2), timedelta(seconds=30)
OVERDUE = 3  # times the time between two looks
OVERDUE_LEAST = timedelta(minutes=10)


def room(path: str, free: int, store: int) -> Point:
    """``free`` and ``store`` are bytes: what is free where the store lies, and its size, which a backup needs again."""
    said = say.room(path, free)
    if free < ROOM_LEAST:
        return Point("machine", "disk", Mark.WRONG, said, say.ROOM_HINT)
    if free < max(ROOM_USUAL, 2 * store):
        return Point("machine", "disk", Mark.NOTE, said, say.ROOM_HINT)
    return Point("machine", "disk", Mark.GOOD, said)


def evidence(directory: str, taken: int, room: int, free: int, *, writable: bool) -> Point:
    """``taken`` of the ``room`` that evidence may have is taken, and ``free`` is free on the disk, all in bytes."""
    if not writable:
        return Point("machine", "evidence", Mark.WRONG, say.evidence_place(directory), say.EVIDENCE_PLACE_HINT)
    left = max(min(room - taken, free), 0)
    said = say.evidence(directory, taken, room, left)
    if left < BUNDLE_LONGEST:
        mark = Mark.WRONG if left < BUNDLE_SHORT else Mark.NOTE
        return Point("machine", "evidence", mark, said, say.EVIDENCE_HINT)
    return Point("machine", "evidence", Mark.GOOD, said)


def clock(*, synchronised: bool | None, newest: datetime | None, now: datetime) -> Point:
    """``synchronised`` is the kernel's word, None where it says nothing; ``newest`` the last moment in the store."""
    if newest is not None and newest - now > SKEW_MOST:
        return Point("machine", "clock", Mark.WRONG, say.clock_back(newest, now), say.CLOCK_HINT)
    if synchronised is None:
        return Point("machine", "clock", Mark.NOTE, say.CLOCK_UNKNOWN, say.CLOCK_HINT)
    if not synchronised:
        return Point("machine", "clock", Mark.NOTE, say.CLOCK_FREE, say.CLOCK_HINT)
    return Point("machine", "clock", Mark.GOOD, say.CLOCK_GOOD)


def rights(group: str, found: Rights) -> list[Point]:
    """Of the credentials that a provider acts with for ``group``."""
    tried = len(found.held) + len(found.missing)
    points = []
    if found.missing:
        said = say.rights_missing(found.missing, tried)
        points.append(Point("rights", group, Mark.WRONG, said, found.missing_hint))
    if found.unknown:
        said = say.rights_unknown(found.unknown, found.unknown_why)
        points.append(Point("rights", group, Mark.NOTE, said, found.unknown_hint))
    return points or [Point("rights", group, Mark.GOOD, say.rights(tried))]


@dataclass(frozen=True, slots=True)
class Greeting:
    """What an instance answered to a login that asked nothing but this.

    ``python`` is "3.11.2", "" where there is none and a shell answered. ``uid`` is that of the probe-to-be. ``ahead``
    is its clock minus ours.
    """

    python: str
    uid: int
    ahead: timedelta
    took: timedelta


def greeted(name: str, found: Greeting) -> Point:
    """Of an instance that let us in."""
    if found.uid != 0:
        return Point("instances", name, Mark.NOTE, say.no_rights(found.python), say.RIGHTS_HINT)
    if not found.python:
        return Point("instances", name, Mark.NOTE, say.NO_PYTHON, say.PYTHON_HINT)
    if abs(found.ahead) > SKEW_MOST:
        return Point("instances", name, Mark.WRONG, say.skewed(found.ahead), say.SKEW_HINT)
    if abs(found.ahead) > SKEW_NOTE:
        return Point("instances", name, Mark.NOTE, say.skewed(found.ahead), say.SKEW_HINT)
    return Point("instances", name, Mark.GOOD, say.greeted(found.python, found.took))


class Listening(StrEnum):
    """Who is at an address that driftd means to listen at."""

    FREE = "free"
    OURS = "driftd"
    OTHER = "other"
    UNUSABLE = "unusable"


def metrics(listen: str, who: Listening, *, runs: bool, why: str = "") -> Point:
    """``runs`` tells whether a daemon holds the lease of the store."""
    if who is Listening.UNUSABLE:
        return Point("metrics", listen, Mark.WRONG, say.cannot_listen(why), say.LISTEN_HINT)
    if who is Listening.OTHER:
        return Point("metrics", listen, Mark.WRONG, say.LISTENS_OTHER, say.LISTEN_HINT)
    if who is Listening.OURS:
        return Point("metrics", listen, Mark.GOOD, say.LISTENS)
    if runs:
        return Point("metrics", listen, Mark.WRONG, say.LISTENS_NOT, say.ELSEWHERE_HINT)
    return Point("metrics", listen, Mark.GOOD, say.LISTEN_FREE)


def overdue(group: str, oldest: datetime | None, every: timedelta, never: int, now: datetime) -> Point:
    """Of a group that a daemon looks at: ``oldest`` is the look longest ago, ``never`` counts those never looked at."""
    if oldest is not None and now - oldest > max(OVERDUE * every, OVERDUE_LEAST):
        return Point("daemon", group, Mark.WRONG, say.overdue(now - oldest, every), say.OVERDUE_HINT)
    if never:
        return Point("daemon", group, Mark.NOTE, say.never(never), say.OVERDUE_HINT)
    return Point("daemon", group, Mark.GOOD, say.looked(now - oldest) if oldest else say.NOBODY)
