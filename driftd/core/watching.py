"""A watch: what a resident probe says, read from frames that the instance may have forged, and what follows from it.

What it says is a hint and no more. A glimpse is judged as a look is, by the same rules, and can only add to what is
known; that something is as it should be takes a whole look, and so does everything that a glimpse could not show.
Pure: no clock, no IO.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from driftd.core.arriving import Limits
from driftd.core.facts import Instance, Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.core.framing import dictionary
from driftd.probe import watchwire, wire
from driftd.probe.wire import WireError

LIMITS = Limits(entries=64 * 1024, bytes=16 * 1024 * 1024, rows=100_000)  # of one glimpse


class Why(StrEnum):
    """Why a whole look is needed; the words of the metric's label."""

    BEGUN = "begun"  # what happened before the watch stood, nobody was told
    LOST = "lost"  # nor what happens while there is none
    OVERFLOW = "overflow"
    TOO_MUCH = "too-much"
    UNSEEN = "unseen"
    PROGRAM = "program"  # one runs that the image does not contain
    UNSURE = "unsure"  # what a glimpse showed cannot be judged without asking more
    CONFIRM = "confirm"  # a glimpse added a finding


_REASONS = {
    watchwire.OVERFLOW: Why.OVERFLOW,
    watchwire.TOO_MUCH: Why.TOO_MUCH,
    watchwire.UNSEEN: Why.UNSEEN,
}


@dataclass(frozen=True, slots=True)
class Greeting:
    """By which means the tree and the processes are watched; how many directories are, and how many could not be."""

    files: str
    processes: str
    directories: int
    unwatched: int


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life, and what the resident probe has cost so far: seconds of CPU, bytes of memory."""

    cpu_s: float
    rss: int
    hints: int
    overflows: int


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What is to be seen now where something happened.

    ``seen`` has the entries that changed and the directories above them, and sessions where ``logins`` is set; None
    where nothing is shown. ``listed`` are all the names of directories from which one may be gone. ``programs`` were
    started lately. ``full`` says why it takes a whole look, if it does.
    """

    seen: Fingerprint | None = None
    listed: Mapping[bytes, frozenset[bytes]] = field(default_factory=dict)
    programs: tuple[bytes, ...] = ()
    full: Why | None = None
    logins: bool = False


Message = Greeting | Beat | Glimpse


class Frames:
    """``feed`` what arrives; the messages that are whole. ``nonce`` is the request's."""

    def __init__(self, nonce: bytes) -> None:
        self._nonce = nonce
        self._decoder = wire.Decoder()
        self._greeted = False

    def feed(self, data: bytes) -> Iterator[Message]:
        """Raises WireError for what no resident probe says; the watch is then worth nothing."""
        for frame in self._decoder.feed(data):
            yield self._message(frame)

    @property
    def heard(self) -> bytes:
        """What came in place of an answer."""
        return self._decoder.heard

    def _message(self, frame: wire.Frame) -> Message:
        message = dictionary(frame.payload)
        if frame.tag == watchwire.GREETING and not self._greeted:
            self._greeted = True
            return self._greeting(message)
        if not self._greeted and frame.tag != watchwire.BEAT:
            raise WireError("it does not begin with a greeting")
        if frame.tag == watchwire.BEAT:
            cpu, rss = _number(message, b"cpu"), _number(message, b"rss")
            return Beat(cpu / 1e6, rss * 1024, _number(message, b"hints"), _number(message, b"over"))
        if frame.tag == watchwire.GLIMPSE:
            return self._glimpse(message)
        raise WireError(f"a frame of no known kind ({frame.tag!r})")

    def _greeting(self, message: Mapping[bytes, Any]) -> Greeting:
        if message.get(b"nonce") != self._nonce or message.get(b"schema") != wire.SCHEMA:
            raise WireError("the greeting is not to this question")
        files, processes = message.get(b"files"), message.get(b"processes")
        if files not in watchwire.FILES or processes not in watchwire.PROCESSES:
            raise WireError("a means that no probe has")
        directories, unwatched = _number(message, b"directories"), _number(message, b"unwatched")
        return Greeting(files.decode(), processes.decode(), directories, unwatched)

    def _glimpse(self, message: Mapping[bytes, Any]) -> Glimpse:
        stream, full = message.get(b"stream"), message.get(b"full")
        logins = _number(message, b"logins") == 1
        if not isinstance(stream, bytes) or full not in (b"", *watchwire.REASONS):
            raise WireError("a glimpse is none")
        programs = tuple(_paths(message.get(b"programs"), watchwire.PROGRAMS_LIMIT))
        why = _REASONS.get(full)
        if not stream:
            return Glimpse(None, {}, programs, why)
        reader = Reader(self._nonce, (b"sessions",) if logins else (), LIMITS)
        reader.feed(stream)
        seen = reader.finish()
        if isinstance(seen, Unseen):
            raise WireError(seen.reason)
        return Glimpse(seen, _listed(message.get(b"listed"), seen), programs, why, logins)


def _number(message: Mapping[bytes, Any], key: bytes) -> int:
    value = message.get(key)
    if not isinstance(value, int) or not 0 <= value < 1 << 62:
        raise WireError("a number is not one, or out of bounds")
    return value


def _paths(value: object, most: int) -> list[bytes]:
    if not isinstance(value, list) or len(value) > most:
        raise WireError("paths are none, or too many")
    for path in value:
        if not isinstance(path, bytes) or len(path) > wire.PATH_LIMIT:
            raise WireError("a path is not one, or too long")
    return value


def _listed(value: object, seen: Fingerprint) -> dict[bytes, frozenset[bytes]]:
    """Names by directory, of directories that are themselves shown."""
    shown = {entry.path for entry in seen.entries if entry.kind == wire.DIRECTORY}
    if not isinstance(value, dict) or len(value) > watchwire.DIRECTORIES_LIMIT or not value.keys() <= shown:
        raise WireError("a listing is of what is not shown")
    return {path: frozenset(_paths(names, watchwire.NAMES_LIMIT)) for path, names in value.items()}


# --- what follows ----------------------------------------------------------------------------------------------------


@dataclass
class Course:
    """One watch over time: since when a whole look is wanted, and how often each reason for one was given.

    Until a look *begins* after the last reason, the reason stands. Whoever can touch files can ask for looks, and so
    gets no more than one each ``gap``.
    """

    gap: timedelta = timedelta(seconds=30)
    wanted_since: datetime | None = None
    counted: Counter[Why] = field(default_factory=Counter)

    def want(self, reasons: Sequence[Why], now: datetime) -> None:
        """A whole look is wanted."""
        self.counted.update(reasons)
        if reasons:
            self.wanted_since = now

    def due(self, looked_at: datetime | None, now: datetime) -> bool:
        """Whether a whole look is to be made now, the last one having begun at ``looked_at``."""
        if self.wanted_since is None:
            return False
        if looked_at is None:
            return True
        if looked_at >= self.wanted_since:
            self.wanted_since = None
            return False
        return now >= looked_at + self.gap


@dataclass(frozen=True, slots=True)
class Watched:
    """How one watch stands, for the metrics. ``greeting`` and ``beat`` are None while there is none."""

    instance: str
    group: str
    greeting: Greeting | None
    beat: Beat | None
    glimpses: int
    lost: int
    counted: Mapping[Why, int]


class Residents(Protocol):
    """Keeps a resident probe on an instance for as long as the call lasts."""

    def watch(self, instance: Instance, heard: Callable[[Message], None], stopping: Callable[[], bool]) -> Unseen:
        """Hands on what the probe says; returns why it ended, "" for no reason but that ``stopping`` said so.

        Raises only what ``heard`` raises. When it returns, the connection is closed and the probe is ending.
        """
        ...

    def own_key(self, instance: Instance) -> str:
        """See ``Looker.own_key``."""
        ...
