"""Rollout: a group is moved to another image, and back where that one is no good. Pure decisions, the time given.

A rollout makes no call of its own. It opens replacements, opens gates for those that go together, and calls them off;
each of them is done by the replacement controller behind the guards that every change has. It is asked for by a person:
the breakers about drift that many share, and the pace, do not bind it; capacity, health, quorum, holds and people do.

All begin with the canary's share, in service and watched before anything else follows. Then:

* ``canary`` and ``rolling``: the others by and by, as many at once as the group's budget allows. They differ in the
  share: of ``rolling`` it is one instance.
* ``blue-green``: the whole new set is launched and verified first. Once the canary's share has stayed well, the rest is
  put in service, and when all of it is, the old set is taken out in one step and kept as it is for a while.

One replacement that fails turns the rollout back by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Protocol

from driftd.core.replacement import TERMINAL, Record, State
from driftd.core.wording import listed, rollouts


class Strategy(StrEnum):
    """How a group gets from one image to another."""

    CANARY = "canary"
    ROLLING = "rolling"
    BLUE_GREEN = "blue-green"


class Stage(StrEnum):
    """How far it is. In BACK it undoes what it did."""

    FIRST = "first"
    REST = "rest"
    KEPT = "kept"
    BACK = "back"
    DONE = "done"
    UNDONE = "undone"
    STUCK = "stuck"


OVER = frozenset({Stage.DONE, Stage.UNDONE, Stage.STUCK})


class Gate(IntEnum):
    """What those that go together may do by now: nothing but be verified, serve, or let the old set go."""

    SHUT = 0
    FIRST = 1
    ALL = 2
    SWITCH = 3


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout, as the store keeps it. ``id`` is a ULID.

    ``before`` is the image that it goes back to. ``share`` is the canary's part of the group, in percent; ``keep`` how
    long the old set of a blue-green one is kept. ``fault`` is why it turns back ("" while it does not), ``back_by`` the
    person who asked for that. ``of`` is the earlier one that it takes back.
    """

    id: str
    group: str
    image: str
    before: str
    strategy: Strategy
    share: int
    keep: timedelta
    asked_by: str
    reason: str
    created_at: datetime
    entered_at: datetime
    stage: Stage = Stage.FIRST
    gate: Gate = Gate.SHUT
    note: str = ""
    fault: str = ""
    back_by: str = ""
    of: str = ""
    version: int = 0

    @property
    def together(self) -> bool:
        """Whether all of it goes as one set."""
        return self.strategy is Strategy.BLUE_GREEN


@dataclass(frozen=True, slots=True)
class Choice:
    """The image that a group is to run since a time. ``configured`` is what its configuration said then.

    ``rollout`` is the id of the one that chose it, "" where the configuration did; ``back`` that it was gone back to.
    """

    group: str
    image: str
    configured: str
    since: datetime
    rollout: str = ""
    back: bool = False


def desired(configured: str, chosen: Sequence[Choice]) -> str:
    """The image that a group is to run now. ``chosen`` is the group's, oldest first.

    What a rollout chose counts until the configuration says something else than it did then.
    """
    last = chosen[-1] if chosen else None
    return last.image if last is not None and last.configured == configured else configured


@dataclass(frozen=True, slots=True)
class View:
    """What a rollout sees of its group.

    ``members`` are the instances that fill its slots, id to image: no newcomers of replacements under way. ``busy`` are
    those of them that a replacement of somebody else is about. ``records`` are the rollout's own, also those that are
    over.
    """

    members: Mapping[str, str]
    records: Sequence[Record] = ()
    busy: frozenset[str] = field(default_factory=frozenset)

    @property
    def opened(self) -> list[Record]:
        """Those of its own that are under way."""
        return [one for one in self.records if one.state not in TERMINAL]


# --- answers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begin:
    """Open a replacement of each of these by ``image``; the first ``canaries`` of them are watched as canaries."""

    ids: tuple[str, ...]
    image: str
    why: str
    canaries: int = 0


@dataclass(frozen=True, slots=True)
class CallOff:
    """Cancel these replacements."""

    rids: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Turn:
    """The rollout's next stage or gate. ``hint`` where a person is needed."""

    why: str
    stage: Stage
    gate: Gate
    fault: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Stay:
    """Nothing to do now."""

    why: str


Answer = Begin | CallOff | Turn | Stay


def decide(rollout: Rollout, view: View) -> Answer:
    """The next thing. Every answer carries one sentence saying why."""
    if rollout.stage in OVER:
        raise ValueError(f"rollout {rollout.id} is over: {rollout.stage}")
    if rollout.stage is Stage.BACK:
        return _back(rollout, view)
    if fault := _fault(rollout, view):
        return Turn(rollouts.turned(rollout.image, rollout.before, fault), Stage.BACK, rollout.gate, fault)
    if not view.members:
        return Stay(rollouts.nobody(rollout.group))
    return _set(rollout, view) if rollout.together else _waves(rollout, view)


def _fault(rollout: Rollout, view: View) -> str:
    """Why it turns back; "" while it goes on."""
    if rollout.back_by:
        return rollouts.asked_back(rollout.back_by)
    for record in view.records:
        why = record.fault or record.note
        if record.state is State.UNDOING or (record.state in TERMINAL and _failed(record)):
            return rollouts.failed(record.slot or record.old_id, why)
    return ""


def _failed(record: Record) -> bool:
    """Whether it did not succeed, though there was an old one to replace and nobody else did."""
    if record.state is State.SUCCEEDED:
        return False
    return record.state is not State.CANCELLED or record.cancel_requested or record.launched


def first_share(rollout: Rollout, size: int) -> int:
    """How many are the canary's share: of a group so large, at least one, and never all where there are more."""
    if rollout.strategy is Strategy.ROLLING:
        return min(1, size)
    return min(max(1, size * rollout.share // 100), max(1, size - 1))


# --- one after the other ---------------------------------------------------------------------------------------------


def _waves(rollout: Rollout, view: View) -> Answer:
    lacking = _lacking(rollout.image, view)
    if rollout.stage is Stage.FIRST:
        return _first(rollout, view, lacking)
    if free := [one for one in lacking if one not in view.busy]:
        return Begin(tuple(free), rollout.image, rollouts.rest(rollout.image, len(free)))
    if view.opened or lacking:
        done = len(view.members) - len(lacking) - len(view.opened)
        return Stay(rollouts.under_way(done, len(view.members), rollout.image))
    return Turn(rollouts.done(rollout.group, rollout.image), Stage.DONE, Gate.SWITCH)


def _first(rollout: Rollout, view: View, lacking: Sequence[str]) -> Answer:
    if view.opened:
        return Stay(rollouts.watching(_slots(view.opened), rollout.image))
    if view.records or not lacking:
        return Turn(rollouts.well(rollout.image), Stage.REST, Gate.SWITCH)
    share = min(first_share(rollout, len(view.members)), len(lacking))
    free = [one for one in lacking if one not in view.busy][:share]
    if len(free) < share:
        return Stay(rollouts.busy(sorted(view.busy & set(lacking))))
    return Begin(tuple(free), rollout.image, rollouts.first(rollout.image, len(free)), len(free))


def _lacking(image: str, view: View) -> list[str]:
    """Members that run something else and are not on their way, in their order."""
    begun = {one.old_id for one in view.opened}
    return [one for one, runs in view.members.items() if runs != image and one not in begun]


# --- all together ----------------------------------------------------------------------------------------------------

_SERVES = frozenset({State.SWITCHING, State.DRAINING, State.KEEPING})
_LET_GO = frozenset({State.KEEPING, State.QUIESCING, State.PARKING, State.RETIRING, State.SETTLING})


def _set(rollout: Rollout, view: View) -> Answer:
    if not view.records:
        return _launch(rollout, view, _lacking(rollout.image, view))
    opened = view.opened
    if not opened:
        return Turn(rollouts.done(rollout.group, rollout.image), Stage.DONE, Gate.SWITCH)
    if rollout.stage is Stage.KEPT:
        return Stay(rollouts.keeping(rollout.before))
    if rollout.gate is not Gate.SWITCH:
        ready, why = _ready(rollout.gate, opened)
        return Turn(why, rollout.stage, Gate(rollout.gate + 1)) if ready else Stay(why)
    if all(one.state in _LET_GO for one in opened):
        return Turn(rollouts.switched(rollout.image, rollout.keep), Stage.KEPT, Gate.SWITCH)
    return Stay(rollouts.switching())


def _launch(rollout: Rollout, view: View, lacking: Sequence[str]) -> Answer:
    if not lacking:
        return Turn(rollouts.done(rollout.group, rollout.image), Stage.DONE, Gate.SWITCH)
    if held := sorted(view.busy & set(lacking)):
        return Stay(rollouts.busy(held))
    canaries = first_share(rollout, len(lacking))
    return Begin(tuple(lacking), rollout.image, rollouts.whole(rollout.image, len(lacking)), canaries)


def _ready(gate: Gate, opened: Sequence[Record]) -> tuple[bool, str]:
    """Whether the next gate may open, and the sentence."""
    if gate is Gate.SHUT:
        late = [one for one in opened if one.state is not State.GATHERING]
        return not late, rollouts.verified(len(opened) - len(late), len(opened))
    if gate is Gate.FIRST:
        late = [one for one in opened if one.canary and one.state not in _SERVES]
        return not late, rollouts.canaries_well(_slots(late))
    late = [one for one in opened if one.state not in _SERVES]
    return not late, rollouts.serving(len(opened) - len(late), len(opened))


def _slots(records: Iterable[Record]) -> list[str]:
    return [one.slot or one.old_id for one in records]


def gated(rollout: Rollout | None, record: Record) -> str:
    """Why a replacement that goes together with others waits where it is; "" when it may go on."""
    gate = rollout.gate if rollout is not None else Gate.SHUT
    if record.state is State.GATHERING:
        if gate >= (Gate.FIRST if record.canary else Gate.ALL):
            return ""
        return rollouts.waits_verified() if gate is Gate.SHUT else rollouts.waits_canary()
    return "" if gate >= Gate.SWITCH else rollouts.waits_serving()


# --- and back --------------------------------------------------------------------------------------------------------


def _back(rollout: Rollout, view: View) -> Answer:
    ours = [one for one in view.opened if one.image == rollout.image]
    stop = [one.rid for one in ours if not one.cancel_requested and not one.committed and one.state not in _PAST]
    if stop:
        return CallOff(tuple(stop), rollout.fault)
    # Those that brought the image back and did not succeed: a second one would hardly do better.
    vain = [one for one in view.records if one.image == rollout.before and one.state in TERMINAL and _failed(one)]
    vain += [one for one in view.records if one.state is State.STUCK and one not in vain]
    if vain and not view.opened:
        why = rollouts.stuck(listed(_slots(vain)), rollout.fault)
        return Turn(why, Stage.STUCK, rollout.gate, hint=rollouts.by_hand(rollout))
    begun = {one.old_id for one in view.opened}
    astray = [one for one, runs in view.members.items() if runs == rollout.image and one not in begun]
    free = [one for one in astray if one not in view.busy]
    if free and not ours and not vain:
        return Begin(tuple(free), rollout.before, rollouts.returning(rollout.before, rollout.fault))
    if view.opened:
        return Stay(rollouts.undoing(_slots(view.opened), rollout.before))
    if astray:
        return Stay(rollouts.busy(sorted(astray)))
    return Turn(rollouts.undone(rollout.group, rollout.before, rollout.fault), Stage.UNDONE, rollout.gate)


# Past the point of no return, or about to be over: what succeeds is gone back from afterwards.
_PAST = frozenset({State.SETTLING, State.UNDOING})


def turned(rollout: Rollout, answer: Turn, now: datetime) -> Rollout:
    """The rollout after ``answer``."""
    entered = now if answer.stage is not rollout.stage else rollout.entered_at
    fault = answer.fault or rollout.fault
    note = f"{answer.why}; {answer.hint}" if answer.hint else answer.why
    return replace(rollout, stage=answer.stage, gate=answer.gate, fault=fault, note=note, entered_at=entered)


# --- the store -------------------------------------------------------------------------------------------------------


class RolloutTx(Protocol):
    """The part of ``core.memory.Tx`` about rollouts and the images that groups are to run."""

    def open_rollouts(self, group: str | None = None) -> Sequence[Rollout]:
        """Oldest first."""
        ...

    def rollouts(self, group: str, limit: int = 20) -> Sequence[Rollout]:
        """Newest first."""
        ...

    def add_rollout(self, rollout: Rollout) -> bool:
        """False when the group has one under way."""
        ...

    def save_rollout(self, rollout: Rollout) -> None:
        """``rollout.version`` is the one that was read. Raises ``StaleRecord`` when somebody else changed it since."""
        ...

    def rollout_records(self, rollout_id: str) -> Sequence[Record]:
        """Its replacements, oldest first."""
        ...

    def choices(self, group: str) -> Sequence[Choice]:
        """Oldest first."""
        ...

    def choose(self, choice: Choice) -> None: ...
