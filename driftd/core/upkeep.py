"""What the store and its journal know of themselves: who it is, how far the chain was verified, what is doubted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """``id`` is 32 hexadecimal digits, given once and kept by every copy.

    ``epoch`` is the newest lease's, 0 before any. ``floor`` is the highest epoch that a person took note of elsewhere:
    the next lease is above both. ``restored_at`` is when this file was put in place of another, ``restored_from`` names
    the backup and says how old it was.
    """

    id: str
    epoch: int = 0
    floor: int = 0
    restored_at: datetime | None = None
    restored_from: str = ""


@dataclass(frozen=True, slots=True)
class ChainState:
    """How far the journal was verified: ``count`` is the last good line's number and ``head`` its hash.

    ``whole_at`` is when the chain was last verified from its first line. ``broken`` is the number of the line from
    which on it does not hold (0: it does), ``why`` one sentence, ``broken_at`` when that was found.
    """

    count: int = 0
    head: str = ""
    checked_at: datetime | None = None
    whole_at: datetime | None = None
    broken: int = 0
    why: str = ""
    broken_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why this store may be older than the world, or not this world's. Open until a person settles it.

    ``code`` is restored, checkpoint, epoch or unknown-replacement; ``subject`` tells two of one code apart. ``epoch``
    is the highest that is known of elsewhere through it, else 0.
    """

    code: str
    subject: str
    why: str
    since: datetime
    epoch: int = 0
    settled_at: datetime | None = None
    settled_by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """A checkpoint as it was written: ``text`` is the file's, ``signed`` says whether any key stands under it."""

    seq: int
    hash: str
    epoch: int
    at: datetime
    signed: bool
    text: bytes


class Upkeep(Protocol):
    """The part of ``core.memory.Tx`` about all this."""

    def store_facts(self) -> StoreFacts: ...

    def chain(self) -> ChainState: ...

    def put_chain(self, state: ChainState) -> None: ...

    def doubts(self) -> Sequence[Doubt]:
        """Oldest first, settled ones too."""
        ...

    def add_doubt(self, doubt: Doubt) -> bool:
        """False when this was doubted before, settled or not."""
        ...

    def settle_doubts(self, by: str, reason: str, now: datetime) -> Sequence[Doubt]:
        """Settle all that are open, and keep the highest epoch among them; returns what was settled, as it was."""
        ...

    def checkpoints(self, limit: int = 50) -> Sequence[KeptCheckpoint]:
        """Newest first."""
        ...

    def add_checkpoint(self, checkpoint: KeptCheckpoint) -> None:
        """Keep it in place of another for the same line; the oldest go once there are very many."""
        ...
