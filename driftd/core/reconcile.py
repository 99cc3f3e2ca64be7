"""Reconciling: what all sources of an instance say of logins, made into sessions with their evidence and confidence.

The probe brings sessions as logs, wtmp and sshd's processes tell of them, and clues of every other source. A clue that
fits a session is one more piece of its evidence; one that fits none is a session of its own. What then lacks what it
should have is a disagreement: somebody may have taken it away. How sure a session is, is in core/confidence.py.

Services' own sessions (``cron``, user managers, what root does with su) are told apart by the probe and by the door
"service"; they are nobody, and are only counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from driftd.core import confidence
from driftd.core.clues import Clue, Readings
from driftd.core.difference import Change, Difference
from driftd.core.facts import Session

# Times are cut to whole seconds by one and not by the other.
SLACK = timedelta(seconds=2)
# Within so much of each other two sources tell of the same login.
NEAR = timedelta(seconds=10)
# So far back the probe tells what services opened; a gap of the counter is only held against that.
SPAN = timedelta(hours=23)
# So long after its start a job of cron's may still start what it leaves running.
_JOB = timedelta(hours=1)
_LIVE = frozenset({"process", "sweep", "outside", "socket", "counter"})
# These do not tell when the login was.
_UNDATED = frozenset({"sweep", "counter"})
_BY_ROOT = frozenset({"journal", "audit", "wtmp", "utmp", "lastlog", "logind", "wtmpdb", "lastlog2"})
_LINES = frozenset({"log", "journal"})
# Numbers come first: what has one can be told from another of the same user at the same time.
_ORDER = ("sweep", "outside", "audit", "logind", "socket", "utmp", "wtmpdb", "lastlog2", "lastlog", "pam", "residue")
# What somebody does who is there: a way in only where nobody is known to have been.
_DEEDS = frozenset({"pam", "residue"})


@dataclass(frozen=True, slots=True)
class Reconciled:
    """``sessions`` in the probe's order, what only clues tell of behind them; ``services`` counts those of nobody."""

    sessions: tuple[Session, ...]
    services: int = 0


def reconcile(
    sessions: Sequence[Session], readings: Readings, own: Sequence[Session] = (), *, boot_id: str = ""
) -> Reconciled:
    """``own`` are driftd's visits that earlier looks recorded, with the kernel's numbers of them."""
    found = list(sessions)
    clues = [clue for clue in readings.clues if clue.door != "service"]
    services = len(readings.clues) - len(clues)
    for clue in sorted(clues, key=_order):
        at = _place(found, clue)
        if at is not None:
            found[at] = _joined(found[at], clue)
        elif clue.source == "sweep" and _of_a_job(clue, readings, found):
            services += 1
        elif clue.source not in _DEEDS or not _explained(found, clue):
            found.append(_session(clue))
    found = [replace(one, boot=boot_id) if one.number else one for one in found]
    if gap := _gap(found, readings, own, boot_id):
        found.append(gap)
    judged = tuple(replace(one, confidence=_confidence(_parts(one))) for one in found)
    return Reconciled(judged, services)


def _order(clue: Clue) -> tuple[int, datetime, int]:
    rank = _ORDER.index(clue.source) if clue.source in _ORDER else len(_ORDER)
    return rank, clue.started_at, clue.number


def _parts(session: Session) -> frozenset[str]:
    return frozenset(part for part in session.evidence.split("+") if part)


def _confidence(parts: frozenset[str]) -> str:
    if parts & _LIVE:
        return confidence.PROVED
    return confidence.SUPPORTED if parts & _BY_ROOT else confidence.UNVERIFIED


# --- joining ---------------------------------------------------------------------------------------------------------


def _place(found: Sequence[Session], clue: Clue) -> int | None:
    """Which session ``clue`` is evidence of: the one with its number, else the nearest that it fits."""
    if clue.number:
        for at, session in enumerate(found):
            if session.number == clue.number:
                return at
    fits = _FITS.get(clue.source)
    if fits is None:
        return None
    fitting = [at for at, session in enumerate(found) if fits(session, clue)]
    return min(fitting, key=lambda at: abs(found[at].started_at - clue.started_at), default=None)


def _within(session: Session, moment: datetime) -> bool:
    """Whether the session was there at ``moment``; one whose end nobody tells of may have been."""
    return session.started_at - SLACK <= moment and (session.ended_at is None or moment <= session.ended_at + SLACK)


def _left_running(session: Session, clue: Clue) -> bool:
    """A program with a number that no live login has: it was started from a session of its user that is over."""
    unknown = not session.number and not session.live
    return unknown and session.user == clue.user and _within(session, clue.started_at)


def _same_peer(session: Session, clue: Clue) -> bool:
    return bool(clue.port) and (session.source, session.port) == (clue.peer, clue.port)


def _same_login(session: Session, clue: Clue) -> bool:
    if session.user != clue.user or (session.number and clue.number):
        return False
    return session.pid == clue.pid > 0 or abs(session.started_at - clue.started_at) <= NEAR


def _same_terminal(session: Session, clue: Clue) -> bool:
    """The same login, or a second terminal of the same connection."""
    if session.user != clue.user or not _within(session, clue.started_at):
        return False
    if session.kind not in {"", "interactive"}:
        return False  # it had none: another's terminal, just before or after one of driftd's own visits
    return abs(session.started_at - clue.started_at) <= NEAR or clue.peer == session.source or session.tty == clue.tty


_FITS: dict[str, Callable[[Session, Clue], bool]] = {
    "sweep": _left_running,
    "socket": _same_peer,
    "logind": _same_login,
    "audit": _same_login,
    "utmp": _same_terminal,
    "wtmpdb": _same_terminal,
    "lastlog": _same_terminal,
    "lastlog2": _same_terminal,
}


def _explained(found: Sequence[Session], clue: Clue) -> bool:
    """Whether somebody who was there became another, or left something: that is what the session did, and no way in."""
    whoever = clue.source == "residue"  # may have become its owner
    return any(
        (one.user == clue.user or (whoever and not one.ancestor)) and _within(one, clue.started_at) for one in found
    )


def _of_a_job(clue: Clue, readings: Readings, found: Sequence[Session]) -> bool:
    """Whether a program without a terminal, left running from no session that is known, may be one of ``cron``'s.

    It may where a job began in the hour before, and where nothing tells what jobs there were: without a log, and of
    more than a day ago.
    """
    if clue.tty or clue.door != "ssh":
        return False
    now = next((one.started_at for one in found if one.ancestor), clue.started_at)
    if not readings.since or clue.started_at < now - SPAN:
        return True
    return any(moment - SLACK <= clue.started_at <= moment + _JOB for moment in readings.opened)


def _joined(session: Session, clue: Clue) -> Session:
    ended = session.ended_at or (None if session.live else clue.ended_at)
    return replace(
        session,
        evidence="+".join(sorted({*_parts(session), clue.source})),
        number=session.number or clue.number,
        tty=session.tty or clue.tty,
        ended_at=ended,
        kind=session.kind or ("interactive" if clue.source in {"utmp", "lastlog", "lastlog2", "wtmpdb"} else ""),
    )


def _session(clue: Clue) -> Session:
    return Session(
        door=clue.door,
        user=clue.user,
        source=clue.peer,
        started_at=clue.started_at,
        port=clue.port,
        ended_at=clue.ended_at,
        tty=clue.tty,
        pid=clue.pid,
        live=clue.live,
        evidence=clue.source,
        kind="interactive" if clue.tty else "",
        number=clue.number,
    )


# --- what is missing -------------------------------------------------------------------------------------------------


def unwritten(others: Sequence[Session], own: Sequence[Session], readings: Readings) -> tuple[Difference, ...]:
    """Sessions of others by SSH without a line, in logs that cover their time and have driftd's own later visit."""
    visit = next((one for one in own if one.ancestor and _parts(one) & _LINES), None)
    if visit is None or not readings.since:
        return ()
    since = min(readings.since.values())
    silent = [
        one
        for one in others
        if one.door == "ssh" and not _parts(one) & (_LINES | _UNDATED)
        if since + SLACK <= one.started_at <= visit.started_at
    ]
    ways = {(one.door, one.user, one.source): one for one in reversed(silent)}
    return tuple(_difference(ways[way]) for way in sorted(ways))


def _difference(session: Session) -> Difference:
    fields = {
        "door": session.door,
        "user": session.user,
        "source": session.source,
        "started_at": session.started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "evidence": session.evidence,
    }
    subject = f"{session.door}:{session.user}@{session.source}".encode("utf-8", "surrogateescape")
    expected = {name: value for name, value in fields.items() if value}
    return Difference("session", subject, Change.REMOVED, expected, {})


def _gap(found: Sequence[Session], readings: Readings, own: Sequence[Session], boot_id: str) -> Session | None:
    """Somebody whom the kernel counted between two of driftd's visits, and of whom nothing tells.

    Nothing is said where the count is not this instance's own, in another boot, when the clock stood still or was set
    back between the two, nor of more than a day: then it is not known what services had of the numbers.
    """
    this = next((one for one in found if one.ancestor and one.number), None)
    earlier = [one for one in own if one.number and one.boot == boot_id and this and one.number < this.number]
    last = max(earlier, key=lambda one: one.number, default=None)
    if this is None or last is None or not readings.counted or not readings.since:
        return None
    begin, end = last.started_at, this.started_at
    if not timedelta(0) < end - begin <= SPAN:
        return None
    # All that can have had one of the numbers, near the borders too: rather one too many than an alarm for nothing.
    both = {_login(this), _login(last)}
    told = sum(begin - SLACK <= one.started_at <= end + SLACK for one in found if _login(one) not in both)
    told += sum(begin - SLACK <= moment <= end + SLACK for moment in readings.opened)
    if this.number - last.number - 1 <= told:
        return None
    return Session(
        door="ssh",
        user="",
        source="",
        started_at=begin,
        ended_at=end,
        number=last.number + 1,
        boot=boot_id,
        evidence="counter",
    )


def _login(session: Session) -> tuple[int, int, datetime]:
    return session.port, session.pid, session.started_at
