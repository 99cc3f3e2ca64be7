"""The chain: many lines checked in order, without keeping them (docs/journal.md tells a stranger how).

A chain that was found broken goes on in a new segment once a person accepted the break: a line that names the first
line that does not fit, binds the one before it by its hash, and seals every line from there up to itself by a digest.
Nothing is ever rewritten, so whoever verifies later sees the break, who accepted it, and that what lies before and
between is still what was accepted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from driftd.core.journal import GENESIS, OLDEST, SCHEMA, exported, line_hash
from driftd.core.memory import JournalLine

SUBJECT = "journal"
ACCEPTED = "break accepted"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A break that a person accepted: from line ``seq`` on, for ``why``; ``line`` is the one that says so."""

    seq: int
    why: str
    line: int
    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verified:
    """The chain holds. ``head`` is the last line's hash: noted elsewhere, it also proves that no line was cut off.

    ``accepted`` are the breaks in it that a person accepted.
    """

    count: int
    head: str
    accepted: tuple[Accepted, ...] = ()


@dataclass(frozen=True, slots=True)
class Broken:
    """The chain does not hold from line ``seq`` on; ``why`` is one sentence.

    ``head`` is the hash of the last line that fits; ``lines`` and ``found`` are how many lines follow from there and
    the digest that would seal them.
    """

    seq: int
    why: str
    lines: int = field(default=0, compare=False)
    found: str = field(default="", compare=False)
    head: str = field(default="", compare=False)


class Walk:
    """One pass over a chain. ``after``, ``head`` and ``epoch`` go on from where an earlier one found it good."""

    def __init__(self, after: int = 0, head: str = GENESIS, epoch: int = 0) -> None:
        self.count = after
        self.head = head
        self.epoch = epoch
        self.last = after
        self._accepted: list[Accepted] = []
        self._broken: tuple[int, str] | None = None
        self._sealed = 0
        self._seal = hashlib.sha256()

    @property
    def broken(self) -> bool:
        """Something does not fit, and no line so far accepts it."""
        return self._broken is not None

    @property
    def answer(self) -> Verified | Broken:
        """What is so up to the last line that was given."""
        if self._broken is not None:
            return Broken(*self._broken, self._sealed, self._seal.hexdigest(), self.head)
        return Verified(self.count, self.head, tuple(self._accepted))

    def step(self, line: JournalLine) -> None:
        """The next line."""
        why = wrong(line, self.count, self.head, self.epoch) if self._broken is None else ""
        if why:
            self._broken = (self.count + 1, why)
            self._sealed, self._seal = 0, hashlib.sha256()
        if self._broken is not None:
            accepted = self._acceptance(line, self._broken)
            if accepted is None:
                self._sealed += 1
                self._seal.update(sealing(line))
                self.last = line.seq
                return
            self._accepted.append(accepted)
            self._broken = None
        self.count, self.head, self.epoch, self.last = line.seq, line.hash, line.epoch, line.seq

    def _acceptance(self, line: JournalLine, broken: tuple[int, str]) -> Accepted | None:
        """What ``line`` says, where it accepts this very break; a line that is not whole says nothing."""
        body = line.body
        if line.kind != "human" or line.subject != SUBJECT or body.get("did") != ACCEPTED or not self._sealed:
            return None
        wanted = {"broken": broken[0], "head": self.head, "lines": self._sealed, "found": self._seal.hexdigest()}
        if any(body.get(name) != value for name, value in wanted.items()):
            return None
        if not _whole(line) or line.seq <= self.last:
            return None
        texts = [str(body.get(name, "")) for name in ("why", "by", "reason")]
        return Accepted(broken[0], texts[0], line.seq, line.at, texts[1], texts[2])


def wrong(line: JournalLine, count: int, head: str, epoch: int) -> str:
    """Why ``line`` does not follow on line ``count`` with this hash and epoch; "" when it does."""
    if line.seq != count + 1:
        return f"line {count + 1} is missing: line {line.seq} stands in its place"
    if line.prev != head:
        return f"line {line.seq} does not follow on the line before it"
    if line.schema not in {OLDEST, SCHEMA}:
        return f"line {line.seq} is of schema {line.schema}, which this driftd does not know"
    if not _whole(line):
        return f"line {line.seq} is not what was written: its content does not match its hash"
    if line.epoch < epoch:
        return f"line {line.seq} is of epoch {line.epoch}, after one of epoch {epoch}: two daemons wrote"
    return ""


def _whole(line: JournalLine) -> bool:
    try:
        return line.hash == line_hash(line)
    except (TypeError, OverflowError):
        return False


def sealing(line: JournalLine) -> bytes:
    """What a seal hashes of a line that is not to be believed: its bytes as they are exported, and a line feed."""
    return exported(line).encode() + b"\n"


def acceptance(broken: Broken, by: str, reason: str) -> Mapping[str, object]:
    """The body of the line that accepts ``broken``, to be added with kind ``human`` and subject ``SUBJECT``."""
    return {
        "did": ACCEPTED,
        "broken": broken.seq,
        "why": broken.why,
        "head": broken.head,
        "lines": broken.lines,
        "found": broken.found,
        "by": by,
        "reason": reason,
    }


def verify(lines: Iterable[JournalLine], *, after: int = 0, head: str = GENESIS, epoch: int = 0) -> Verified | Broken:
    """Check lines in order. ``after`` and ``head`` go on from an earlier answer's ``count`` and ``head``."""
    walk = Walk(after, head, epoch)
    for line in lines:
        walk.step(line)
    return walk.answer
