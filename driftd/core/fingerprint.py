"""A fingerprint: what one look saw of one instance, read from frames that the instance may have forged."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from sys import intern
from typing import Any

from driftd.core import confidence, merkle
from driftd.core.asks import Answers
from driftd.core.clues import Clue, Readings
from driftd.core.facts import CUT_SHORT, Coverage, Fact, Kept, Session, Unseen
from driftd.core.framing import AGAIN, FrameReader, dictionary, printable, text
from driftd.probe import wire
from driftd.probe.wire import Entry, WireError


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """``entries`` are sorted by raw path bytes and unique. ``root`` is the closed tree's digest (core/merkle.py).

    ``covered`` are directories that something is mounted over and whose beneath could not be looked at; ``unreadable``
    are paths whose content or listing was not permitted. What lies below either is unknown, never absent; a covered
    directory's own entry shows the mounted directory, not the one beneath. ``mounted`` are mount points whose file
    system was not looked at: what was baked beneath them is hidden from programs.

    ``facts`` are sorted; ``looked`` are the kinds that were looked for, found or not; ``kept`` what was kept from us,
    in part where its kind was looked for, else wholly (sessions as kind "session"). ``live`` is true when it was a
    running machine and not a directory that holds a tree. ``answers`` are to what was asked after it had been seen
    (core/asks.py). ``readings`` are what else was read of logins.
    """

    entries: tuple[Entry, ...]
    facts: tuple[Fact, ...]
    looked: tuple[str, ...]
    sessions: tuple[Session, ...]
    coverage: Coverage
    root: bytes
    boot_id: str = ""
    booted_at: datetime | None = None
    unreadable: tuple[bytes, ...] = ()
    covered: tuple[bytes, ...] = ()
    mounted: tuple[bytes, ...] = ()
    kept: tuple[Kept, ...] = ()
    live: bool = False
    answers: Answers = field(default_factory=dict)
    readings: Readings = field(default_factory=Readings)

    def seen_kinds(self) -> tuple[str, ...]:
        """The kinds of facts that were seen, in whole or in part: not those that were wholly kept from the look."""
        kept = {one.kind for one in self.kept} - {one.kind for one in self.facts}
        return tuple(kind for kind in self.looked if kind not in kept)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an instance may send: entries, bytes after inflating (paths counted in full), rows of facts."""

    entries: int = 5_000_000
    bytes: int = 4 * 1024**3
    rows: int = 1_000_000


_DOORS = ("ssh", "console", "su", "sudo", "exec", "cloud", "service")
_TEXT_LIMIT = 64 * 1024
_SAID_LIMIT = 200
_UPGRADE = "look again with the same version of driftd on both sides"
_FACTS = {wire.FACTS: (b"facts", b"looked"), wire.SESSIONS: (b"sessions", b"clues", b"reads", b"opened")}
_OPTIONAL = (b"kept",)
_HOWS = ("not available", "not permitted", CUT_SHORT)
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,31}")  # a kind of fact, the name of a field
_FIELDS_LIMIT = 64  # of one fact
_WHY_LIMIT = 500
_REASONS_LIMIT = 1000


class Reader(FrameReader):
    """Reads one answer piece by piece; ``finish`` says what it amounts to.

    ``nonce`` and ``sections`` are those of the request. Memory is bounded by ``limits``; time is the caller's to bound.
    """

    def __init__(self, nonce: bytes, sections: Iterable[bytes] = wire.SECTIONS, limits: Limits | None = None) -> None:
        super().__init__()
        self._nonce = nonce
        self._limits = limits or Limits()
        self._answer = _Answer()
        self._rows = {key for section in sections if section in _TAGS for key in _FACTS[_TAGS[section]]}

    def finish(self) -> Fingerprint | Unseen:
        """What the answer amounts to, once no more of it will come."""
        if self._failure is None and not self._decoder.finished:
            self._cut_short()
        if self._failure is None:
            try:
                return self._made()
            except WireError as error:
                self._fail(f"{self.damaged}: {error}", AGAIN)
        assert self._failure is not None  # noqa: S101  # set on every way here
        return self._failure

    def _forget(self) -> None:
        self._answer = _Answer()  # give the memory back

    def _cut_short(self) -> None:
        if self._answer.hello is not None:
            self._fail(f"the answer was cut off after {len(self._answer.entries)} entries", "look again")
            return
        said = text(self._decoder.heard[:_SAID_LIMIT]).strip()
        if said:
            self._fail(f"no probe answered; instead there came: {printable(said)}", "python3 must be there and be run")
        else:
            self._fail("no probe answered: nothing came", "see that python3 is on the instance and that it may be run")

    # --- frames ------------------------------------------------------------------------------------------------------

    def _take(self, frame: wire.Frame) -> None:
        answer = self._answer
        if answer.hello is None:
            if frame.tag != wire.HELLO:
                raise WireError("it does not begin with a greeting")
            self._greet(dictionary(frame.payload))
        elif frame.tag in (wire.TREE, wire.PLAIN):
            split = wire.blocks if frame.tag == wire.TREE else wire.plain_blocks
            for block in split(frame.payload):
                answer.spend(len(block), self._limits.bytes)
                directory, entries = wire.decode_block(block)
                if not entries:  # they would cost time and no bytes
                    raise WireError("a block without entries")
                answer.spend(len(entries) * len(directory), self._limits.bytes)
                answer.entries.extend(entries)
                if len(answer.entries) > self._limits.entries:
                    raise WireError(f"more than {self._limits.entries} entries")
        else:
            self._take_rest(frame)

    def _take_rest(self, frame: wire.Frame) -> None:
        answer = self._answer
        answer.spend(len(frame.payload), self._limits.bytes)
        if frame.tag == wire.LINKS:
            answer.link(wire.unpack(frame.payload), self._limits)
        elif frame.tag in _FACTS:
            answer.collect(dictionary(frame.payload), _FACTS[frame.tag] + _OPTIONAL, self._limits)
        elif frame.tag == wire.COVERAGE:
            answer.cover(dictionary(frame.payload), self._limits)
        else:
            raise WireError(f"a frame of no known kind ({frame.tag!r})")

    def _greet(self, hello: dict[bytes, Any]) -> None:
        if hello.get(b"schema") != wire.SCHEMA:
            schema = hello[b"schema"] if isinstance(hello.get(b"schema"), int) else "unknown"
            self._fail(f"the probe speaks schema {schema}, this is {wire.SCHEMA}", _UPGRADE)
        elif hello.get(b"nonce") != self._nonce:
            self._fail("the answer is not to this question (its nonce is another)", AGAIN)
        else:
            self._answer.hello = hello

    # --- the whole ---------------------------------------------------------------------------------------------------

    def _made(self) -> Fingerprint:
        answer, counts = self._answer, self._decoder.counts
        counted = {b"entries": len(answer.entries), b"links": len(answer.links), b"frames": self._decoder.frames}
        counted |= {key: len(paths) for key, paths in answer.paths.items()}
        wanted = (*self._rows, *(_OPTIONAL if self._rows else ()))
        counted |= {key: len(answer.rows.get(key, ())) for key in wanted}
        if set(answer.rows) - set(_OPTIONAL) - self._rows:
            raise WireError("it holds facts that were not asked for")
        for key, number in counted.items():
            if counts.get(key) != number:
                raise WireError(f"{number} {key.decode()} came and {counts.get(key)!r} were announced")
        entries = answer.linked()
        try:
            root = merkle.root(entries)
        except ValueError as error:
            raise WireError(printable(str(error))[:500]) from None
        hello = answer.hello or {}
        looked = tuple(sorted(set(answer.rows.get(b"looked", ()))))
        return Fingerprint(
            entries=entries,
            facts=_facts(answer.rows.get(b"facts", ()), looked),
            looked=looked,
            sessions=tuple(answer.rows.get(b"sessions", ())),
            coverage=Coverage(
                entries=len(entries),
                bytes_hashed=_number(counts.get(b"bytes_hashed"), 1 << 62),
                unreadable=len(answer.paths[b"unreadable"]),
                covered=len(answer.paths[b"covered"]),
                reasons=dict(sorted(answer.reasons.items())),
            ),
            root=root,
            boot_id=_string(hello.get(b"boot_id", b""))[:_SAID_LIMIT],
            booted_at=_time(hello[b"booted_at"]) if b"booted_at" in hello else None,
            unreadable=tuple(sorted(answer.paths[b"unreadable"])),
            covered=tuple(sorted(answer.paths[b"covered"])),
            mounted=tuple(sorted(answer.paths[b"mounted"])),
            kept=tuple(sorted(set(answer.rows.get(b"kept", ())))),
            live=bool(_number(hello.get(b"live", 0), 2)),
            readings=_readings(answer.rows),
        )


_PATHS = (b"unreadable", b"covered", b"mounted")
_TAGS = {b"facts": wire.FACTS, b"sessions": wire.SESSIONS}


@dataclass(slots=True)
class _Answer:
    """What has been read so far."""

    hello: dict[bytes, Any] | None = None
    entries: list[Entry] = field(default_factory=list)
    rows: dict[bytes, list[Any]] = field(default_factory=dict)
    paths: dict[bytes, list[bytes]] = field(default_factory=lambda: {key: [] for key in _PATHS})
    reasons: dict[str, int] = field(default_factory=dict)
    links: dict[bytes, bytes] = field(default_factory=dict)
    spent: int = 0
    taken: int = 0

    def spend(self, count: int, limit: int) -> None:
        self.spent += count
        if self.spent > limit:
            raise WireError(f"more than {limit} bytes")

    def collect(self, message: dict[bytes, Any], keys: Collection[bytes], limits: Limits) -> None:
        for key, rows in message.items():
            if key not in keys or not isinstance(rows, list):
                raise WireError("facts of no known kind")
            self.taken += len(rows)
            if self.taken > limits.rows:
                raise WireError(f"more than {limits.rows} facts")
            # What a row is is seen at once: nested lists would fill the memory long before the last frame.
            self.rows.setdefault(key, []).extend(map(_ROWS[key], rows))

    def link(self, groups: object, limits: Limits) -> None:
        """Take groups of hard links: the smallest path first, and again first in each piece that a group comes in."""
        if not isinstance(groups, list):
            raise WireError("the hard links are no list")
        for group in groups:
            if not isinstance(group, list) or len(group) < 2:
                raise WireError("a group of hard links is none")
            first, *others = map(_path, group)
            if self.links.setdefault(first, first) != first:
                raise WireError("a path is in two groups of hard links")
            last = first
            for path in others:
                if path <= last or path in self.links:
                    raise WireError("a path stands twice in the hard links, or in a wrong place")
                self.links[path], last = first, path
            if len(self.links) > limits.entries:
                raise WireError("more hard links than entries may be")

    def linked(self) -> tuple[Entry, ...]:
        """The entries by their paths, each with its hard links."""
        left = dict(self.links)
        for at, entry in enumerate(self.entries):
            same = left.pop(entry.path, None)
            if same is not None:
                if entry.kind == wire.DIRECTORY:
                    raise WireError("a directory has hard links")
                self.entries[at] = entry._replace(same=same)
        if left:
            raise WireError("hard links are of paths that did not come")
        return tuple(sorted(self.entries, key=lambda entry: entry.path))

    def cover(self, message: dict[bytes, Any], limits: Limits) -> None:
        for key, value in message.items():
            if key == b"reasons" and isinstance(value, dict):
                for reason, number in value.items():
                    self.reasons[_string(reason)[:_SAID_LIMIT]] = _number(number, 1 << 62)
                if len(self.reasons) > _REASONS_LIMIT:
                    raise WireError(f"more than {_REASONS_LIMIT} reasons")
            elif key in self.paths and isinstance(value, list):
                paths = self.paths[key]
                paths.extend(_path(path) for path in value)
                if len(paths) > limits.entries:
                    raise WireError("more paths than entries may be")
            else:
                raise WireError("coverage of no known kind")


# --- values ----------------------------------------------------------------------------------------------------------


def _string(value: object) -> str:
    if not isinstance(value, bytes) or len(value) > _TEXT_LIMIT:
        raise WireError("a text is not one, or too long")
    return text(value)


def _path(value: object) -> bytes:
    if not isinstance(value, bytes) or not value.startswith(b"/") or len(value) > 2 * wire.PATH_LIMIT:
        raise WireError("a path is not one, or too long")
    return value


def _number(value: object, below: int = 1 << 32) -> int:
    if not isinstance(value, int) or not 0 <= value < below:
        raise WireError("a number is not one, or out of bounds")
    return value


def _row(value: object, length: int) -> list[Any]:
    if not isinstance(value, list) or len(value) != length:
        raise WireError("a row of facts has not the right fields")
    return value


def _time(value: object) -> datetime:
    return datetime.fromtimestamp(_number(value, 253402300800), UTC)  # up to the year 9999


def _choice(value: object, choices: Collection[str]) -> str:
    text = _string(value)
    if text not in choices:
        raise WireError("a fact says what no probe says")
    return text


def _word(value: object) -> str:
    text = _string(value)
    if not _WORD.fullmatch(text):
        raise WireError("a word of the facts is not one, or too long")
    return intern(text)  # there are few of them, a great many times


def _fact(value: object) -> Fact:
    """A fact, whatever its kind; kinds and fields that are unknown may be new."""
    kind, name, fields = _row(value, 3)
    if not isinstance(fields, dict) or len(fields) > _FIELDS_LIMIT or not all(fields.values()):
        raise WireError("a fact has not the right fields")
    found = tuple(sorted((_word(key), _string(one)) for key, one in fields.items()))
    return Fact(_word(kind), _string(name), found)


def _facts(facts: Iterable[Fact], looked: Collection[str]) -> tuple[Fact, ...]:
    """The facts in their order, each of a kind that was looked for."""
    found = set(facts)
    if not {fact.kind for fact in found} <= set(looked):
        raise WireError("a fact is of a kind that was not looked for")
    return tuple(sorted(found))


def _kept(value: object) -> Kept:
    kind, how, why = _row(value, 3)
    return Kept(_word(kind), _choice(how, _HOWS), _string(why)[:_WHY_LIMIT])


_SESSION_FIELDS = frozenset(
    b"door user source port key key_id started ended tty pid live ancestor evidence kind number".split(),
)


def _session(value: object) -> Session:
    if not isinstance(value, dict) or value.keys() != _SESSION_FIELDS:
        raise WireError("a session has not the right fields")
    return Session(
        door=_choice(value[b"door"], _DOORS),
        user=_string(value[b"user"]),
        source=_string(value[b"source"]),
        started_at=_time(value[b"started"]),
        port=_number(value[b"port"], 65536),
        ended_at=_time(value[b"ended"]) if value[b"ended"] else None,
        key=_string(value[b"key"]),
        key_id=_string(value[b"key_id"]),
        tty=_string(value[b"tty"]),
        pid=_number(value[b"pid"]),
        live=bool(_number(value[b"live"], 2)),
        ancestor=bool(_number(value[b"ancestor"], 2)),
        evidence=_string(value[b"evidence"]),
        kind=_choice(value[b"kind"], confidence.KINDS),
        number=_number(value[b"number"]),
    )


_CLUE_FIELDS = frozenset(b"source door user peer port tty pid number started ended live note".split())


def _clue(value: object) -> Clue:
    if not isinstance(value, dict) or value.keys() != _CLUE_FIELDS:
        raise WireError("a clue has not the right fields")
    return Clue(
        source=_word(value[b"source"]),
        door=_choice(value[b"door"], _DOORS),
        user=_string(value[b"user"]),
        started_at=_time(value[b"started"]),
        peer=_string(value[b"peer"]),
        port=_number(value[b"port"], 65536),
        tty=_string(value[b"tty"]),
        pid=_number(value[b"pid"]),
        number=_number(value[b"number"]),
        ended_at=_time(value[b"ended"]) if value[b"ended"] else None,
        live=bool(_number(value[b"live"], 2)),
        note=_string(value[b"note"]),
    )


def _read(value: object) -> tuple[str, datetime]:
    source, since = _row(value, 2)
    return _word(source), _time(since)


def _readings(rows: dict[bytes, list[Any]]) -> Readings:
    since = dict(rows.get(b"reads", ()))
    counted = since.pop("counter", None) is not None
    return Readings(tuple(rows.get(b"clues", ())), since, tuple(sorted(rows.get(b"opened", ()))), counted)


_ROWS: dict[bytes, Callable[[object], object]] = {
    b"clues": _clue,
    b"reads": _read,
    b"opened": _time,
    b"facts": _fact,
    b"looked": _word,
    b"kept": _kept,
    b"sessions": _session,
}
