"""A fingerprint: what one look saw of one instance, read from frames that the instance may have forged."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from driftd.core import values
from driftd.core.arriving import Arriving, Limits, path_of
from driftd.core.asks import Answers
from driftd.core.clues import Readings
from driftd.core.facts import Coverage, Fact, Kept, Session, Unseen
from driftd.core.framing import AGAIN, FrameReader, dictionary, printable, text
from driftd.core.interned import Apart, Interned
from driftd.probe import wire
from driftd.probe.wire import Entry, WireError


class Extent(StrEnum):
    """How much of the tree was read for it; the words of the metric's label."""

    WHOLE = "whole"
    CHANGES = "changes"  # what moved since the last look
    SAME = "same"  # nothing moved


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
    (core/asks.py). ``readings`` are what else was read of logins. ``apart`` says how the tree differs from the one that
    it was held against while it came, ``extent`` how much of it was read.
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
    apart: Apart | None = field(default=None, compare=False)
    extent: Extent = field(default=Extent.WHOLE, compare=False)

    def seen_kinds(self) -> tuple[str, ...]:
        """The kinds of facts that were seen, in whole or in part: not those that were wholly kept from the look."""
        kept = {one.kind for one in self.kept} - {one.kind for one in self.facts}
        return tuple(kind for kind in self.looked if kind not in kept)


_SAID_LIMIT = 200
_UPGRADE = "look again with the same version of driftd on both sides"
_FACTS = {wire.FACTS: (b"facts", b"looked"), wire.SESSIONS: (b"sessions", b"clues", b"reads", b"opened")}
_OPTIONAL = (b"kept",)
_REASONS_LIMIT = 1000


class Reader(FrameReader):
    """Reads one answer piece by piece; ``finish`` says what it amounts to.

    ``nonce`` and ``sections`` are those of the request. Memory is bounded by ``limits``; time is the caller's to bound.
    """

    def __init__(
        self,
        nonce: bytes,
        sections: Iterable[bytes] = wire.SECTIONS,
        limits: Limits | None = None,
        image: Interned | None = None,
    ) -> None:
        super().__init__()
        self._nonce = nonce
        self._limits = limits or Limits()
        self._image = image
        self.facts: list[bytes] = []  # the payloads of its FACTS frames, as they came
        self._answer = _Answer(Arriving(self._limits, image))
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
        self._answer, self.facts = _Answer(Arriving(self._limits, self._image)), []

    def _cut_short(self) -> None:
        if self._answer.hello is not None:
            self._fail(f"the answer was cut off after {self._answer.tree.entries} entries", "look again")
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
            answer.tree.frame(frame.payload, split)
        else:
            self._take_rest(frame)

    def _take_rest(self, frame: wire.Frame) -> None:
        answer = self._answer
        answer.tree.spend(len(frame.payload))
        if frame.tag == wire.LINKS:
            answer.tree.link(wire.unpack(frame.payload))
        elif frame.tag in _FACTS:
            if frame.tag == wire.FACTS:
                self.facts.append(frame.payload)
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
        tree = answer.tree
        counted = {b"entries": tree.entries, b"links": len(tree.links), b"frames": self._decoder.frames}
        counted |= {key: len(paths) for key, paths in answer.paths.items()}
        wanted = (*self._rows, *(_OPTIONAL if self._rows else ()))
        counted |= {key: len(answer.rows.get(key, ())) for key in wanted}
        if set(answer.rows) - set(_OPTIONAL) - self._rows:
            raise WireError("it holds facts that were not asked for")
        for key, number in counted.items():
            if counts.get(key) != number:
                raise WireError(f"{number} {key.decode()} came and {counts.get(key)!r} were announced")
        arrived = tree.arrived()
        hello = answer.hello or {}
        looked = tuple(sorted(set(answer.rows.get(b"looked", ()))))
        return Fingerprint(
            entries=arrived.entries,
            apart=arrived.apart,
            facts=values.sorted_facts(answer.rows.get(b"facts", ()), looked),
            looked=looked,
            sessions=tuple(answer.rows.get(b"sessions", ())),
            coverage=Coverage(
                entries=len(arrived.entries),
                bytes_hashed=values.number(counts.get(b"bytes_hashed"), 1 << 62),
                unreadable=len(answer.paths[b"unreadable"]),
                covered=len(answer.paths[b"covered"]),
                reasons=dict(sorted(answer.reasons.items())),
            ),
            root=arrived.root,
            boot_id=values.string(hello.get(b"boot_id", b""))[:_SAID_LIMIT],
            booted_at=values.time(hello[b"booted_at"]) if b"booted_at" in hello else None,
            unreadable=tuple(sorted(answer.paths[b"unreadable"])),
            covered=tuple(sorted(answer.paths[b"covered"])),
            mounted=tuple(sorted(answer.paths[b"mounted"])),
            kept=tuple(sorted(set(answer.rows.get(b"kept", ())))),
            live=bool(values.number(hello.get(b"live", 0), 2)),
            readings=values.readings(answer.rows),
        )


_PATHS = (b"unreadable", b"covered", b"mounted")
_TAGS = {b"facts": wire.FACTS, b"sessions": wire.SESSIONS}


@dataclass(slots=True)
class _Answer:
    """What has been read so far."""

    tree: Arriving
    hello: dict[bytes, Any] | None = None
    rows: dict[bytes, list[Any]] = field(default_factory=dict)
    paths: dict[bytes, list[bytes]] = field(default_factory=lambda: {key: [] for key in _PATHS})
    reasons: dict[str, int] = field(default_factory=dict)
    taken: int = 0

    def collect(self, message: dict[bytes, Any], keys: Collection[bytes], limits: Limits) -> None:
        for key, rows in message.items():
            if key not in keys or not isinstance(rows, list):
                raise WireError("facts of no known kind")
            self.taken += len(rows)
            if self.taken > limits.rows:
                raise WireError(f"more than {limits.rows} facts")
            # What a row is is seen at once: nested lists would fill the memory long before the last frame.
            self.rows.setdefault(key, []).extend(map(values.ROWS[key], rows))

    def cover(self, message: dict[bytes, Any], limits: Limits) -> None:
        for key, value in message.items():
            if key == b"reasons" and isinstance(value, dict):
                for reason, number in value.items():
                    self.reasons[values.string(reason)[:_SAID_LIMIT]] = values.number(number, 1 << 62)
                if len(self.reasons) > _REASONS_LIMIT:
                    raise WireError(f"more than {_REASONS_LIMIT} reasons")
            elif key in self.paths and isinstance(value, list):
                paths = self.paths[key]
                paths.extend(path_of(path) for path in value)
                if len(paths) > limits.entries:
                    raise WireError("more paths than entries may be")
            else:
                raise WireError("coverage of no known kind")
