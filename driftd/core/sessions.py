"""Sessions: which of them are driftd's own, and what is said of those that are not.

A session is driftd's own when the sshd that serves it is an ancestor of the probe itself, or when it was accepted with
the key that driftd makes its visits with *and* began within such a visit. Everything else is somebody: a session
without a key, one with driftd's key at another time, and one with driftd's key at the right time but from another
address than driftd itself was seen to come from. An own session is recorded all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from driftd.core.drift import Change, Difference
from driftd.core.facts import Session
from driftd.core.wording import printable, tainted

# The instance's clock and ours may differ by so much. Its log also cuts times down to whole seconds.
SKEW = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Visit:
    """One of driftd's visits, by the daemon's clock: its key, when it was opened and closed (None: still open)."""

    key: str
    opened: datetime
    closed: datetime | None = None

    def holds(self, moment: datetime, now: datetime) -> bool:
        return self.opened - SKEW <= moment <= (self.closed or now) + SKEW


@dataclass(frozen=True, slots=True)
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
    ancestors = [session for session in sessions if session.ancestor]
    offsets = _offsets(ancestors, visits, now)
    others: list[Session] = []
    own: list[Session] = []
    baked = 0
    for session in sessions:
        if session.ancestor or _within(session, visits, offsets, ancestors, now):
            own.append(session)
        elif born is not None and not session.live and session.started_at < born - SKEW:
            baked += 1
        else:
            others.append(session)
    return Split(tuple(others), tuple(own), baked)


def _offsets(ancestors: Sequence[Session], visits: Sequence[Visit], now: datetime) -> tuple[timedelta, ...]:
    """How far the instance's clock may be ahead of ours: not at all, or as our own session of this moment shows."""
    newest = max(visits, key=lambda visit: visit.opened, default=None)
    measured = {timedelta(0)}
    if newest is not None:
        measured |= {one.started_at - newest.opened for one in ancestors if not newest.holds(one.started_at, now)}
    return tuple(sorted(measured))


def _within(
    session: Session,
    visits: Sequence[Visit],
    offsets: Sequence[timedelta],
    ancestors: Sequence[Session],
    now: datetime,
) -> bool:
    if not session.key:
        return False
    for offset in offsets:
        moment = session.started_at - offset
        for visit in visits:
            if visit.key != session.key or not visit.holds(moment, now):
                continue
            # In the visit that we are on, we know where we come from.
            ours = {one.source for one in ancestors if visit.holds(one.started_at - offset, now)}
            if not ours or session.source in ours:
                return True
    return False


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
