"""What the doors may ask about rehearsals: the configured groups, played in a simulated world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from driftd.core.rehearsal import Rehearsed

Tell = Callable[[Rehearsed], None]


@dataclass(frozen=True, slots=True)
class Play:
    """What a person asked for. No ``groups`` are all of them, ``size`` 0 is what is known, ``jobs`` 0 all processors;
    ``owning`` says that slots own a volume and an address each, whatever the configuration says.
    """

    groups: Sequence[str] = ()
    first: int = 0
    seeds: int = 200
    size: int = 0
    jobs: int = 0
    owning: bool = False


class RehearsalDesk(Protocol):
    """Rehearses. Raises BadInput for a group that nobody knows."""

    def begin(self, wish: Play) -> Rehearsed:
        """What will be rehearsed, nothing of it played yet."""
        ...

    def play(self, wish: Play, into: Rehearsed, tell: Tell) -> None:
        """All of it; what was played stands in ``into``, also when this is interrupted."""
        ...
