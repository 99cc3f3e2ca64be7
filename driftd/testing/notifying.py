"""A notifier in memory; what it promises is in ``driftd.testing.contracts.notifiers``."""

from __future__ import annotations

from dataclasses import dataclass, field

from driftd.core.errors import DriftdError
from driftd.core.notices import Notice


@dataclass
class FakeNotifier:
    """``driftd.core.ports.Notifier`` in memory. It keeps what it was told, and raises ``down`` where that is set."""

    notices: list[Notice] = field(default_factory=list)
    down: DriftdError | None = None

    def send(self, notice: Notice) -> None:
        """See ``Notifier.send``."""
        if self.down is not None:
            raise self.down
        self.notices.append(notice)
