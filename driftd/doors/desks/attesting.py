"""What the doors may ask about attestations: made of what is seen now or was seen last, and verified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from driftd.core.attestation import Attestation
    from driftd.core.attested import Verified


@dataclass(frozen=True, slots=True)
class Attested:
    """What was made: the envelope's whole text, and the ids of the keys that signed it."""

    attestation: Attestation
    text: bytes
    keys: tuple[str, ...]


class AttestDesk(Protocol):
    """Every method raises DriftdError with a sentence; where nothing could be seen, NotAttested."""

    def now(self, name: str, valid_for: timedelta, keys: Sequence[Path] = ()) -> Attested:
        """Look at one instance (id, slot, address) and attest it; signed with ``keys``, or the configured one."""
        ...

    def last(self, name: str, valid_for: timedelta, keys: Sequence[Path] = ()) -> Attested:
        """Attest what the daemon's last look at it saw, without a visit."""
        ...

    def verify(self, file: Path, keys: Sequence[Path] = (), *, instance: str = "", image: str = "") -> Verified:
        """An attestation that may be gone by now: by ``keys``, or the configured ones; of what is demanded, if it is.

        Raises NotAttested for any other, whatever is wrong with it.
        """
        ...
