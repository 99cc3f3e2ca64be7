"""The answer as it comes in: counted, bounded, and given to the reader of fingerprints."""

from __future__ import annotations

from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.core.glance.talk import GlanceTalk
from driftd.core.talk import Talk
from driftd.probe.collector import NO_PYTHON
from driftd.probe.wire import WireError

STDERR_KEPT = 4096


class Answer:
    """Both outputs of the far command, at most ``limit`` bytes together; more raises ``WireError``.

    ``received`` counts standard output, ``said`` is the beginning of standard error. ``talk`` is who understands it.
    """

    def __init__(self, talk: Talk | GlanceTalk, limit: int) -> None:
        self.talk = talk
        self._limit = limit
        self._counted = 0
        self.received = 0
        self.said = b""

    @property
    def over(self) -> bool:
        """Whether it is whole, or worth nothing already."""
        return self.talk.over

    def feed(self, data: bytes) -> bytes:
        """The next piece of standard output, and what to send now; nothing may follow a whole answer."""
        if self.over:
            raise WireError("more came after its end")
        self._count(data)
        self.received += len(data)
        return self.talk.feed(data)

    def instead(self, talk: Talk) -> None:
        """Another one answers: a collector, where there is no Python."""
        self.talk = talk

    def complain(self, data: bytes) -> None:
        """The next piece of standard error."""
        self._count(data)
        self.said += data[: max(0, STDERR_KEPT - len(self.said))]

    def finish(self) -> Fingerprint | Unseen:
        """What it amounts to."""
        return self.talk.finish()

    def complaint(self) -> bytes:
        """The line of standard error that says most: sudo's if there is one, and not one that says nothing of why."""
        idle = (b"Could not chdir to home", NO_PYTHON.encode())
        lines = [line for line in self.said.split(b"\n") if line.strip() and not any(word in line for word in idle)]
        return next((line for line in lines if b"sudo" in line), lines[0] if lines else b"")

    def _count(self, data: bytes) -> None:
        self._counted += len(data)
        if self._counted > self._limit:
            raise WireError(f"it is longer than {self._limit} bytes")
