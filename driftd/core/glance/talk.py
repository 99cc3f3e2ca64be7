"""The dialogue of a look that costs what changed, for whoever holds the connection. Pure: no clock, no IO.

First the stat tree's root. The same as last time: the tree is as it was seen then. Another: of the unequal
directories the names whose stat moved are read anew. Nothing known: the names in all directories, then one whole look.
Beside it always facts and sessions, and what has to be asked. What was not understood costs a whole look, never a wrong
one.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from driftd.core import asks
from driftd.core.arriving import Arrived, Limits
from driftd.core.asks import AnswerReader, Ask
from driftd.core.facts import Unseen
from driftd.core.fingerprint import Extent, Fingerprint, Reader
from driftd.core.framing import AGAIN, FrameReader, printable
from driftd.core.glance import streams
from driftd.core.glance.known import KnownFacts
from driftd.core.glance.merge import Moved, asked, merged, moved
from driftd.core.glance.recalled import EVERY, Directories, Head, pack_directories, read_directories, vector_of
from driftd.core.interned import Apart, Interned
from driftd.probe import bencode, stats, wire
from driftd.probe.wire import WireError

_HEAD = struct.Struct(">cI")
_ASKING = (wire.FACTS, wire.SESSIONS)
REHASH_EVERY = 300  # seconds; what is due is read no oftener, so that a glance stays one
_Step = tuple[bytes, FrameReader]
_Talk = Generator[_Step, None, Fingerprint | Unseen]


@dataclass(frozen=True, slots=True)
class Span:
    """Files at or below one of ``prefixes`` are read again within ``period_s`` seconds, whatever their times say: at
    the latest at the first look ``REHASH_EVERY`` seconds after it.
    """

    period_s: int
    prefixes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Rehash:
    """The rolling rehash: at most ``bytes`` in one look, and not more than ``rate`` bytes a second. The first span that
    a file belongs to counts.
    """

    spans: tuple[Span, ...] = ()
    bytes: int = 256 * 1024 * 1024
    rate: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Program:
    """What is sent: the first piece behind its length; as frames what is needed to read names, and all the rest."""

    glance: bytes
    reading: bytes
    rest: bytes

    @property
    def digest(self) -> bytes:
        """The SHA-256 over all of it."""
        return hashlib.sha256(self.glance + self.reading + self.rest).digest()


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: see ``wire.encode_request``. ``now`` is in seconds since 1970; ``since`` is None for no launch."""

    nonce: Callable[[], bytes]
    seconds: int
    now: int
    root: bytes = b"/"
    since: int | None = None
    key: bytes = b""
    ask: Callable[[Fingerprint], Sequence[Ask]] | None = None
    rehash: Rehash = field(default_factory=Rehash)
    limits: Limits = field(default_factory=Limits)

    @property
    def sections(self) -> tuple[bytes, ...]:
        """A tree that is not the machine's own has no sessions."""
        return wire.SECTIONS if self.root == b"/" else (b"facts",)


@dataclass(frozen=True, slots=True)
class Left:
    """What is to be kept for the next look.

    ``directories`` are all those in the buckets ``numbers``; the others, or all where it is None, are as they were.
    """

    head: Head
    directories: Directories | None
    numbers: Collection[int] = EVERY

    def packed(self, known: Callable[[], bytes]) -> bytes | None:
        """The directories as they are to be kept, from those that are; None where they are to stay."""
        if self.directories is None:
            return None
        others = known() if len(self.numbers) < len(EVERY) else b""
        return pack_directories(self.head.vector, self.directories, others, self.numbers)


class Doubt(Exception):  # it is none that anybody is told of
    """Something of a glance was not as it should be: only a whole look can tell."""


class GlanceTalk:
    """``opening`` goes out first; then ``feed`` what arrives and send what it returns, until ``over``; then ``finish``.

    ``head`` and ``directories`` are what the last look left, ``image`` what the answer is held against, ``of`` what all
    of it belongs to. ``left`` is what the next one is to know, once it is over and not ``Unseen``; None where it is to
    begin anew. ``doubted`` says why what was known could not be used, "" where it could, or where nothing was known.
    """

    def __init__(
        self,
        question: Question,
        program: Program,
        image: Interned,
        of: bytes,
        head: Head | None,
        directories: Callable[[], bytes],
        loaded: int | None = None,
    ) -> None:
        self._question = question
        self._program = program
        self._image = image
        self._of = of
        self._head = head if head is not None and (head.of, head.image) == (of, image.root) else None
        self._directories = directories
        self._begins = loaded is None
        self.loaded = loaded or 0
        self._seen: Fingerprint | Unseen | None = None
        self._talk = self._dialogue()
        self._waiting: FrameReader | None = None
        self._rehashing = False
        self.left: Left | None = None
        self.doubted = ""

    def opening(self) -> bytes:
        """What to send before anything came."""
        return (self._program.glance if self._begins else b"") + self._next()

    @property
    def over(self) -> bool:
        """True when nothing more is to be read."""
        return self._seen is not None

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes that came; what is to be sent now, b"" for nothing."""
        if self._waiting is None or self._seen is not None:
            return b""
        self._waiting.feed(data)
        return self._next() if self._waiting.over else b""

    def finish(self) -> Fingerprint | Unseen:
        """What it all amounts to, once no more of it will come."""
        while self._seen is None:
            self._next()
        return self._seen

    def _next(self) -> bytes:
        try:
            data, self._waiting = next(self._talk)
        except StopIteration as ended:
            self._seen = ended.value
        except (Doubt, WireError, ValueError) as error:
            self._seen = Unseen(f"the answer to a glance was not understood: {printable(str(error))}", AGAIN)
        else:
            return data
        if isinstance(self._seen, Unseen):
            self.left = None
        return b""

    # --- the dialogue ------------------------------------------------------------------------------------------------

    def _dialogue(self) -> _Talk:
        """Each step yields what to send and who reads the answer to it."""
        view = streams.View(nonce := self._question.nonce())
        yield self._glance(nonce), view
        if failure := view.failed():
            return failure
        try:
            seen = yield from self._short(view)
        except (Doubt, WireError, ValueError) as error:
            self.doubted = str(error)
            seen = None
        if seen is not None:
            return seen
        self.left = None
        if not view.vector:
            self._head = None
            view = streams.View(nonce := self._question.nonce())
            yield self._glance(nonce), view
            if failure := view.failed():
                return failure
        return (yield from self._whole(view))

    def _short(self, view: streams.View) -> Generator[_Step, None, Fingerprint | Unseen | None]:
        """What the last look left and what moved since; None where only a whole look can tell."""
        head = self._head
        if head is None:
            return None
        if not view.vector:
            if view.root != head.stat_root:
                raise Doubt("it says that nothing changed, and names another root")
            return (yield from self._as_before(head))
        wanted = unequal(head.vector, view.vector)
        known = read_directories(self._directories(), head.vector, wanted) if view.around == head.around else None
        if known is None:
            return None
        return (yield from self._changed(head, known, wanted))

    def _as_before(self, head: Head) -> _Talk:
        """Nothing moved. What is due is read all the same."""
        if self._rehashing:
            return (yield from self._read(Left(head, None), Moved({}, frozenset(), {}), Extent.SAME))
        self.left = Left(head, None)
        entries, root = self._image.changed(head.changes) if head.changes else (self._image.entries, head.root)
        return (yield from self._beside(head, Arrived(entries, root, self._apart(head.changes)), Extent.SAME, 0))

    def _changed(self, head: Head, known: Directories, wanted: Collection[int]) -> _Talk:
        """``known`` are the directories in the buckets ``wanted``, which are the unequal ones."""
        names = streams.Names(nonce := self._question.nonce())
        digests: dict[int, list[bytes]] = {number: [] for number in wanted}
        for (point, path), one in known.items():
            digests[stats.bucket(point, path)].append(one.digest)
        asking = {b"%d" % number: b"".join(sorted(those)) for number, those in digests.items()}
        yield self._load(1) + self._frame(b"N", nonce, known=asking), names
        if failure := names.failed():
            raise Doubt(failure.reason)
        if names.beneath != head.beneath:
            raise Doubt("what lies beneath mounts is not what it was")
        found = moved(known, names.directories, names.gone)
        if not {stats.bucket(*place) for place in found.directories} <= {*wanted}:
            raise Doubt("it names directories that it was not asked for")
        left = Left(replace(head, vector=vector_of(found.directories, head.vector, wanted)), found.directories, wanted)
        return (yield from self._read(left, found, Extent.CHANGES))

    def _read(self, left: Left, found: Moved, extent: Extent) -> _Talk:
        """Read names anew, and with them what is due. ``left`` is what is known of the directories by now."""
        head = left.head
        part = streams.Part(nonce := self._question.nonce(), self._question.limits)
        names = [[point, path, list(those)] for (point, path), those in sorted(found.read.items())]
        rehash = self._question.rehash
        limits = {b"bytes": rehash.bytes, b"rate": rehash.rate}
        yield self._load(1) + self._frame(b"R", nonce, names=names, links=head.links, due=limits), part
        if failure := part.failed():
            raise Doubt(failure.reason)
        if part.beneath != head.beneath:
            raise Doubt("what lies beneath mounts is not what it was")
        if self._rehashing and len(part.reached) != len(rehash.spans):
            raise Doubt("it does not say how far the rehash came")
        lost = {path for path in asked(found.read) if path not in part.entries}
        links = part.groups if part.links != head.links else None
        changes = merged(self._image, head.changes, found.gone | lost, part.entries.values(), links)
        entries, root = self._image.changed(changes)
        gone = {*found.gone, *lost, *part.entries}
        head = replace(
            head,
            changes=changes,
            root=root,
            links=part.links,
            unreadable=tuple(sorted({*part.unreadable, *(path for path in head.unreadable if path not in gone)})),
            reached=part.reached if self._rehashing else head.reached,
        )
        self.left = replace(left, head=head)
        hashed = part.counts.get(b"bytes_hashed", 0)
        return (yield from self._beside(head, Arrived(entries, root, self._apart(changes)), extent, hashed))

    def _beside(self, head: Head, tree: Arrived, extent: Extent, hashed: int) -> _Talk:
        """Facts and sessions."""
        question = self._question
        known = head.facts.digest
        rest = streams.Rest(nonce := question.nonce(), question.sections, question.limits, tree, known)
        fields = {"schema": wire.SCHEMA, "root": question.root, "sections": sorted(question.sections)}
        yield self._load(2) + self._frame(wire.FACTS, nonce, key=question.key, known=known, **fields), rest
        seen = rest.finish()
        if isinstance(seen, Unseen):
            return seen
        facts = head.facts if rest.alike else KnownFacts.of(rest.facts)
        if rest.alike:
            found, looked, kept = facts.read()
            seen = replace(seen, facts=found, looked=looked, kept=tuple(sorted({*seen.kept, *kept})))
        coverage = replace(
            seen.coverage,
            bytes_hashed=max(0, hashed),
            unreadable=len(head.unreadable),
            covered=len(head.covered),
            reasons={**_lasting(head), **seen.coverage.reasons},
        )
        if self.left is not None:
            self.left = replace(self.left, head=replace(self.left.head, facts=facts))
        seen = replace(
            seen,
            coverage=coverage,
            extent=extent,
            unreadable=head.unreadable,
            covered=head.covered,
            mounted=head.mounted,
        )
        return (yield from self._asked(seen))

    def _whole(self, view: streams.View) -> _Talk:
        """All directories' names first, so that what changes while the rest is read differs from them the next time."""
        if not view.vector:
            raise Doubt("it names no buckets")
        question = self._question
        names = streams.Names(nonce := question.nonce())
        every = {b"%d" % number: b"" for number in range(stats.BUCKETS)}
        yield self._load(1) + self._frame(b"N", nonce, known=every), names
        if failure := names.failed():
            return failure
        reader = Reader(nonce := question.nonce(), question.sections, question.limits, self._image)
        limits = self._limits()
        request = wire.encode_request(nonce, question.root, question.sections, limits=limits, key=question.key)
        yield self._load(2) + request, reader
        seen = reader.finish()
        if isinstance(seen, Unseen):
            return seen
        apart = seen.apart
        if apart is None:
            raise Doubt("it was held against nothing")
        groups = _groups(seen)
        head = Head(
            of=self._of,
            around=view.around,
            beneath=names.beneath,
            vector=vector_of(names.directories),
            image=self._image.root,
            changes=apart.changes,
            root=seen.root,
            links=hashlib.sha256(bencode.pack(groups)).digest(),
            unreadable=seen.unreadable,
            covered=seen.covered,
            mounted=seen.mounted,
            reasons=seen.coverage.reasons,
            facts=KnownFacts.of(reader.facts),
            salt=question.nonce()[:8],
            reached=self._until(),
        )
        self.left = Left(head, names.directories)
        return (yield from self._asked(seen))

    def _asked(self, seen: Fingerprint) -> _Talk:
        if self._question.ask is None or any(one.kind == asks.KEPT for one in seen.kept):
            return seen
        wanted = asks.bounded(self._question.ask(seen))
        if not wanted:
            return seen
        reader = AnswerReader(nonce := self._question.nonce(), wanted)
        yield asks.encode(nonce, wanted), reader
        answers = reader.finish()
        return answers if isinstance(answers, Unseen) else replace(seen, answers=answers)

    # --- what is sent ------------------------------------------------------------------------------------------------

    def _glance(self, nonce: bytes) -> bytes:
        """The root that is known goes hidden by the nonce, so that nobody can say it who does not have it."""
        head, question = self._head, self._question
        if head is not None and len(head.reached) != len(question.rehash.spans):
            head = self._head = None
        known = hashlib.sha256(nonce + head.stat_root).digest() if head else b""
        spans: list[list[Any]] = []
        oldest = min(head.reached, default=question.now) if head else question.now
        self._rehashing = head is not None and question.now - oldest >= REHASH_EVERY
        if head is not None and self._rehashing:
            for span, reached in zip(question.rehash.spans, head.reached, strict=True):
                spans.append([span.period_s, min(reached, question.now), question.now, list(span.prefixes)])
        rehash = {b"salt": head.salt if head else b"", b"spans": spans}
        asking = self._frame(b"G", nonce, schema=wire.SCHEMA, root=question.root, skip=[], known=known, rehash=rehash)
        return (self._load(1) if spans else b"") + asking

    def _frame(self, tag: bytes, nonce: bytes, **fields: Any) -> bytes:
        message = {key.encode(): value for key, value in fields.items()}
        payload = bencode.pack(message | {b"nonce": nonce, b"limits": self._limits()})
        return _HEAD.pack(tag, len(payload)) + payload

    def _limits(self) -> dict[bytes, int]:
        limits = {b"seconds": self._question.seconds, b"now": self._question.now}
        return limits if self._question.since is None else limits | {b"since": self._question.since}

    def _load(self, upto: int) -> bytes:
        """The pieces of program that are not there yet."""
        pieces = (self._program.reading, self._program.rest)[self.loaded : upto]
        self.loaded = max(self.loaded, upto)
        return b"".join(pieces)

    def _until(self) -> tuple[int, ...]:
        return (self._question.now,) * len(self._question.rehash.spans)

    def _apart(self, changes: Mapping[bytes, wire.Entry | None]) -> Apart:
        return Apart(self._image.entries, changes)


def _lasting(head: Head) -> Mapping[str, int]:
    """The reasons of the last whole look that still hold: not what was so while it read."""
    gone = ("directories that changed", *(() if head.unreadable else ("unreadable: ",)))
    return {reason: number for reason, number in head.reasons.items() if not reason.startswith(gone)}


def unequal(known: bytes, told: bytes) -> set[int]:
    """The numbers of the buckets that are not alike."""
    if known == told:
        return set()
    size = stats.SIZE
    return {at // size for at in range(0, len(told), size) if known[at : at + size] != told[at : at + size]}


def _groups(seen: Fingerprint) -> list[list[bytes]]:
    """The hard links as a probe tells them (docs/wire.md)."""
    found: dict[bytes, list[bytes]] = {}
    for entry in seen.entries:
        if entry.same:
            found.setdefault(entry.same, []).append(entry.path)
    return sorted(found.values())
