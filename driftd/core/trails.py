"""Trails: what the kernel of an instance tells of a change, asked for of what differs and of nothing else.

That is when it last changed a name, and which living processes run it or wrote it (probe/trails.py). Whoever is root
there can make the probe say anything; nobody else can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from driftd.core.asks import Answers, Ask
from driftd.core.difference import Change, Difference
from driftd.core.expect import PATH_KINDS
from driftd.core.findings import Finding
from driftd.core.fingerprint import Fingerprint
from driftd.probe import dialogue
from driftd.probe.wire import WireError

WHAT = "trail"
MOST = 500  # differences of one look whose trails are asked for
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS = 8000 * 366 * 86400  # seconds; what is further on is no time


@dataclass(frozen=True, slots=True)
class Doer:
    """A living process: ``number`` is the kernel's of the login that it was started from, 0 for none.

    ``above`` are its id and those of the processes above it.
    """

    started_at: datetime
    number: int = 0
    above: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Trail:
    """When the kernel last changed the name (``itself``) or, where that is gone, the directory above it.

    ``runs`` are the processes whose program it is, ``wrote`` those that have themselves written all of it.
    """

    changed_at: datetime
    itself: bool = True
    runs: tuple[Doer, ...] = ()
    wrote: tuple[Doer, ...] = ()


def path_of(one: Difference | Finding) -> bytes:
    """The path whose trail tells of it: of a listener that of its program; b"" where there is none."""
    if one.kind in PATH_KINDS or one.kind == "process":
        return one.subject if one.subject.startswith(b"/") else b""
    if one.kind == "listener" and one.change is not Change.REMOVED:
        program = one.actual.get("program", "")
        return program.encode("utf-8", "surrogateescape") if program.startswith("/") else b""
    return b""


def asks(differences: Iterable[Difference], fingerprint: Fingerprint) -> list[Ask]:
    """What to ask of a running machine of these; never more than ``MOST``."""
    found: dict[bytes, None] = {}
    for one in differences if fingerprint.live else ():
        if len(found) >= MOST:
            break
        if path := path_of(one):
            found[path] = None
    return [Ask(path, WHAT) for path in found]


def read(answers: Answers) -> Mapping[bytes, Trail]:
    """By path, every trail that was told; one that says what no probe says is passed over."""
    found: dict[bytes, Trail] = {}
    for ask, answer in answers.items():
        if ask.what != WHAT or answer.how:
            continue
        try:
            rows = dialogue.read_trail(answer.content)
            doers = [(deed, Doer(_at(started), number, tuple(above))) for deed, number, started, above in rows]
            changed = _at(answer.size // 10**9) + timedelta(microseconds=answer.size % 10**9 // 1000)
        except WireError:
            continue
        runs = tuple(doer for deed, doer in doers if deed == dialogue.RUNS)
        wrote = tuple(doer for deed, doer in doers if deed == dialogue.WROTE)
        found[ask.path] = Trail(changed, answer.yes, runs, wrote)
    return found


def _at(seconds: int) -> datetime:
    if seconds > _YEARS:
        raise WireError("a time is none")
    return _EPOCH + timedelta(seconds=seconds)
