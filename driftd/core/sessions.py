"""Sessions: which of them are driftd's own, and what is said of those that are not.

A session is driftd's own when the sshd that serves it is an ancestor of the probe itself, or when it was accepted with
the key that driftd makes its visits with *and* began within such a visit. A visit is one connection, so it explains
one session and no second one. Everything else is somebody: a session without a key, one with driftd's key at another
time, and one too many with driftd's key at the right time. An own session is recorded all the same.
"""

from __future__ import annotations

import re
from driftd.core import confidence
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from driftd.core.difference import Change, Difference
from driftd.core.facts import Session
from driftd.core.wording import printable, tainted

# The instance's clock and ours may differ by so much. Its log also cuts times down to whole seconds.
SKEW = timedelta(seconds=5)
# Where logrotate moves a log when told to use dates, or to compress at once; the probe reads the log and its ".1".
_MOVED = re.compile(rb"/var/log/(?:auth\.log|secure)(?:-[0-9]{8}.*|\.1\..+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Visit:
    """One of driftd's visits, by the daemon's clock: its key, when it was opened and closed (None: still open).

    ``made`` is set for a session that an earlier look recorded as driftd's own: it explains that one and no other.
    """

    key: str
    opened: datetime
    closed: datetime | None = None
    made: Session | None = None

    def holds(self, moment: datetime, now: datetime) -> bool:
        return self.opened - SKEW <= moment <= (self.closed or now) + SKEW


@dataclass(frozen=True, slots=True)
        "kinds": "+".join(sorted({session.kind for session in ordered if session.kind})),
        "confidence": confidence.best(session.confidence for session in ordered),
class Split:
    """Sessions of others, driftd's own ones, and how many belong to the image because they are older than the boot."""

    others: tuple[Session, ...]
    own: tuple[Session, ...]
    baked: int = 0


def split(
    sessions: Sequence[Session],
    visits: Sequence[Visit],
    now: datetime,
    *,
    born: datetime | None = None,
) -> Split:
    """Tell driftd's own sessions from everybody else's.

    ``visits`` are those that the store has of this instance, and the one that this look itself is. ``born`` is when
    the instance was launched or booted; what is older was baked with the image's own log.
    """
    free = [visit for visit in visits if visit.key and visit.made is None]
    known = {_identity(visit.made) for visit in visits if visit.made is not None}
    offset = timedelta(0)
    ancestor = next((session for session in sessions if session.ancestor), None)
    if ancestor is not None and free:
        # We are on the newest visit, and it is used up by the session that we came by.
        newest = max(free, key=lambda visit: visit.opened)
        free.remove(newest)
        if not newest.holds(ancestor.started_at, now):
            offset = ancestor.started_at - newest.opened
    # What was driftd's own stays so, however the instance's clock was set since; it uses its visit up all the same.
    recorded = [session for session in sessions if not session.ancestor and _identity(session) in known]
    _, free = _match(recorded, free, timedelta(0), now)
    strangers = [session for session in sessions if not session.ancestor and _identity(session) not in known]
    for ahead in sorted({timedelta(0), offset}, key=abs):
        strangers, free = _match(strangers, free, ahead, now)
    others: list[Session] = []
    baked = 0
    for session in strangers:
        if born is not None and not session.live and session.started_at < born - SKEW:
            baked += 1
        else:
            others.append(session)
    left = {id(session) for session in strangers}
    own = tuple(session for session in sessions if id(session) not in left)
    return Split(tuple(others), own, baked)


def _identity(session: Session) -> tuple[str, str, str, int, str, datetime]:
    return session.door, session.user, session.source, session.port, session.key, session.started_at


def _match(
    sessions: Sequence[Session], visits: Sequence[Visit], ahead: timedelta, now: datetime
) -> tuple[list[Session], list[Visit]]:
    """Give each visit at most one session that it explains; what is left of both.

    ``ahead`` is how far the instance's clock is ahead of ours. Sessions in the order of their time, each to the visit
    that ends first: no other way explains more of them.
    """
    free = sorted(visits, key=lambda visit: visit.closed or now)
    explained: set[int] = set()
    for at, session in sorted(enumerate(sessions), key=lambda one: one[1].started_at):
        moment = session.started_at - ahead
        visit = next((one for one in free if one.key == session.key and one.holds(moment, now)), None)
        if visit is not None:
            free.remove(visit)
            explained.add(at)
    return [session for at, session in enumerate(sessions) if at not in explained], free


def differences(others: Sequence[Session]) -> tuple[Difference, ...]:
    """One difference for each way in that somebody took: door, user, source and key; repeated visits are counted."""
    ways: dict[tuple[str, str, str, str], list[Session]] = {}
    for session in others:
        ways.setdefault((session.door, session.user, session.source, session.key), []).append(session)
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
        "started_at": _moment(first.started_at),
        "last_at": _moment(last.started_at),
        "times": str(len(ordered)),
        "live": "yes" if any(session.live for session in ordered) else "no",
        "evidence": "+".join(sorted({part for session in ordered for part in session.evidence.split("+") if part})),
    }
    subject = f"{first.door}:{first.user}@{first.source}".encode("utf-8", "surrogateescape")
    return Difference("session", subject, Change.ADDED, {}, {name: value for name, value in actual.items() if value})


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
    fields = {"door": newest.door, "user": newest.user, "source": newest.source, "key": newest.key}
    subject = f"{newest.door}:{newest.user}@{newest.source}".encode("utf-8", "surrogateescape")
    return (Difference("session", subject, Change.REMOVED, fields | {"started_at": _moment(newest.started_at)}, {}),)


def _logged(session: Session) -> bool:
    return bool({"log", "journal"} & set(session.evidence.split("+")))


def _line(session: Session) -> tuple[str, str, str, int, str]:
    return session.door, session.user, session.source, session.port, session.key


def taint_of(others: Sequence[Session]) -> str:
    """Why the instance is not trusted any more, in one sentence; "" when nobody was there."""
    if not others:
        return ""
    first = min(others, key=lambda session: session.started_at)
    return tainted(
        printable(first.user), printable(first.source), first.door, _moment(first.started_at), len(others) - 1
    )


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
