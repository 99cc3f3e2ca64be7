"""The dialogue of one look, for whoever holds the connection: what arrives goes in, what to send comes out.

First the fingerprint; then, if there is something to ask of it, the asks and their answers. Pure: no clock, no IO.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from driftd.core import asks
from driftd.core.asks import AnswerReader, Ask
from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint, Reader


class Talk:
    """``feed`` what arrives and send what it returns; stop when ``over``, then ``finish``. Never raises for either.

    ``ask`` is what ``Looker.look`` was given, ``nonce`` a fresh one for the answers.
    """

    def __init__(self, reader: Reader, ask: Callable[[Fingerprint], Sequence[Ask]] | None, nonce: bytes) -> None:
        self._reader = reader
        self._ask = ask
        self._nonce = nonce
        self._seen: Fingerprint | Unseen | None = None
        self._answers: AnswerReader | None = None

    @property
    def over(self) -> bool:
        """True when nothing more is to be read: all of it came, or it is already worth nothing."""
        if self._answers is not None:
            return self._answers.over
        return self._seen is not None

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes that came; what is to be sent now, b"" for nothing."""
        if self._answers is not None:
            self._answers.feed(data)
            return b""
        self._reader.feed(data)
        if not self._reader.over or self._seen is not None:
            return b""
        seen = self._seen = self._reader.finish()
        if self._ask is None or isinstance(seen, Unseen) or any(one.kind == asks.KEPT for one in seen.kept):
            return b""
        wanted = asks.bounded(self._ask(seen))
        if wanted:
            self._answers = AnswerReader(self._nonce, wanted)
        return asks.encode(self._nonce, wanted)

    def finish(self) -> Fingerprint | Unseen:
        """What it all amounts to, once no more of it will come."""
        if self._seen is None:
            self._seen = self._reader.finish()
        if isinstance(self._seen, Unseen) or self._answers is None:
            return self._seen
        answers = self._answers.finish()
        return answers if isinstance(answers, Unseen) else replace(self._seen, answers=answers)
