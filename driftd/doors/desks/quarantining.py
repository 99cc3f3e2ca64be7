"""The desk at which instances are put into quarantine, and ended there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from driftd.core.quarantine import Quarantined


class QuarantineDesk(Protocol):
    """What ``driftd quarantine`` asks. Each raises ``BadInput`` and ``ProviderError``."""

    def kept(self) -> Sequence[Quarantined]:
        """All that are in quarantine."""
        ...

    def put(self, instance: str, reason: str) -> str:
        """Ask the daemon to replace it and keep it; the replacement's id."""
        ...

    def end(self, instance: str, reason: str) -> str:
        """Ask the daemon to end one that is kept; one sentence."""
        ...
