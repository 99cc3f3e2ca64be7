"""Evidence: all that an expectation may be held against. What was baked, what is there, what was answered, the past."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from driftd.core import asks
from driftd.core.asks import Answer, Answers, Ask
from driftd.core.entries import at
from driftd.core.fingerprint import Fingerprint
from driftd.core.manifest import Manifest
from driftd.core.marks import SETTLING, Mark
from driftd.probe import wire
from driftd.probe.wire import Entry

_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
NOT_ASKED = Answer(asks.CUT_SHORT, "it was not asked")


@dataclass(frozen=True, slots=True)
class Evidence:
    """``there`` and ``baked`` are entries in their order. ``deaf`` says why the instance cannot be asked at all.

    ``marks`` are what earlier looks left, by path. ``born`` is the launch, or what is closest to it that is known. At
    and below the paths in ``blind`` the look could not see.
    """

    baked: tuple[Entry, ...] = ()
    there: tuple[Entry, ...] = ()
    answers: Answers = field(default_factory=dict)
    deaf: str = ""
    marks: Mapping[bytes, Mark] = field(default_factory=dict)
    now: datetime = _LATEST
    born: datetime | None = None
    blind: frozenset[bytes] = frozenset()

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        fingerprint: Fingerprint,
        marks: Mapping[bytes, Mark],
        now: datetime,
        born: datetime | None = None,
    ) -> Evidence:
        """All of it, from one look."""
        deaf = next((f"{one.how}: {one.why}" for one in fingerprint.kept if one.kind == asks.KEPT), "")
        blind = frozenset((*fingerprint.covered, *fingerprint.mounted, *fingerprint.unreadable))
        return cls(manifest.entries, fingerprint.entries, fingerprint.answers, deaf, marks, now, born, blind)

    def is_there(self, path: bytes) -> Entry | None:
        """The entry at ``path`` as the look saw it."""
        return at(self.there, path)

    def was_baked(self, path: bytes) -> Entry | None:
        """The entry at ``path`` as the image has it."""
        return at(self.baked, path)

    def blind_at(self, path: bytes) -> bool:
        """Whether the look could not see what is at ``path``, or above it."""
        while path not in self.blind and path != b"/":
            path = wire.parent(path)
        return path in self.blind

    def answer(self, ask: Ask) -> Answer:
        """What came of ``ask``."""
        if self.deaf:
            return Answer(asks.NOT_AVAILABLE, self.deaf)
        return self.answers.get(ask, NOT_ASKED)

    def mark(self, path: bytes, of: str) -> Mark | None:
        """What an earlier look left of ``path`` for this expectation."""
        mark = self.marks.get(path)
        return mark if mark is not None and mark.of == of else None

    def settling(self, mark: Mark) -> bool:
        """Whether the first boot may still have been writing when this look began."""
        born = mark.at if self.born is None else min(self.born, mark.at)
        return self.now - born < SETTLING


def state(entry: Entry) -> bytes:
    """A digest over all that is known of an entry but its name."""
    return hashlib.sha256(wire.encode_body(entry)).digest()


NO_EVIDENCE = Evidence(deaf="nothing was asked")
