"""Rehearse: seeds are played, each in a simulated world of its own, and all that came of them is told as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from driftd.core.rehearsal import Played, Rehearsed

Tell = Callable[[Rehearsed], None]
"""Hears how far it is, after each seed."""


def rehearse(played: Iterable[Played], into: Rehearsed, tell: Tell) -> None:
    """Add up ``played``, which comes in any order; ``into`` has all there is whenever this is left."""
    for one in played:
        into.add(one)
        tell(into)
