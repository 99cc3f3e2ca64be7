"""The answer as it comes in: counted, bounded, and given to the reader of fingerprints."""

from __future__ import annotations

from typing import Protocol

from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.probe.wire import WireError


class Reading(Protocol):
    """What reads an answer: fed piece by piece, asked at the end. Raises ``WireError`` for what is no answer."""

    @property
    def started(self) -> bool:
        """Whether the beginning of an answer was seen."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the answer is whole."""
        ...

    def feed(self, data: bytes) -> None:
        """The next piece."""
        ...

    def result(self) -> Fingerprint | Unseen:
        """What the whole answer says."""
        ...


class Answer:
    """Feeds ``reading`` until ``limit`` bytes, standard error included."""

    def __init__(self, reading: Reading, limit: int) -> None:
        self._reading = reading
        self._limit = limit
        self._counted = 0
        self.received = 0

    def count(self, size: int) -> None:
        """Count ``size`` bytes. Raises ``WireError`` past the limit."""
        self._counted += size
        if self._counted > self._limit:
            raise WireError(f"it is longer than {self._limit} bytes")

    def feed(self, data: bytes) -> None:
        """The next piece of standard output. Raises ``WireError``."""
        self.received += len(data)
        self.count(len(data))
        self._reading.feed(data)

    @property
    def started(self) -> bool:
        """Whether the beginning of an answer was seen."""
        return self._reading.started

    @property
    def finished(self) -> bool:
        """Whether the answer is whole."""
        return self._reading.finished

    def result(self) -> Fingerprint | Unseen:
        """What the whole answer says."""
        return self._reading.result()
