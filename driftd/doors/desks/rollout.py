"""The desk at which rollouts are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from driftd.core.rollout import Choice, Rollout
from driftd.flows.rollout import Wish


@dataclass(frozen=True, slots=True)
class Rolled:
    """How a group stands: its newest rollouts, newest first; what it is to run; how many instances run which image."""

    rollouts: Sequence[Rollout]
    desired: str
    chosen: Sequence[Choice]
    runs: Mapping[str, int]


class RolloutDesk(Protocol):
    """What ``driftd rollout`` asks."""

    def shown(self, group: str) -> Rolled:
        """Raises ``BadInput`` for a group that nobody knows."""
        ...

    def ask(self, group: str, wish: Wish) -> Rollout:
        """Begin one. Raises ``BadInput`` with why it may not be."""
        ...

    def back(self, group: str, reason: str) -> Rollout:
        """Turn back. Raises ``BadInput``."""
        ...
