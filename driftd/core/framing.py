"""Reading a stream of frames that an instance may have forged: what every such reader has in common. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from driftd.core.facts import Unseen
from driftd.probe import wire
from driftd.probe.wire import WireError

AGAIN = "look again; if it stays so, look at the instance from outside"
_SAID_LIMIT = 500


class FrameReader(ABC):
    """``feed`` what arrives, stop when ``over``. Never raises. What failed once stays failed, whatever comes.

    A reader of one kind of stream says what a frame means (``_take``, which may raise WireError), and what of it is to
    be forgotten when the whole is worth nothing (``_forget``).
    """

    damaged = "the answer is damaged"

    def __init__(self) -> None:
        self._decoder = wire.Decoder()
        self._failure: Unseen | None = None

    @property
    def over(self) -> bool:
        """True when nothing more is to be read: the trailer came, or the stream is already worth nothing."""
        return self._failure is not None or self._decoder.finished

    @property
    def whole(self) -> bool:
        """True when the trailer came and nothing was wrong until then."""
        return self._failure is None and self._decoder.finished

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        if self._failure is not None:
            return
        try:
            for frame in self._decoder.feed(data):
                if frame.tag == wire.FAILED:
                    self._stopped(frame)
                else:
                    self._take(frame)
                if self.over:
                    return
        except WireError as error:
            self._fail(f"{self.damaged}: {error}", AGAIN)

    def _fail(self, reason: str, hint: str) -> None:
        if self._failure is None:
            self._failure = Unseen(reason, hint)
        self._forget()

    def _stopped(self, frame: wire.Frame) -> None:
        said = dictionary(frame.payload).get(b"reason", b"")
        reason = printable(text(said))[:_SAID_LIMIT] if isinstance(said, bytes) else ""
        self._fail(f"the probe stopped: {reason}", "see whether the instance is healthy, then look again")

    @abstractmethod
    def _take(self, frame: wire.Frame) -> None:
        """Take one frame."""

    @abstractmethod
    def _forget(self) -> None:
        """Give the memory back."""


def dictionary(payload: bytes) -> dict[bytes, Any]:
    """What a frame holds. Raises WireError for anything but a dictionary."""
    value = wire.unpack(payload)
    if not isinstance(value, dict):
        raise WireError("a message is not a dictionary")
    return value


def text(raw: bytes) -> str:
    """Bytes of an instance as text, whatever they are."""
    return raw.decode("utf-8", "backslashreplace")


def printable(said: str) -> str:
    """For a sentence: control characters shown, not obeyed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in said)
