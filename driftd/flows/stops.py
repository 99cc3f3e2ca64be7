"""Stops, asked: what holds every change right now. Whoever changes anything asks this before each call."""

from __future__ import annotations

from collections.abc import Callable

from driftd.core.memory import Store
from driftd.core.stops import Stops, stops_of


def stops(store: Store, group: str, outside: Callable[[str], str]) -> Stops:
    """What holds in ``group`` now. ``outside`` (the pause file, say) is asked first: it holds when the store is away.

    Raises ``StoreUnavailable``: then nothing may be changed either.
    """
    if said := outside(group):
        return Stops(frozen=said)
    with store.read() as tx:
        return stops_of(tx.pauses(), tx.chain(), tx.doubts(), group)


def no_pause(_group: str) -> str:
    """Nothing outside the store holds a group: for who has no pause file."""
    return ""


def no_fence() -> None:
    """There is no lease to check."""
