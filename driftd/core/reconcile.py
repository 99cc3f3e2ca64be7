"""Reconciling: what all sources of an instance say of logins, made into sessions with their evidence and confidence.

The probe brings sessions as logs, wtmp and sshd's processes tell of them, and clues of every other source. A clue that
fits a session is one more piece of its evidence; one that fits none is a session of its own. What then lacks what it
should have is a disagreement: somebody may have taken it away. How sure a session is, is in core/confidence.py.

Services' own sessions (``cron``, user managers, what root does with su) are told apart by the probe and by the door
"service"; they are nobody, and are only counted.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from driftd.core import confidence
from driftd.core import sessions as sessions_of
from driftd.core.answers import CLOUD, SERVICE
from driftd.core.clues import Clue, Readings
from driftd.core.difference import Difference
from driftd.core.facts import Session

# Times are cut to whole seconds by one and not by the other.
SLACK = timedelta(seconds=2)
# Within so much of each other two sources tell of the same login.
NEAR = timedelta(seconds=10)
# So far back the probe tells what services opened; a gap of the counter is only held against that.
SPAN = timedelta(hours=23)
# So long after its start a job of cron's may still start what it leaves running.
_JOB = timedelta(hours=1)
# So many sessions that began before a moment, and after it, are tried for what happened then.
_BEFORE, _AFTER = 100, 20
# What a look saw live, the kernel counted, or the provider let in itself.
_LIVE = frozenset({"process", "sweep", "outside", "socket", "counter", "provider"})
# These do not tell when the login was.
_UNDATED = frozenset({"sweep", "counter"})
_BY_ROOT = frozenset({"journal", "audit", "wtmp", "utmp", "lastlog", "logind", "wtmpdb", "lastlog2"})
_LINES = frozenset({"log", "journal"})
# A line that says it is sshd's, and that another program or a user wrote.
_CLAIM = "claim"
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
    known = _Known(sessions)
    clues = [clue for clue in readings.clues if clue.door != SERVICE]
    services = len(readings.clues) - len(clues)
    for clue in sorted(clues, key=_order):
        at = _place(known, clue)
        if at is not None:
            known.put(at, _joined(known.found[at], clue))
        elif clue.source == "sweep" and _of_a_job(clue, readings, known.now):
            services += 1
        elif clue.source not in _DEEDS or not _explained(known, clue):
            known.add(_session(clue))
    found = [replace(one, boot=boot_id) if one.number else one for one in known.found]
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


class _Known:
    """The sessions so far, and where to look for one: by its number, by its peer, and around a moment.

    Around a moment only the nearest are tried. Of an instance that tells of ten thousand logins at once, what would
    have fitted one further away stays a session of its own: a hostile one costs no time, and hides nobody by that.
    """

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.found = list(sessions)
        ours = next((one for one in sessions if one.ancestor), None)
        self.now = ours.started_at if ours else None
        self._key = ours.key if ours else ""
        self._numbers: dict[int, int] = {}
        self._peers: dict[tuple[str, int], int] = {}
        self._starts: dict[str | None, list[tuple[datetime, int]]] = {}
        for at in sorted(range(len(self.found)), key=lambda at: self.found[at].started_at):
            self._enter(at)

    def add(self, session: Session) -> None:
        self.found.append(session)
        self._enter(len(self.found) - 1)

    def put(self, at: int, session: Session) -> None:
        """In place of the one that is there, of the same user and start."""
        self.found[at] = session
        if session.number:
            self._numbers.setdefault(session.number, at)

    def numbered(self, number: int) -> int | None:
        return self._numbers.get(number) if number else None

    def with_peer(self, peer: str, port: int) -> list[int]:
        return [self._peers[peer, port]] if port and (peer, port) in self._peers else []

    def ours(self, at: int) -> bool:
        """Whether it may be one of driftd's visits, which leave nothing running."""
        return bool(self._key) and self.found[at].key == self._key

    def around(self, moment: datetime, user: str | None) -> list[int]:
        """The nearest that began before and after ``moment``, of one user or (None) of anybody."""
        starts = self._starts.get(user, [])
        middle = bisect_right(starts, (moment, len(self.found)))
        return [at for _, at in starts[max(0, middle - _BEFORE) : middle + _AFTER]]

    def _enter(self, at: int) -> None:
        session = self.found[at]
        if session.number:
            self._numbers.setdefault(session.number, at)
        self._peers.setdefault((session.source, session.port), at)
        for user in (session.user, None):
            insort(self._starts.setdefault(user, []), (session.started_at, at))


def _place(known: _Known, clue: Clue) -> int | None:
    """Which session ``clue`` is evidence of: the one with its number, else the nearest that it fits."""
    at = known.numbered(clue.number)
    if at is not None:
        return at
    if clue.source == "socket":
        return next(iter(known.with_peer(clue.peer, clue.port)), None)
    fits = _FITS.get(clue.source)
    if fits is None:
        return None
    fitting = [at for at in known.around(clue.started_at, clue.user) if fits(known.found[at], clue)]
    if clue.source == "sweep":
        fitting = [at for at in fitting if not known.ours(at)]
    return min(fitting, key=lambda at: abs(known.found[at].started_at - clue.started_at), default=None)


def _within(session: Session, moment: datetime) -> bool:
    """Whether the session was there at ``moment``; one whose end nobody tells of may have been."""
    return session.started_at - SLACK <= moment and (session.ended_at is None or moment <= session.ended_at + SLACK)


def _begun_in(session: Session, moment: datetime) -> bool:
    """Whether what began at ``moment`` can have begun in the session: not once it was over."""
    return _within(session, moment) and (session.ended_at is None or moment <= session.ended_at)


def _left_running(session: Session, clue: Clue) -> bool:
    """A program with a number that no live login has: it was started from a session of its user that is over.

    Or it is the very process that logged somebody in on a console, and that waited there for him before.
    """
    if clue.tty and (session.pid, session.tty, session.user) == (clue.pid, clue.tty, clue.user):
        return not session.number and session.ended_at is None
    unknown = not session.number and not session.live
    return unknown and session.user == clue.user and _begun_in(session, clue.started_at)


def _same_login(session: Session, clue: Clue) -> bool:
    if session.user != clue.user or (session.number and clue.number):
        return False
    return session.pid == clue.pid > 0 or abs(session.started_at - clue.started_at) <= NEAR


def _same_terminal(session: Session, clue: Clue) -> bool:
    """The same login, or a second terminal of the same connection."""
    if session.user != clue.user or not _begun_in(session, clue.started_at):
        return False
    if session.kind not in {"", "interactive"} or _parts(session) == {"sweep"}:
        return False  # it had none: another's terminal, just before or after one of driftd's own visits
    return abs(session.started_at - clue.started_at) <= NEAR or clue.peer == session.source or session.tty == clue.tty


_FITS: dict[str, Callable[[Session, Clue], bool]] = {
    "sweep": _left_running,
    "logind": _same_login,
    "audit": _same_login,
    "utmp": _same_terminal,
    "wtmpdb": _same_terminal,
    "lastlog": _same_terminal,
    "lastlog2": _same_terminal,
}


def _explained(known: _Known, clue: Clue) -> bool:
    """Whether somebody who was there became another, or left something: that is what the session did, and no way in."""
    whoever = clue.source == "residue"  # may have become its owner
    found = (known.found[at] for at in known.around(clue.started_at, None if whoever else clue.user))
    return any(
        _within(one, clue.started_at) and not (whoever and one.ancestor and one.user != clue.user) for one in found
    )


def _of_a_job(clue: Clue, readings: Readings, now: datetime | None) -> bool:
    """Whether a program without a terminal, left running from no session that is known, may be one of ``cron``'s.

    It may where a job began in the hour before, and where nothing tells what jobs there were: without a log, and of
    more than a day ago. Not where logind knows from where the login came whose number it has.
    """
    if clue.tty or clue.peer or clue.door != "ssh":
        return False
    if not readings.since or clue.started_at < (now or clue.started_at) - SPAN:
        return True
    before = bisect_right(readings.opened, clue.started_at + SLACK)
    return bool(before) and clue.started_at <= readings.opened[before - 1] + _JOB


def _joined(session: Session, clue: Clue) -> Session:
    live = session.live or (session.ended_at is None and _there(clue))
    ended = session.ended_at or (None if live else clue.ended_at)
    return replace(
        session,
        live=live,
        evidence="+".join(sorted({*_parts(session), clue.source})),
        number=session.number or clue.number,
        tty=session.tty or clue.tty,
        ended_at=ended,
        kind=session.kind or ("interactive" if clue.source in {"utmp", "lastlog", "lastlog2", "wtmpdb"} else ""),
    )


def _there(clue: Clue) -> bool:
    """Whether somebody is there now by it: what runs without a terminal may be left alone."""
    return clue.live and (clue.source != "sweep" or bool(clue.tty))


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
        live=_there(clue),
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
    return tuple(sessions_of.unwritten(ways[way], evidence=ways[way].evidence) for way in sorted(ways))


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
    logins = [one for one in found if _login(one) not in both and not _uncounted(one)]
    told = sum(begin - SLACK <= one.started_at <= end + SLACK for one in logins)
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


def _uncounted(session: Session) -> bool:
    """Whether the kernel counted nobody for it: who came by the provider, or a line alone that is no proof."""
    parts = _parts(session)
    return (session.door == CLOUD and not session.number) or (_CLAIM in parts and parts <= {_CLAIM, "log"})


def _login(session: Session) -> tuple[int, int, datetime]:
    return session.port, session.pid, session.started_at
