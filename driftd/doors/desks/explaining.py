"""What the doors may ask about findings: what each differs in, since when, because of what, and what comes next."""

from __future__ import annotations

from typing import Protocol

from driftd.core.explanation import Asked


class ExplainDesk(Protocol):
    """Explains. Raises DriftdError with a sentence for what nobody knows."""

    def explain(self, name: str) -> Asked:
        """Of a finding (its number or signature): that one. Of an instance (id, slot or address): each open one."""
        ...
