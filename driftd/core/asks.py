"""Asks: what a look may ask about single files once it has seen the whole, and the answers as they come in.

A fingerprint has digests and no contents, so it cannot say whether a log's old content is still its beginning or
whether a file holds what a template says. Whoever judges asks for exactly that, on the same connection, and gets a
digest, a yes or a no; contents only of what a pack lists as showable, without its secrets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from driftd.core.facts import Unseen
from driftd.core.framing import AGAIN, FrameReader, dictionary
from driftd.probe import dialogue, wire
from driftd.probe.wire import WireError

# The ways in which an ask can fail to be answered (``Answer.how``).
NOT_AVAILABLE, NOT_PERMITTED, CUT_SHORT, CHANGED = (
    how.decode() for how in (dialogue.NOT_AVAILABLE, dialogue.NOT_PERMITTED, dialogue.CUT_SHORT, dialogue.CHANGED)
)
KEPT = "asks"  # the kind under which a look says that it cannot be asked at all (facts.Kept)
ASKS_LIMIT = dialogue.ASKS_LIMIT
CONTENT_LIMIT = dialogue.CONTENT_LIMIT
_TELL = ("show", "trail", "copy", "processes")  # which answers have a content


@dataclass(frozen=True, slots=True, order=True)
class Ask:
    """One question about the regular file at ``path`` (of a trail: whatever it is); links are not followed.

    ========== ======================== ==========================================================================
    ``what``   ``argument``             the answer
    ========== ======================== ==========================================================================
    prefix     N in decimal             ``size`` now, ``sha256`` of the first N bytes (b"" when there are fewer)
    match      a regular expression     ``yes`` if it matches the whole content, at most 64 KiB
    unpacked   N in decimal             of what gz, bz2, xz or zst unpacks to: ``prefix`` over the first N bytes,
                                        ``size`` and ``sha256`` (b"" when it is much longer than N)
    pyc        its source, if elsewhere ``yes`` if it is what its source compiles to; ``sha256``, ``size`` of the source
    show       what redaction is told   ``content`` without its secrets, ``size``, ``sha256`` of the file as it is
    copy       from which byte          ``size`` of a program, ``content``: a piece of it as it is (probe/copying.py)
    processes  page in decimal          ``size``: how many pages; ``content``: one of them (probe/roster.py)
    trail      nothing                  ``size``: its ctime in ns, or (not ``yes``) that of the directory above,
                                        where it is gone; ``content``: living processes (core/trails.py)
    ========== ======================== ==========================================================================

    In a regular expression ``(?#hostname)`` stands for the names that the instance itself goes by.
    """

    path: bytes
    what: str
    argument: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one ask. ``how`` is "" when it was answered, else why not in one word, and ``why`` as a sentence."""

    how: str = ""
    why: str = ""
    yes: bool = False
    size: int = 0
    sha256: bytes = b""
    prefix: bytes = b""
    content: bytes = b""


Answers = Mapping[Ask, Answer]


def encode(nonce: bytes, asks: Sequence[Ask]) -> bytes:
    """The frame that asks. Raises WireError for more than one look may ask."""
    return dialogue.encode_asks(nonce, [(ask.path, ask.what.encode(), ask.argument) for ask in asks])


def bounded(asks: Sequence[Ask]) -> tuple[Ask, ...]:
    """As many of the asks as one look may ask, each once, in their order."""
    taken: dict[Ask, None] = {}
    left = wire.FRAME_LIMIT // 2
    for ask in asks:
        left -= len(ask.path) + len(ask.argument) + 64
        if left < 0 or len(taken) >= ASKS_LIMIT:
            break
        if len(ask.argument) <= dialogue.ARGUMENT_LIMIT:
            taken[ask] = None
    return tuple(taken)


class AnswerReader(FrameReader):
    """Reads the second stream piece by piece, as ``fingerprint.Reader`` the first.

    Every ask has to be answered, in its order and once; anything else is ``Unseen``. Never raises. Memory is bounded:
    what may be shown, at most, times the number of asks.
    """

    damaged = "the answers to what was asked are damaged"

    def __init__(self, nonce: bytes, asks: Sequence[Ask]) -> None:
        super().__init__()
        self._nonce = nonce
        self._asks = asks
        self._greeted = False
        self._answers: dict[Ask, Answer] = {}

    def feed(self, data: bytes) -> None:
        """Take the next bytes: nothing may come before the first frame, or between two."""
        super().feed(data)
        if self._decoder.noise or not wire.MAGIC.startswith(self._decoder.heard[: len(wire.MAGIC)]):
            self._fail(f"{self.damaged}: something came before them", AGAIN)

    def finish(self) -> Answers | Unseen:
        """What the answers amount to, once no more of them will come."""
        if self._failure is None and not self._decoder.finished:
            self._fail(f"the answers were cut off after {len(self._answers)} of {len(self._asks)}", AGAIN)
        if self._failure is None and len(self._answers) != len(self._asks):
            self._fail(f"{len(self._answers)} answers came to {len(self._asks)} questions", AGAIN)
        return self._answers if self._failure is None else self._failure

    def _forget(self) -> None:
        self._answers = {}

    def _take(self, frame: wire.Frame) -> None:
        if not self._greeted:
            if frame.tag != wire.HELLO or dictionary(frame.payload) != dialogue.greeting(self._nonce):
                raise WireError("they are not to these questions")
            self._greeted = True
        elif frame.tag == dialogue.ANSWERS:
            rows = wire.unpack(frame.payload)
            if not isinstance(rows, list):
                raise WireError("a frame of no known kind")
            for value in rows:
                self._answer(*dialogue.read_row(value))
        else:
            raise WireError(f"a frame of no known kind ({frame.tag!r})")

    def _answer(self, number: int, answer: dialogue.Answer) -> None:
        if number != len(self._answers) or number >= len(self._asks):
            raise WireError("an answer is to no question, or in a wrong place")
        ask = self._asks[number]
        if answer.content and ask.what not in _TELL:
            raise WireError("contents came that were not asked for")
        self._answers[ask] = Answer(
            how=answer.how.decode(),
            why=answer.why.decode("utf-8", "backslashreplace"),
            yes=bool(answer.yes),
            size=answer.size,
            sha256=answer.sha256,
            prefix=answer.prefix,
            content=answer.content,
        )
