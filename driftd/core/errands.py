"""A look by errands, where nothing stays open between two questions: each goes to a process of its own. Pure: no IO.

The tree and sessions first, then facts, then what is to be asked of both (docs/wire.md). An errand's question can be
read by others than the instance, so no digest key is in one, and secrets have no digests.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from driftd.core import asks
from driftd.core.arriving import Arrived, Limits
from driftd.core.asks import Answer, AnswerReader, Ask
from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.core.framing import FrameReader
from driftd.core.glance.streams import Rest
from driftd.core.interned import Interned
from driftd.probe import wire

_HEAD = struct.Struct(">cI")
_NONCE = b"\xff" * 16  # as long as one is
_TREE, _FACTS = (b"sessions",), (b"facts",)
ASKING = 8  # errands that ask, at most: what is left is said to be too much
_TOO_MUCH = Answer(how=asks.CUT_SHORT, why="it is more than can be asked by commands")


@dataclass(frozen=True, slots=True)
class Errand:
    """One question to one process: its frame, whose tag says which part of the program answers, and who reads that."""

    question: bytes
    reader: FrameReader

    @property
    def tag(self) -> bytes:
        """The frame's."""
        return self.question[:1]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One look. ``seconds`` says how many are left; ``room`` is how long a question may be once it is ``packed``."""

    nonce: Callable[[], bytes]
    seconds: Callable[[], int]
    now: int
    room: int
    since: int | None = None
    ask: Callable[[Fingerprint], Sequence[Ask]] | None = None
    image: Interned | None = None

    def limits(self) -> dict[bytes, int]:
        """Those of a question that is asked now."""
        limits = {b"seconds": max(1, self.seconds()), b"now": self.now}
        return limits if self.since is None else limits | {b"since": self.since}


def packed(question: bytes) -> bytes:
    """A question as it travels."""
    return zlib.compress(question, 9)


def errands(wanted: Wanted) -> Generator[Errand, None, Fingerprint | Unseen]:
    """Each errand in turn, and at the end what they amount to. The next one is made when this one was read."""
    tree = Reader(nonce := wanted.nonce(), _TREE, image=wanted.image)
    yield Errand(wire.encode_request(nonce, b"/", _TREE, limits=wanted.limits()), tree)
    seen = tree.finish()
    if isinstance(seen, Unseen):
        return seen
    facts = Rest(nonce := wanted.nonce(), _FACTS, Limits(), Arrived((), b""), b"")
    yield Errand(_facts(nonce, wanted.limits()), facts)
    found = facts.finish()
    if isinstance(found, Unseen):
        return found
    if found.boot_id != seen.boot_id:
        return Unseen("it was restarted while it was looked at", "look again")
    seen = _joined(seen, found)
    if wanted.ask is None or any(one.kind == asks.KEPT for one in seen.kept):
        return seen
    return (yield from _asked(seen, asks.bounded(wanted.ask(seen)), wanted))


def _facts(nonce: bytes, limits: dict[bytes, int]) -> bytes:
    said = {b"nonce": nonce, b"schema": wire.SCHEMA, b"root": b"/", b"sections": [*_FACTS], b"key": b"", b"known": b""}
    payload = wire.pack({**said, b"limits": limits})
    return _HEAD.pack(wire.FACTS, len(payload)) + payload


def _joined(seen: Fingerprint, found: Fingerprint) -> Fingerprint:
    """The tree and sessions of the one, the facts of the other."""
    return replace(
        seen,
        facts=found.facts,
        looked=found.looked,
        kept=tuple(sorted({*seen.kept, *found.kept})),
        coverage=replace(seen.coverage, reasons={**seen.coverage.reasons, **found.coverage.reasons}),
    )


def _asked(
    seen: Fingerprint, questions: Sequence[Ask], wanted: Wanted
) -> Generator[Errand, None, Fingerprint | Unseen]:
    answers: dict[Ask, Answer] = dict.fromkeys(questions, _TOO_MUCH)
    for number, some in enumerate(_fitting(questions, wanted.room)):
        if number == ASKING:
            break
        reader = AnswerReader(nonce := wanted.nonce(), some)
        yield Errand(asks.encode(nonce, some), reader)
        told = reader.finish()
        if isinstance(told, Unseen):
            return told
        answers |= told
    return replace(seen, answers=answers)


def _fitting(questions: Sequence[Ask], room: int) -> Iterator[Sequence[Ask]]:
    """The questions in their order, as many at a time as fit; those that never will are left out."""
    if not questions:
        return
    if len(packed(asks.encode(_NONCE, questions))) <= room:
        yield questions
    elif len(questions) > 1:
        half = len(questions) // 2
        yield from _fitting(questions[:half], room)
        yield from _fitting(questions[half:], room)
