"""What the doors may ask about findings: what each differs in, since when, because of what, and what comes next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from driftd.core.aftermath import Aftermath
    from driftd.core.explanation import Asked
    from driftd.core.history import History
    from driftd.core.memory import InstanceRow, Tx


class ExplainDesk(Protocol):
    """Explains. Raises DriftdError with a sentence for what nobody knows."""

    def explain(self, name: str) -> Asked:
        """Of a finding (its number or signature): that one. Of an instance (id, slot or address): each open one."""
        ...

    def follows(self, tx: Tx, rows: Iterable[InstanceRow], now: datetime) -> Mapping[str, Aftermath]:
        """By id, what follows from the taint of those of ``rows`` that have one."""
        ...

    def motd(self, name: str) -> str:
        """What a person reads at login: on any server of the group ``name``, or on one instance, as it is now."""
        ...

    def history(self, name: str) -> History:
        """What happened on an instance (id, slot or address; of several of a slot the newest), as the store knows."""
        ...
