"""Sessions: what is said of those that are not driftd's own (core/whose.py), and of lines that are gone from a log.

A session of somebody else taints its instance. An own one is recorded all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from driftd.core import confidence
from driftd.core.clues import Readings
from driftd.core.difference import Change, Difference
from driftd.core.facts import Session
from driftd.core.marks import Past
from driftd.core.whose import SKEW, Visit
from driftd.core.wording import printable, tainted

# Where logrotate moves a log when told to use dates, or to compress at once; the probe reads the log and its ".1".
_MOVED = re.compile(rb"/var/log/(?:auth\.log|secure)(?:-[0-9]{8}.*|\.1\..+)", re.DOTALL)


def differences(others: Sequence[Session]) -> tuple[Difference, ...]:
    """One difference for each way in that somebody took, and what for; repeated visits are counted.

    A way is door, user, source, key and kind.
    """
    ways: dict[tuple[str, ...], list[Session]] = {}
    for session in others:
        way = session.door, session.user, session.source, session.key, session.kind
        ways.setdefault(way, []).append(session)
    return tuple(_difference(ways[way]) for way in sorted(ways))


def _difference(sessions: Sequence[Session]) -> Difference:
    ordered = sorted(sessions, key=lambda session: session.started_at)
    first, last = ordered[0], ordered[-1]
    actual = {
        "door": first.door,
        "user": first.user,
        "source": first.source,
        "key": first.key,
        "key_id": last.key_id,
        "started_at": moment(first.started_at),
        "last_at": moment(last.started_at),
        "times": str(len(ordered)),
        "live": "yes" if any(session.live for session in ordered) else "no",
        "evidence": "+".join(sorted({part for session in ordered for part in session.evidence.split("+") if part})),
        "kind": first.kind,
        "confidence": confidence.best(session.confidence for session in ordered),
    }
    said = {name: value for name, value in actual.items() if value}
    return Difference("session", subject(first), Change.ADDED, {}, said)


def lost(
    sessions: Sequence[Session],
    visits: Sequence[Visit],
    paths: Iterable[bytes],
    now: datetime,
    *,
    booted_at: datetime | None,
) -> tuple[Difference, ...]:
    """The newest visit that an earlier look read in the log and that is in it no more: somebody took lines away.

    Nothing is said of one that is older than a day or than the boot, nor where ``paths`` (all that exist) show that
    the log is moved to a file that no look reads. The time of a line is not asked for, as a zone may be set anew.
    """
    read = [visit.made for visit in visits if visit.made is not None and visit.made.port and _logged(visit.made)]
    newest = max(read, key=lambda session: session.started_at, default=None)
    if newest is None or booted_at is None or newest.started_at < max(booted_at + SKEW, now - timedelta(days=1)):
        return ()
    if _line(newest) in map(_line, sessions) or any(_MOVED.fullmatch(path) for path in paths):
        return ()
    return (unwritten(newest, key=newest.key),)


def unwritten(session: Session, **more: str) -> Difference:
    """A session whose line is not in a log that should have it; ``more`` is what else is said of it."""
    fields = {"door": session.door, "user": session.user, "source": session.source, **more}
    return Difference(
        "session", subject(session), Change.REMOVED, fields | {"started_at": moment(session.started_at)}, {}
    )


def subject(session: Session) -> bytes:
    """What a finding about a session is about."""
    return f"{session.door}:{session.user}@{session.source}".encode("utf-8", "surrogateescape")


def untold(
    past: Past, readings: Readings, boot_id: str, booted_at: datetime | None
) -> tuple[datetime, datetime] | None:
    """From when to when no log tells who was there: between the last look and a boot that no log outlasts."""
    if not past.boot_id or past.boot_id == boot_id or past.looked_at is None or booted_at is None:
        return None
    if past.looked_at >= booted_at or any(first < booted_at - SKEW for first in readings.since.values()):
        return None
    return past.looked_at, booted_at


def _logged(session: Session) -> bool:
    return bool({"log", "journal"} & set(session.evidence.split("+")))


def _line(session: Session) -> tuple[str, str, str, int, str]:
    return session.door, session.user, session.source, session.port, session.key


def taint_of(others: Sequence[Session]) -> str:
    """Why the instance is not trusted any more, in one sentence; "" when nobody was there."""
    if not others:
        return ""
    first = min(others, key=lambda session: session.started_at)
    unverified = first.confidence == confidence.UNVERIFIED
    user, source = printable(first.user), printable(first.source)
    return tainted(user, source, first.door, moment(first.started_at), len(others) - 1, unverified=unverified)


def moment(at: datetime) -> str:
    """A time as findings and marks have it, in whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
