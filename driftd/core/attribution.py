"""Attribution: which session a change is tied to, and how surely. Pure.

* ``PROVED``: the kernel ties them together: every living process that runs the program, or that wrote all of the
  file, was started from that one login (the kernel's number of it, or its sshd above the process).
* ``PROBABLE``: one principal alone was there at the time at which it must have happened, and nothing else is known to
  have been at work: no boot, no cron, no package run.
* ``POSSIBLE``: several were, or something else was; ``NONE``: nobody was known to be there.

The time is between the look that saw it otherwise and the one that found it; of a name that is there the kernel's own
stamp of the last change (ctime) narrows that to a moment. Only a clock that is set, or root writing beneath the file
system, moves that stamp; where it lies outside of the time, it counts for nothing. More sessions never make it surer.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from driftd.core.answers import SERVICE
from driftd.core.attributed import Attribution, Level
from driftd.core.causes.board import PACKAGE, PACKAGES
from driftd.core.confidence import UNVERIFIED
from driftd.core.difference import Change
from driftd.core.expect import PATH_KINDS
from driftd.core.facts import Session
from driftd.core.findings import Finding
from driftd.core.taint import SESSION, same_one
from driftd.core.trails import Doer, Trail, path_of
from driftd.core.whose import SKEW
from driftd.core.wording import attribution as say

# Logs cut times down to whole seconds.
SECOND = timedelta(seconds=1)
# So long after a boot, and after something of cron's began, either may still be changing things.
BOOTS, JOBS = timedelta(minutes=2), timedelta(minutes=1)
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
# Findings that tell of no change that anybody made at some time.
_NO_CHANGE = frozenset({SESSION, "identity", "mark"})
_RUNNING = frozenset({"process", "listener"})


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known of the time before a look, all by the instance's clock.

    ``since`` is when the look before began (None: none saw anything), ``until`` when this one ended. ``sessions`` are
    others' that this look saw, ``before`` those that only earlier ones did (``remembered``). ``boot`` is which boot
    this is (``Look.boot_id``) and ``booted_at`` when it was, ``jobs`` when services began something. ``standing`` are,
    by signature, findings that a look before saw, with what they were attributed to then: no time tells of those.
    """

    until: datetime
    since: datetime | None = None
    boot: str = ""
    sessions: Sequence[Session] = ()
    before: Sequence[Session] = ()
    booted_at: datetime | None = None
    jobs: Sequence[datetime] = ()
    standing: Mapping[str, Attribution] = field(default_factory=dict)


def attribute(findings: Iterable[Finding], trails: Mapping[bytes, Trail], scene: Scene) -> Mapping[str, Attribution]:
    """By signature, what each of the findings is tied to. Sessions and differences cost N log N together."""
    ties, crowd, others = _Ties(scene), _Crowd(scene), _Others(scene)
    made: dict[str, Attribution] = {}
    for one in findings:
        if one.kind in _NO_CHANGE or one.signature in made:
            continue
        trail = trails.get(path_of(one))
        known = scene.standing.get(one.signature)
        proved = None if known is not None and known.level is Level.PROVED else _proved(one, trail, ties)
        made[one.signature] = proved or known or _by_time(one, trail, scene, crowd, others)
    return made


def stronger(now: Attribution, known: Attribution | None) -> bool:
    """Whether ``now`` takes the place of what was ``known``: the first stands unless a later one is surer."""
    return known is None or now.level.rank > known.level.rank


def remembered(now: Sequence[Session], known: Sequence[Session]) -> tuple[list[Session], list[Session]]:
    """The sessions of a look, each with what the kernel told earlier looks of it, and those that only these saw."""
    left = {same_one(one): one for one in known}
    found, before = [], []
    for one in now:
        was = left.pop(same_one(one), None)
        if was is not None and was.live and not one.live and one.ended_at is None:
            before.append(was)  # it left between the two, and nobody knows when
        elif was is not None and "process" in _parts(was) and "process" not in _parts(one):
            found.append(replace(one, number=was.number, boot=was.boot, evidence=was.evidence))
        else:
            found.append(one)
    return found, [*before, *left.values()]


def told(attributions: Iterable[Attribution]) -> str:
    """Whose the most of them are, as far as that is probable at least; "" where nobody is to be named."""
    counted: dict[tuple[str, ...], tuple[Session, Counter[Level]]] = {}
    for one in attributions:
        if one.session is not None and one.level.rank >= Level.PROBABLE.rank:
            counted.setdefault(principal(one.session), (one.session, Counter()))[1][one.level] += 1
    found = sorted(counted.values(), key=lambda pair: (-pair[1].total(), pair[0].started_at, same_one(pair[0])))
    return say.told([(session, levels(number)) for session, number in found])


def levels(counted: Counter[Level]) -> list[tuple[str, int]]:
    """The surest first."""
    return [(level.value, counted[level]) for level in reversed(Level) if counted[level]]


def principal(session: Session) -> tuple[str, ...]:
    """Whose it is: one key (or certificate's id) is one principal, however often and whence it comes.

    Where none is known: door, user and address.
    """
    if session.key_id or session.key:
        return ("key", session.key_id or session.key)
    return (session.door, session.user, session.source)


# --- by the kernel ---------------------------------------------------------------------------------------------------


class _Ties:
    """Sessions by what the kernel has of each: its number, the sshd that serves it.

    Which key let somebody in is what a line says; where two say two things of one connection, neither proves anything.
    The id of a process counts by itself only where no line that anybody can write may have named it.

    A number that was only joined to a login by user and time (one more piece of evidence, "sweep") is no such thing,
    nor is one that several have, or of another boot; nor the process of a session that is over, whose id may be
    another's by now.
    """

    def __init__(self, scene: Scene) -> None:
        every = (*scene.sessions, *scene.before)
        claims: dict[tuple[str, int], set[tuple[str, ...]]] = {}
        for one in every:
            if one.port:
                claims.setdefault((one.source, one.port), set()).add(principal(one))
        plain = [one for one in every if len(claims.get((one.source, one.port), ())) < 2]
        numbered = (one for one in plain if one.number and one.boot == scene.boot and _numbered(_parts(one)))
        here = set(map(id, scene.sessions))
        served = (one for one in plain if id(one) in here and one.live and one.pid > 1)
        self._numbers = _single((one.number, one) for one in numbered)
        self._pids = _single((one.pid, one) for one in served if _served(_parts(one)))

    def of(self, doer: Doer) -> Session | None:
        """The login that the process was started from; None where the kernel does not tell, or tells two things."""
        numbered = self._numbers.get(doer.number) if doer.number else None
        served = {same_one(one): one for pid in doer.above if (one := self._pids.get(pid)) is not None}
        if numbered is not None:
            return numbered if not served or set(served) == {same_one(numbered)} else None
        if doer.number or len(served) != 1:
            return None
        (alone,) = served.values()
        return None if alone.number or "log" in _parts(alone) else alone


def _parts(session: Session) -> frozenset[str]:
    return frozenset(session.evidence.split("+"))


def _numbered(parts: frozenset[str]) -> bool:
    """Whether the number was read of the session's own processes."""
    return parts == {"sweep"} or ("process" in parts and "sweep" not in parts)


def _served(parts: frozenset[str]) -> bool:
    """Whether its process was seen: sshd's, or of one who came in from outside the namespace."""
    return "process" in parts or parts == {"outside"}


def _single(pairs: Iterable[tuple[int, Session]]) -> dict[int, Session]:
    """By number, where one session alone has it."""
    found = list(pairs)
    counted = Counter(number for number, _ in found)
    return {number: one for number, one in found if counted[number] == 1}


def _proved(finding: Finding, trail: Trail | None, ties: _Ties) -> Attribution | None:
    if trail is None or finding.change is Change.REMOVED:
        return None
    if finding.kind in _RUNNING:
        doers, why = trail.runs, say.RUNS
    elif finding.kind == "file" and "sha256" in finding.actual:  # not where only its mode differs, say
        doers, why = trail.wrote, say.WROTE
    else:
        return None
    found = [ties.of(doer) for doer in doers]
    sessions = [one for one in found if one is not None]
    if not sessions or len(sessions) < len(found) or len({same_one(one) for one in sessions}) > 1:
        return None
    return Attribution(Level.PROVED, why, sessions[0])


# --- by time ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Window:
    """From when to when it must have happened; ``stamped`` where the kernel says the moment.

    ``odd`` says in one sentence why the kernel's stamp counts for nothing, "" otherwise.
    """

    begin: datetime
    end: datetime
    stamped: bool = False
    odd: str = ""


def _window(finding: Finding, trail: Trail | None, scene: Scene) -> _Window:
    begin = scene.since - SKEW if scene.since else _FIRST
    whole = _Window(begin, max(begin, scene.until + SKEW))
    if trail is None:
        return whole
    if finding.kind in _RUNNING:
        first = min((doer.started_at for doer in trail.runs), default=None)
        return _Window(first, first + SECOND, stamped=True) if first and _inside(first, whole) else whole
    at = trail.changed_at
    if finding.kind not in PATH_KINDS or trail.itself is (finding.change is Change.REMOVED):
        return whole
    if not _inside(at, whole):
        return whole if finding.change is Change.REMOVED else replace(whole, odd=say.ODD_STAMP)
    return replace(whole, end=at) if finding.change is Change.REMOVED else _Window(at, at, stamped=True)


def _inside(at: datetime, window: _Window) -> bool:
    return window.begin <= at <= window.end


def _by_time(finding: Finding, trail: Trail | None, scene: Scene, crowd: _Crowd, others: _Others) -> Attribution:
    window = _window(finding, trail, scene)
    number, session, sure = crowd.at(window)
    if session is None:
        return Attribution(Level.NONE, say.NOBODY)
    doubts = [window.odd] if window.odd else []
    if finding.cause in (PACKAGE, PACKAGES):
        doubts.append(say.PACKAGES)
    doubts += others.during(window)
    if number > 1:
        return Attribution(Level.POSSIBLE, say.several(doubts))
    if not sure:
        doubts.append(say.NO_END)
    if doubts:
        return Attribution(Level.POSSIBLE, say.alone_but(doubts), session)
    unverified = session.confidence == UNVERIFIED
    return Attribution(Level.PROBABLE, say.alone(stamped=window.stamped, unverified=unverified), session)


class _Crowd:
    """Who was there at a moment or in a while, by bisection.

    For each moment at which somebody came or left it has how many principals were there then, and one of them.
    """

    def __init__(self, scene: Scene) -> None:
        here = [_span(one, scene, there=one.live) for one in scene.sessions if one.door != SERVICE]
        gone = [_span(one, scene, there=False) for one in scene.before if one.door != SERVICE]
        spans = sorted((*here, *gone), key=lambda span: (span.begin, span.end, same_one(span.session)))
        self._starts = [span.begin for span in spans]
        self._who = [span.who for span in spans]
        self._next = self._changes()
        self._of: dict[tuple[str, ...], tuple[list[datetime], list[Session]]] = {}
        for span in spans:
            starts, mine = self._of.setdefault(span.who, ([], []))
            starts.append(span.begin)
            mine.append(span.session)
        self._moments, self._states = _states(spans)
        self._begins = sorted(span.begin for span in spans if span.unsure)
        self._ends = sorted(span.end for span in spans if span.unsure)

    def at(self, window: _Window) -> tuple[int, Session | None, bool]:
        """How many principals there were (2 stands for more), a session of one of them, whether it surely lasted."""
        at = bisect_right(self._moments, window.begin) - 1
        number, who = self._states[at] if at >= 0 else (0, None)
        first, last = bisect_right(self._starts, window.begin), bisect_right(self._starts, window.end) - 1
        if first <= last:
            alike = self._next[first] > last
            number = 2 if not alike or (number and who != self._who[first]) or number > 1 else 1
            who = self._who[first]
        if not number or who is None:
            return 0, None, True
        starts, mine = self._of[who]
        session = mine[bisect_right(starts, window.end) - 1]
        unsure = bisect_right(self._begins, window.begin) > bisect_left(self._ends, window.begin)
        return min(number, 2), session, not unsure

    def _changes(self) -> list[int]:
        """For each session, in the order of their starts, the next one of somebody else."""
        found = [len(self._who)] * len(self._who)
        for at in range(len(self._who) - 2, -1, -1):
            found[at] = found[at + 1] if self._who[at] == self._who[at + 1] else at + 1
        return found


@dataclass(frozen=True, slots=True)
class _Span:
    """From when to when a session may have been there; ``unsure`` where it may have ended before."""

    begin: datetime
    end: datetime
    session: Session
    who: tuple[str, ...]
    unsure: bool = False


def _span(session: Session, scene: Scene, *, there: bool) -> _Span:
    """``there``: this look saw it live. One that was not live any more at the look before was over by then."""
    begin, end, who = session.started_at, session.ended_at, principal(session)
    if end is not None and not there:
        return _Span(begin, max(begin, end) + SECOND, session, who)
    if scene.since and not session.live and begin <= scene.since - SKEW:
        return _Span(begin, max(begin, scene.since - SKEW - SECOND), session, who, unsure=True)
    return _Span(begin, max(begin, scene.until) + SKEW, session, who, not there)


def _states(spans: Sequence[_Span]) -> tuple[list[datetime], list[tuple[int, tuple[str, ...] | None]]]:
    """The moments at which somebody came or had left, and how many principals there were from then on, and one."""
    events = [(span.begin, 1, span.who) for span in spans]
    events += [(span.end + timedelta(microseconds=1), -1, span.who) for span in spans]
    there: dict[tuple[str, ...], int] = {}
    moments: list[datetime] = []
    states: list[tuple[int, tuple[str, ...] | None]] = []
    for moment, change, who in sorted(events):
        there[who] = there.get(who, 0) + change
        if not there[who]:
            del there[who]
        state = len(there), next(iter(there), None)
        if moments and moments[-1] == moment:
            states[-1] = state
        else:
            moments.append(moment)
            states.append(state)
    return moments, states


class _Others:
    """What was at work without anybody: the boot, and what services began."""

    def __init__(self, scene: Scene) -> None:
        self._booted = scene.booted_at
        self._jobs = sorted(scene.jobs)

    def during(self, window: _Window) -> list[str]:
        """What may have been it, in sentences."""
        said = []
        if self._booted is not None and self._booted <= window.end and window.begin <= self._booted + BOOTS:
            said.append(say.BOOT)
        if bisect_right(self._jobs, window.end) > bisect_left(self._jobs, window.begin - JOBS):
            said.append(say.JOB)
        return said
