"""Replacement, surge variant: the record, the steps and the transitions as data (core/decide.py decides by them)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """Where a replacement stands. The order of the forward states is the order of the story (surge variant)."""

    CONFIRMING = "confirming"
    ADMITTING = "admitting"
    LAUNCHING = "launching"
    BOOTING = "booting"
    VERIFYING = "verifying"
    ENROLLING = "enrolling"
    SOAKING = "soaking"
    DRAINING = "draining"
    RETIRING = "retiring"
    SETTLING = "settling"
    UNDOING = "undoing"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    FAILED_CLEAN = "failed-clean"
    ABORTED_SAFE = "aborted-safe"
    STUCK = "stuck"


TERMINAL = frozenset({State.SUCCEEDED, State.CANCELLED, State.FAILED_CLEAN, State.ABORTED_SAFE, State.STUCK})


@dataclass(frozen=True, slots=True)
class Record:
    """One replacement, as the store keeps it: everything needed to go on after a crash.

    ``rid`` is a ULID. ``why`` is the sentence that started it. ``entered_at`` is when ``state`` was entered.
    ``note`` is what the last decision said; ``next_at`` is when to look again. ``intent`` is the call that was
    announced and whose outcome is not yet written ("" when none is open): JSON, the full request.

    ``tries`` counts calls in a row that failed, ``streak`` readings in a row that were good; both start again with
    each state. ``refusal`` is the provider's sentence when it refused the last call. ``drain_sent`` says that we asked
    for the old one to be drained, ``drain_seen`` that it was then seen out of service, ``committed`` that its end was
    announced: the point of no return. While undoing, ``outcome`` is the state to finish in and ``fault`` the reason.
    """

    rid: str
    group: str
    slot: str
    image: str
    old_id: str
    why: str
    state: State
    created_at: datetime
    entered_at: datetime
    new_id: str = ""
    attempt: int = 1
    manual: bool = False
    cancel_requested: bool = False
    note: str = ""
    next_at: datetime | None = None
    intent: str = ""
    intent_at: datetime | None = None
    verified: bool = False
    version: int = 0
    tries: int = 0
    streak: int = 0
    refusal: str = ""
    drain_sent: bool = False
    drain_seen: bool = False
    committed: bool = False
    outcome: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One forward step: the call it makes, when it is done, how long it may take, and how it is undone.

    ``limit`` names a field of ``core.decide.Limits``; "" means that the step may wait for ever, saying why.
    After the step with ``no_return`` nothing is undone any more.
    """

    state: State
    call: str
    done_when: str
    limit: str
    undo: str
    no_return: bool
    sentence: str


STEPS: tuple[Step, ...] = (
    Step(
        State.CONFIRMING,
        "",
        "a second look, some time after the first, still asks for the replacement",
        "confirm_timeout",
        "",
        no_return=False,
        sentence="looking a second time before anything is changed",
    ),
    Step(
        State.ADMITTING,
        "",
        "the group can spare the change: one at a time, enough in service, no failure just before",
        "",
        "",
        no_return=False,
        sentence="waiting until the group can spare the change",
    ),
    Step(
        State.LAUNCHING,
        "launch",
        "one instance with our tag is listed",
        "launch_timeout",
        "terminate the newcomer",
        no_return=False,
        sentence="launching a newcomer from the image",
    ),
    Step(
        State.BOOTING,
        "",
        "the newcomer runs and its application answers",
        "boot_timeout",
        "terminate the newcomer",
        no_return=False,
        sentence="waiting for the newcomer to boot",
    ),
    Step(
        State.VERIFYING,
        "",
        "the newcomer's fingerprint equals the manifest and its application answers",
        "verify_timeout",
        "terminate the newcomer",
        no_return=False,
        sentence="fingerprinting the newcomer before it gets traffic",
    ),
    Step(
        State.ENROLLING,
        "register the newcomer",
        "the load balancer calls the newcomer healthy several times in a row",
        "enroll_timeout",
        "drain, deregister and terminate the newcomer",
        no_return=False,
        sentence="putting the newcomer behind the load balancer",
    ),
    Step(
        State.SOAKING,
        "",
        "the newcomer stayed healthy for the soak time",
        "",
        "drain, deregister and terminate the newcomer",
        no_return=False,
        sentence="watching the newcomer under traffic",
    ),
    Step(
        State.DRAINING,
        "drain, then deregister the old one",
        "no connection is left and the old one is no target",
        "drain_timeout",
        "put the old one back; then drain, deregister and terminate the newcomer",
        no_return=False,
        sentence="draining the old one",
    ),
    Step(
        State.RETIRING,
        "terminate the old one",
        "the old one is gone in several reads",
        "retire_timeout",
        "none once the end of the old one is announced; before: as draining",
        no_return=True,
        sentence="ending the old one",
    ),
    Step(
        State.SETTLING,
        "remove our tags",
        "the newcomer is in service and carries its slot and none of our marks",
        "settle_timeout",
        "none",
        no_return=True,
        sentence="taking our marks off the newcomer",
    ),
)

STEP: Mapping[State, Step] = {step.state: step for step in STEPS}

_FORWARD = tuple(step.state for step in STEPS)
_UNDOABLE = (
    State.LAUNCHING,
    State.BOOTING,
    State.VERIFYING,
    State.ENROLLING,
    State.SOAKING,
    State.DRAINING,
    State.RETIRING,
)

TRANSITIONS: Mapping[tuple[State, State], str] = {
    **{(step.state, after): step.done_when for step, after in zip(STEPS, _FORWARD[1:], strict=False)},
    (State.SETTLING, State.SUCCEEDED): STEP[State.SETTLING].done_when,
    (State.CONFIRMING, State.CANCELLED): "the drift is gone, nobody could look, the old one is gone, or cancelled",
    (State.ADMITTING, State.CANCELLED): "nothing asks for it any more, the old one is gone, or cancelled",
    **{(state, State.UNDOING): "the step failed, a guard no longer holds, or cancelled" for state in _UNDOABLE},
    (State.UNDOING, State.CANCELLED): "undone, because somebody asked for it",
    (State.UNDOING, State.FAILED_CLEAN): "undone, because the newcomer failed",
    (State.UNDOING, State.ABORTED_SAFE): "undone, because the old one could not be let go",
    (State.UNDOING, State.DRAINING): "the old one is gone by itself, and the verified newcomer serves",
    (State.UNDOING, State.STUCK): "the undo failed: a person is needed",
    (State.DRAINING, State.STUCK): "the old one is gone but cannot be deregistered",
    (State.RETIRING, State.STUCK): "the old one cannot be ended",
    (State.SETTLING, State.STUCK): "the newcomer is not in service or keeps our marks",
}


def diagram() -> str:
    """The transitions as a Mermaid state diagram; docs/replacement.md holds it and a test compares the two."""

    def name(state: State) -> str:
        return state.value.replace("-", "_")

    lines = ["stateDiagram-v2", f"    [*] --> {name(State.CONFIRMING)}"]
    # A colon ends a state's name in Mermaid, so none may stand in a label.
    lines += [f"    {name(src)} --> {name(dst)}: {when.replace(':', ',')}" for (src, dst), when in TRANSITIONS.items()]
    lines += [f"    {name(state)} --> [*]" for state in State if state in TERMINAL]
    return "\n".join(lines)
