"""Whose a session is: driftd's own is told from everybody else's by all that can be known of a visit, together.

Of each visit driftd keeps what its own end of the connection proves (core/visits.py). A session is that visit's when
user, key (or the certificate's id, which is the visit's scan id), the connection's own port and address, the moment
that it began, how long it lasted and what it was for all agree; a visit explains one session and no second one. What
agrees in part is a person's. So a stolen key, a forged name or driftd's own address are worth nothing by themselves.

Where addresses are translated between driftd and the instance (the very session that the probe came by shows that), a
port proves nothing: then a certificate's id must agree, or a key that was made for the visit, or, with a plain key, all
the rest. Visits from before any of
this was kept are known by key and time. The session whose sshd is an ancestor of the probe is always this look's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

from driftd.core.facts import Session
from driftd.core.visits import Parted, Trace, Way

# The instance's clock and ours may differ by so much. Its log also cuts times down to whole seconds.
SKEW = timedelta(seconds=5)
# So long may sshd and its PAM modules take to close a session whose connection is over.
LINGER = timedelta(minutes=1)
# Within so much of a login, wtmp tells of the same one.
_NEAR = timedelta(seconds=10)
_Identity = tuple[str, str, str, int, str, datetime]
# What a visit can have been for; "" where nothing tells.
_KINDS = frozenset({"", "command"})
_NEVER = timedelta(0)
# So many of our recorded sessions show how the instance's clock was set, and so many settings are remembered.
_LOOKED_BACK, _OFFSETS = 100, 5


@dataclass(frozen=True, slots=True)
class Visit:
    """One of driftd's visits, by the daemon's clock: its key, when it was opened and closed (None: still open).

    ``made`` is set for a session that an earlier look recorded as driftd's own: it explains that one and no other.
    ``trace`` is what driftd's end proves; None for a visit of which none was kept.
    """

    key: str
    opened: datetime
    closed: datetime | None = None
    made: Session | None = None
    trace: Trace | None = None

    @property
    def way(self) -> Way | None:
        """The connection that was made, if any."""
        return self.trace.way if self.trace else None

    @property
    def begun(self) -> datetime:
        """The earliest moment at which its session can have begun."""
        return (self.trace.came_at if self.trace else None) or self.opened

    def explains(self) -> bool:
        """Whether there can be a session of it: not where nothing connected, or where nobody was let in.

        Nor where commands were sent: they are known by their names (``strangers``).
        """
        if self.made is not None or (self.way is not None and self.way.commands):
            return False
        if self.trace is None:
            return bool(self.key)
        return self.trace.way is not None and self.trace.parted is not Parted.REFUSED

    def holds(self, moment: datetime, now: datetime) -> bool:
        """Whether its session can have begun at ``moment``."""
        trace = self.trace
        known = (trace.entered_at or trace.parted_at) if trace else None
        return self.begun - SKEW <= moment <= (known or self.closed or now) + SKEW

    def lasts(self, session: Session, ahead: timedelta, now: datetime) -> bool:
        """Whether ``session`` is as long as this visit was; one whose end driftd did not see can be of any length."""
        if self.trace is None or self.trace.parted is not Parted.ORDERLY or self.trace.parted_at is None:
            return True
        over = self.trace.parted_at
        if session.live:
            return now <= over + LINGER
        if session.ended_at is None:
            return True
        return over - SKEW <= session.ended_at - ahead <= over + LINGER


@dataclass(frozen=True, slots=True)
class Split:
    """Sessions of others, driftd's own ones, and how many belong to the image because they are older than the boot.

    ``translated`` is where the instance sees driftd come from, where that is another port than driftd's own; else "".
    """

    others: tuple[Session, ...]
    own: tuple[Session, ...]
    baked: int = 0
    translated: str = ""


def split(
    sessions: Sequence[Session],
    visits: Sequence[Visit],
    now: datetime,
    *,
    born: datetime | None = None,
    this: Visit | None = None,
) -> Split:
    """Tell driftd's own sessions from everybody else's.

    ``visits`` are those that the store has of this instance, and the one that this look itself is, which ``this`` says
    (else it is found, by its connection or as the newest). ``born`` is when the instance was launched or booted; what
    is older was baked with the image's own log.
    """
    free = [visit for visit in visits if visit.explains()]
    known = {identity(visit.made): visit.made for visit in visits if visit.made is not None}
    ancestor = next((session for session in sessions if session.ancestor), None)
    this = this or _this(ancestor, [visit for visit in visits if visit.made is None and (visit.trace or visit.key)])
    offset = _NEVER
    if ancestor is not None and this is not None:
        # We are on it, and it is used up by the session that we came by.
        free = [visit for visit in free if visit is not this]
        if not this.holds(ancestor.started_at, now):
            offset = ancestor.started_at - this.begun
    judge = _Judge(now, _seen_from(ancestor, this, sessions, free), _sources(ancestor, known.values()))
    # What was driftd's own stays so, however the instance's clock was set since; it uses its visit up all the same.
    recorded = [session for session in sessions if not session.ancestor and identity(session) in known]
    _, free = _match(recorded, free, _NEVER, judge.used_up, now)
    strangers = [session for session in sessions if not session.ancestor and identity(session) not in known]
    for ahead in (_NEVER, offset, *_earlier(visits)):
        strangers, free = _match(strangers, free, ahead, judge.proven, now)
    for ahead in sorted({_NEVER, offset}, key=abs):
        strangers, free = _match(strangers, free, ahead, judge.likely, now)
    left = {id(session) for session in strangers}
    own = tuple(session for session in sessions if id(session) not in left)
    strangers += _terminals(own, strangers, {at: made.tty for at, made in known.items()}, now)
    others = tuple(one for one in strangers if born is None or one.live or one.started_at >= born - SKEW)
    return Split(others, own, len(strangers) - len(others), judge.translated)


def strangers(admitted: Sequence[Session], visits: Iterable[Visit]) -> Sequence[Session]:
    """Those whom the provider let in and who are not driftd: no command of these visits has their name, and no key that
    was made for one of them was let in.

    The name is the provider's own and nobody else's to give, and each is of one command; so nothing else is asked. Nor
    of a key: its private half was in driftd's memory alone, so whoever had it let in let in driftd.
    """
    ways = [visit.way for visit in visits if visit.way is not None]
    sent = {name for way in ways for name in way.commands}
    pushed = {(way.user, way.key) for way in ways if way.pushed and way.key}
    return [one for one in admitted if one.tty not in sent and (one.user, one.key) not in pushed]


def identity(session: Session) -> _Identity:
    """What makes it the same session at every look."""
    return session.door, session.user, session.source, session.port, session.key, session.started_at


def _this(ancestor: Session | None, visits: Sequence[Visit]) -> Visit | None:
    """The visit that this look is: the one of whose connection the probe came, else the newest."""
    same = (visit for visit in visits if ancestor is not None and visit.way and _peer(visit.way, ancestor))
    return next(same, None) or max(visits, key=lambda visit: visit.opened, default=None)


def _earlier(visits: Sequence[Visit]) -> Sequence[timedelta]:
    """How far the instance's clock was ahead, as our sessions show that earlier looks recorded: it may have been set.

    The newest few of those that differ; a visit that broke off between two of them is known by them.
    """
    began: dict[tuple[str, int], datetime] = {}
    for visit in visits:
        if visit.way is not None:
            began[_plain(visit.way.source), visit.way.port] = visit.begun
    found: list[timedelta] = []
    for visit in sorted((one for one in visits if one.made), key=lambda one: one.opened, reverse=True)[:_LOOKED_BACK]:
        made = visit.made
        begun = began.get((_plain(made.source), made.port)) if made else None
        ahead = made.started_at - begun if made and begun else _NEVER
        if abs(ahead) > SKEW and all(abs(ahead - one) > SKEW for one in found):
            found.append(ahead)
    return found[:_OFFSETS]


def _seen_from(
    ancestor: Session | None, this: Visit | None, sessions: Sequence[Session], free: Sequence[Visit]
) -> str | None:
    """Where the instance sees us come from if that is not where we are; "" when it is; None when nothing shows it."""
    ways = [visit.way for visit in (this, *free) if visit is not None and visit.way is not None]
    if this is None or this.way is None or this.way.commands:
        return ""
    if ancestor is not None and ancestor.port:
        return "" if _peer(this.way, ancestor) else f"{ancestor.source} port {ancestor.port}"
    # Our own sshd is hidden from the probe, or its sockets are.
    return "" if any(_peer(way, session) for way in ways for session in sessions) else None


def _sources(ancestor: Session | None, made: Iterable[Session | None]) -> frozenset[str]:
    """The addresses that the instance has seen our visits come from; none, where nothing is known of that."""
    seen = [ancestor, *made]
    return frozenset(_plain(session.source) for session in seen if session is not None and session.source)


def _plain(address: str) -> str:
    """One way to write an address: without a zone, and IPv4 as such where a socket for IPv6 took it."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def _peer(way: Way, session: Session) -> bool:
    return bool(way.port) and way.port == session.port and _plain(way.source) == _plain(session.source)


def _unlogged(session: Session) -> bool:
    """Seen as a process alone, which does not show what it logged in with."""
    return not (session.key or session.key_id or {"log", "journal"} & set(session.evidence.split("+")))


@dataclass(frozen=True, slots=True)
class _Judge:
    """Whether a session is a visit's. ``seen_from``: see ``_seen_from``; ``sources``: see ``_sources``."""

    now: datetime
    seen_from: str | None
    sources: frozenset[str]

    @property
    def translated(self) -> str:
        return self.seen_from or ""

    def proven(self, visit: Visit, session: Session, ahead: timedelta) -> bool:
        """The connection's own port, or the id that only this visit's certificate has, and all the rest."""
        way = visit.way
        if visit.trace is None or way is None:
            return False
        peer = _peer(way, session)
        if _unlogged(session):
            named = peer
        elif way.certified:
            told = session.key_id == visit.trace.key_id and session.key in {"", way.key}
            named = told and (peer or self._elsewhere(session))
        elif way.pushed:
            named = session.key == way.key and (peer or self._elsewhere(session))
        else:
            named = peer and session.key == way.key
        return named and self._like(visit, way, session, ahead, named=True)

    def likely(self, visit: Visit, session: Session, ahead: timedelta) -> bool:
        """What is left where a port proves nothing, or where none was kept."""
        way = visit.way
        if visit.trace is None:
            return session.key == visit.key
        if way is None or way.certified or way.pushed or not self._elsewhere(session):
            return False
        return session.key == way.key and self._like(visit, way, session, ahead, named=False)

    def used_up(self, visit: Visit, session: Session, _ahead: timedelta) -> bool:
        """Whether it may have been this visit that made a session which is known to be ours."""
        way = visit.way
        if way is None:
            return session.key == visit.key
        if way.certified and visit.trace is not None:
            return session.key_id == visit.trace.key_id
        return session.key in {"", way.key} and (_peer(way, session) or self.seen_from != "")

    def _elsewhere(self, session: Session) -> bool:
        """Addresses are translated on the way, and it came from where ours come from."""
        return self.seen_from != "" and (not self.sources or _plain(session.source) in self.sources)

    def _like(self, visit: Visit, way: Way, session: Session, ahead: timedelta, *, named: bool) -> bool:
        """User, length and what it was for are a visit's; ``named`` where port or certificate say which."""
        if session.door != "ssh" or session.user != way.user or not visit.lasts(session, ahead, self.now):
            return False
        # A record of a terminal may have been joined to the wrong one of two logins: see ``_terminals``.
        joined = named and "wtmp" in session.evidence.split("+")
        # sshd says nothing of a connection that broke before a command was asked for, as of one that only forwards.
        idle = session.kind == "forward" and visit.trace is not None and visit.trace.parted is not Parted.ORDERLY
        return joined or (not session.tty and (session.kind in _KINDS or idle))


_Agrees = Callable[[Visit, Session, timedelta], bool]


def _match(
    sessions: Sequence[Session], visits: Sequence[Visit], ahead: timedelta, agrees: _Agrees, now: datetime
) -> tuple[list[Session], list[Visit]]:
    """Give each visit at most one session that it explains; what is left of both.

    ``ahead`` is how far the instance's clock is ahead of ours. Sessions in the order of their time, each to the visit
    that ends first: no other way explains more of them.
    """
    free = sorted(visits, key=lambda visit: visit.closed or now)
    explained: set[int] = set()
    for at, session in sorted(enumerate(sessions), key=lambda one: one[1].started_at):
        moment = session.started_at - ahead
        fits = (one for one in free if one.holds(moment, now) and agrees(one, session, ahead))
        visit = next(fits, None)
        if visit is not None:
            free.remove(visit)
            explained.add(at)
    return [session for at, session in enumerate(sessions) if at not in explained], free


def _terminals(
    own: Sequence[Session], others: Sequence[Session], made: Mapping[_Identity, str], now: datetime
) -> list[Session]:
    """Sessions of which only a terminal is known: driftd asks for none, so one joined to its login is another's.

    ``made`` are the terminals that were joined when our sessions were recorded. Nothing is said twice: where a
    stranger came at that time as the same user from the same address, it is that one's.
    """
    found = []
    for session in own:
        if not session.tty or "wtmp" not in session.evidence.split("+") or made.get(identity(session)) == session.tty:
            continue
        since, until = session.started_at - _NEAR, (session.ended_at or now) + _NEAR
        theirs = (one for one in others if (one.user, one.source) == (session.user, session.source))
        if not any(since <= one.started_at <= until for one in theirs):
            bare = Session(session.door, session.user, session.source, session.started_at)
            found.append(replace(bare, tty=session.tty, live=False, evidence="wtmp"))
    return found
