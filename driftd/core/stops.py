"""Stops: what holds every change in a group, from what the store says. Pure; guards and breakers are elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from driftd.core.memory import Pause
from driftd.core.upkeep import ChainState, Doubt
from driftd.core.wording import keeping, paused


@dataclass(frozen=True, slots=True)
class Stops:
    """``paused`` holds new work and forward steps; ``frozen`` holds every call, an undo's too. "" does not hold."""

    paused: str = ""
    frozen: str = ""

    @property
    def any(self) -> str:
        """The sentence of whatever holds, or ""."""
        return self.frozen or self.paused

    def against(self, *, undoing: bool) -> str:
        """Why a call may not be made now; "" when it may."""
        return self.frozen or ("" if undoing else self.paused)


def stops_of(pauses: Sequence[Pause], chain: ChainState, doubts: Sequence[Doubt], group: str) -> Stops:
    """What holds in ``group``. A broken journal and a doubted store hold everywhere, undoing too: nothing proves any
    more what was done, so that not even the way back is known.
    """
    here = [pause for pause in pauses if pause.group in {"", group}]
    gentle = next((paused(one.owner, one.group, one.reason) for one in here), "")
    if chain.broken:
        return Stops(gentle, keeping.journal_broken(chain.broken, chain.why))
    open_doubts = [doubt for doubt in doubts if doubt.settled_at is None]
    if open_doubts:
        more = f", and {len(open_doubts) - 1} more" if len(open_doubts) > 1 else ""
        return Stops(gentle, keeping.doubted(open_doubts[0].why + more))
    hard = next((keeping.paused_hard(one.owner, one.group, one.reason) for one in here if one.hard), "")
    return Stops(gentle, hard)
