"""What the doors may ask about the journal's proof and the store's care."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from driftd.core.export import Proof


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why nothing is changed anywhere: ``code`` is journal-broken or a doubt's, ``hint`` what to do."""

    code: str
    why: str
    hint: str


@dataclass(frozen=True, slots=True)
class Proven:
    """An export, verified offline: ``said`` are sentences for a person, ``good`` is False where one is against it."""

    good: bool
    proof: Proof
    said: Sequence[str]


@dataclass(frozen=True, slots=True)
class CheckpointMade:
    """A checkpoint that was written to ``file``, for the journal's line ``seq``."""

    file: Path
    seq: int
    hash: str
    signed: bool


@dataclass(frozen=True, slots=True)
class StoreState:
    """A store, or a copy of one: ``values`` for machines, ``said`` for a person, ``good`` if it is whole."""

    good: bool
    values: Mapping[str, object]
    said: Sequence[str]


class KeepingDesk(Protocol):
    """Every method raises DriftdError with a sentence."""

    def stopped(self) -> Sequence[Stopped]:
        """What the store says against any change; empty when nothing does."""
        ...

    def verify(self) -> Mapping[str, object]:
        """``{"ok": bool, "lines": int, "head": str, "said": str, "accepted": [...]}``."""
        ...

    def export(self, since: int) -> Iterator[bytes]:
        """The journal as a file's lines, the header first; only what came after line ``since``."""
        ...

    def prove(self, file: Path, checkpoint: Path | None, keys: Sequence[Path]) -> Proven:
        """Verify an export, with neither store nor configuration."""
        ...

    def checkpoint(self, file: Path | None) -> CheckpointMade:
        """Verify the chain and sign for its head; to the configured place, or to ``file``."""
        ...

    def accept_break(self, reason: str) -> str:
        """Go on from a broken chain in a new segment; the sentence of what was accepted."""
        ...

    def check(self) -> StoreState: ...

    def backup(self, file: Path) -> StoreState: ...

    def restore(self, file: Path) -> Sequence[str]: ...

    def upgrade(self) -> Sequence[str]: ...

    def accept(self, reason: str) -> Sequence[str]:
        """A person looked, and the store may act again; what was doubted."""
        ...
