"""What the doors may ask about evidence: what is kept, what is in it, a copy, and a new bundle by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from driftd.core.custody.ledger import Kept


@dataclass(frozen=True, slots=True)
class Listed:
    """One bundle, and whether a file of the right length lies there."""

    kept: Kept
    there: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle that is what was kept: its index (docs/evidence.schema.json), and the sizes of its members."""

    kept: Kept
    index: Mapping[str, Any]
    members: Mapping[str, int]


class EvidenceDesk(Protocol):
    """Every method raises DriftdError with a sentence; an edited or missing bundle is BadInput."""

    def listed(self) -> Sequence[Listed]:
        """All that was ever kept, oldest first."""
        ...

    def opened(self, bundle_id: str) -> Opened:
        """One bundle, held against the digest in the journal."""
        ...

    def fetched(self, bundle_id: str) -> tuple[Kept, bytes]:
        """Its bytes, held against the digest in the journal, which then says who was given them."""
        ...

    def taken(self, name: str, because: str) -> Kept:
        """Take evidence of one running instance (id, slot, address) now."""
        ...
