"""The steps of a replacement and its variants, as data: states and transitions are one table (core/decide.py decides).

A variant is the order in which a slot is filled again. After research on how others do it and what went wrong there,
these are enough: nothing to move (surge, and switch for a whole set), something that has one owner (move), names that
others go on knowing for a while (handover), no room for two (delete-first).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from driftd.core.ports import Address
from driftd.core.replacement import UNSTARTED, Record, State


@dataclass(frozen=True, slots=True)
class Step:
    """One forward step: the call it makes, when it is done, how long it may take, and how it is undone.

    ``limit`` names a field of ``core.world.Limits``; "" means that the step may wait for ever, saying why.
    After the step with ``no_return`` nothing is undone any more.
    """

    state: State
    call: str
    done_when: str
    limit: str
    undo: str
    sentence: str
    no_return: bool = False


_AWAY = "drain, deregister and terminate the newcomer"

STEPS: tuple[Step, ...] = (
    Step(
        State.CONFIRMING,
        "",
        "a second look, some time after the first, still asks for the replacement",
        "confirm_timeout",
        "",
        "looking a second time before anything is changed",
    ),
    Step(
        State.ADMITTING,
        "",
        "every guard lets it pass",
        "",
        "",
        "waiting until every guard lets it pass",
    ),
    Step(
        State.PLANNING,
        "",
        "it is known what the slot owns, and nothing is known that would make launch or drain impossible",
        "",
        "",
        "planning, and looking for what would make it impossible",
    ),
    Step(
        State.CAPTURING,
        "keep evidence of the old one",
        "evidence of the old one is kept, or none is asked for, or it cannot be kept and is not required",
        "capture_timeout",
        "",
        "keeping evidence of the old one",
    ),
    Step(
        State.LAUNCHING,
        "launch",
        "one instance with our tag is listed",
        "launch_timeout",
        "terminate the newcomer",
        "launching a newcomer from the image",
    ),
    Step(
        State.BOOTING,
        "",
        "the newcomer runs and its application answers",
        "boot_timeout",
        "terminate the newcomer",
        "waiting for the newcomer to boot",
    ),
    Step(
        State.VERIFYING,
        "",
        "the newcomer's fingerprint equals the manifest and its application answers",
        "verify_timeout",
        "terminate the newcomer",
        "fingerprinting the newcomer before it gets traffic",
    ),
    Step(
        State.GATHERING,
        "",
        "every newcomer of the set is verified, and it is this one's turn",
        "",
        "terminate the newcomer",
        "waiting for the rest of the new set to be verified",
    ),
    Step(
        State.QUIESCING,
        "hook: quiesce the old one",
        "the hook has said that the service rests: nothing is written, and no membership held, any more",
        "quiesce_timeout",
        "hook: serve on the old one",
        "bringing the old one's service to rest",
    ),
    Step(
        State.STOPPING,
        "stop the old one",
        "the old one is stopped in several reads: from here on there is one writer at most",
        "stop_timeout",
        "start the old one",
        "stopping the old one",
    ),
    Step(
        State.SNAPSHOTTING,
        "snapshot each volume",
        "each volume has a snapshot",
        "snapshot_timeout",
        "none: snapshots are kept",
        "taking snapshots of the slot's volumes",
    ),
    Step(
        State.DETACHING,
        "detach each volume",
        "each volume is free in several reads",
        "detach_timeout",
        "attach the volumes to the old one",
        "taking the slot's volumes off the old one",
    ),
    Step(
        State.ATTACHING,
        "attach each volume to the newcomer",
        "each volume is the newcomer's and carries the file system that it should",
        "attach_timeout",
        "stop the newcomer, detach the volumes, attach them to the old one",
        "giving the slot's volumes to the newcomer",
    ),
    Step(
        State.ADDRESSING,
        "associate each address with the newcomer",
        "each address is the newcomer's; in a handover: for as long as the old one may still be asked",
        "address_timeout",
        "associate the addresses with the old one; release a name that was made for the newcomer",
        "giving the slot's addresses to the newcomer",
    ),
    Step(
        State.SERVING,
        "hooks: post_attach, if anything moved, and serve, on the newcomer",
        "the newcomer's application answers",
        "serve_timeout",
        "hook: quiesce the newcomer; then as attaching",
        "starting the service on the newcomer",
    ),
    Step(
        State.ENROLLING,
        "register the newcomer; hook: post_attach on it, if nothing moved",
        "the load balancer calls the newcomer healthy several times in a row",
        "enroll_timeout",
        _AWAY,
        "putting the newcomer behind the load balancer",
    ),
    Step(
        State.SOAKING,
        "",
        "the newcomer stayed healthy for the soak time, and the judge has nothing against a canary",
        "",
        _AWAY,
        "watching the newcomer under traffic",
    ),
    Step(
        State.SWITCHING,
        "",
        "every newcomer of the set serves",
        "",
        _AWAY,
        "waiting for the rest of the new set to serve",
    ),
    Step(
        State.DRAINING,
        "hook: pre_drain; drain, then deregister the old one",
        "no connection is left and the old one is no target",
        "drain_timeout",
        "put the old one back",
        "draining the old one",
    ),
    Step(
        State.KEEPING,
        "",
        "the old one was kept, running and out of service, for as long as the rollout says",
        "",
        "put the old one back",
        "keeping the old one as it is, so that all of the old set can be had back in one step",
    ),
    Step(
        State.PARKING,
        "stop the old one",
        "the old one was stopped for the parking time, and nobody missed it",
        "stop_timeout",
        "start the old one and put it back",
        "keeping the old one, stopped, in case somebody misses it",
    ),
    Step(
        State.RETIRING,
        "hook: pre_terminate; terminate the old one; for a quarantine: cut its network, and mark it",
        "the old one is gone in several reads, or cut off in several reads",
        "retire_timeout",
        "none once the end of the old one is announced; before: as parking",
        "letting go of the old one for good",
        no_return=True,
    ),
    Step(
        State.SETTLING,
        "remove our tags",
        "the newcomer is in service and carries its slot and none of our marks",
        "settle_timeout",
        "none",
        "taking our marks off the newcomer",
        no_return=True,
    ),
)

STEP: Mapping[State, Step] = {step.state: step for step in STEPS}


@dataclass(frozen=True, slots=True)
class Variant:
    """One order of steps. ``forward`` are its states in their order; ``sentence`` says for which slots it is."""

    name: str
    forward: tuple[State, ...]
    sentence: str

    def after(self, state: State) -> State:
        """The state that follows."""
        return State.SUCCEEDED if state is self.forward[-1] else self.forward[self.forward.index(state) + 1]

    def passed(self, state: State, step: State) -> bool:
        """Whether who stands at ``state`` has ``step`` behind them."""
        return step in self.forward and self.forward.index(state) > self.forward.index(step)


_BEGIN = (State.CONFIRMING, State.ADMITTING, State.PLANNING, State.CAPTURING)
_NEW = (State.LAUNCHING, State.BOOTING, State.VERIFYING)
_RELEASE = (State.QUIESCING, State.STOPPING, State.SNAPSHOTTING, State.DETACHING)
_TAKE_OVER = (State.ATTACHING, State.ADDRESSING, State.SERVING)
_TRAFFIC = (State.ENROLLING, State.SOAKING)
_END = (State.PARKING, State.RETIRING, State.SETTLING)

SURGE = Variant(
    "surge",
    (*_BEGIN, *_NEW, State.SERVING, *_TRAFFIC, State.DRAINING, State.QUIESCING, *_END),
    "the newcomer is verified and in service before the old one is touched; for slots that own nothing",
)
MOVE = Variant(
    "move",
    (*_BEGIN, *_NEW, State.DRAINING, *_RELEASE, *_TAKE_OVER, *_TRAFFIC, *_END),
    "the newcomer is launched and verified, then the old one is drained and stopped, then what the slot owns moves",
)
HANDOVER = Variant(
    "handover",
    (*_BEGIN, *_NEW, State.SERVING, *_TRAFFIC, State.ADDRESSING, State.DRAINING, State.QUIESCING, *_END),
    "the newcomer is verified and in service, then the slot's names move to it, and the old one serves on until nobody "
    "can have resolved them to it any more; for slots that own nothing but names",
)
DELETE_FIRST = Variant(
    "delete-first",
    (*_BEGIN, State.DRAINING, *_RELEASE, *_NEW, *_TAKE_OVER, *_TRAFFIC, *_END),
    "the old one is drained and stopped before the newcomer is launched, where there is no room for both; by "
    "permission (allow_gap), never for the last member in service",
)
SWITCH = Variant(
    "switch",
    (
        *_BEGIN,
        *_NEW,
        State.SERVING,
        State.GATHERING,
        *_TRAFFIC,
        State.SWITCHING,
        State.DRAINING,
        State.KEEPING,
        State.QUIESCING,
        *_END,
    ),
    "a whole new set is verified beside the old one, then serves in its place, and the old one is kept for a while; "
    "for a blue-green rollout of slots that own nothing",
)
VARIANTS: Mapping[str, Variant] = {variant.name: variant for variant in (SURGE, MOVE, HANDOVER, DELETE_FIRST, SWITCH)}


def variant_of(record: Record) -> Variant:
    """The variant of a record. Before it is planned every variant is the same."""
    return VARIANTS.get(record.variant, SURGE)


def usual(volumes: Collection[str], addresses: Iterable[Address]) -> Variant:
    """The variant for a slot that owns these, where nothing else is asked for."""
    owned = tuple(addresses)
    if not volumes and not owned:
        return SURGE
    return HANDOVER if not volumes and all(one.linger for one in owned) else MOVE


def takes_over(record: Record) -> bool:
    """Whether what the slot owns has left the old one before the newcomer serves."""
    return record.owns and variant_of(record) is not HANDOVER


_UNDOABLE = tuple(step.state for step in STEPS if step.state not in {*UNSTARTED, State.SETTLING})
_STUCK: Mapping[State, str] = {
    **dict.fromkeys(_BEGIN, "the store was put back from a copy that is older than what was done"),
    State.UNDOING: "the undo failed: a person is needed",
    State.DETACHING: "a volume cannot be taken off, or is somebody else's",
    State.ATTACHING: "a volume is somebody else's",
    State.DRAINING: "the old one is gone but cannot be deregistered",
    State.RETIRING: "the old one cannot be ended, or not be cut off",
    State.SETTLING: "the newcomer is not in service or keeps our marks",
}

TRANSITIONS: Mapping[tuple[State, State], str] = {
    **{
        (before, after): STEP[before].done_when
        for variant in VARIANTS.values()
        for before, after in pairwise((*variant.forward, State.SUCCEEDED))
    },
    (State.CONFIRMING, State.CANCELLED): "the drift is gone, nobody could look, the old one is gone, or cancelled",
    (State.ADMITTING, State.CANCELLED): "nothing asks for it any more, the old one is gone, denied, or cancelled",
    (State.PLANNING, State.ADMITTING): "it cannot be done now: others may go first",
    (State.PLANNING, State.CANCELLED): "the old one is gone, or cancelled",
    (State.PLANNING, State.FAILED_CLEAN): "a rollout's image cannot be launched",
    (State.CAPTURING, State.CANCELLED): "the old one is gone, or cancelled",
    (State.CAPTURING, State.ABORTED_SAFE): "evidence is required and cannot be kept",
    **{(state, State.UNDOING): "the step failed, a guard no longer holds, or cancelled" for state in _UNDOABLE},
    (State.UNDOING, State.CANCELLED): "undone, because somebody asked for it",
    (State.UNDOING, State.FAILED_CLEAN): "undone, because the newcomer failed",
    (State.UNDOING, State.ABORTED_SAFE): "undone, because the old one could not be let go",
    (State.UNDOING, State.DRAINING): "the old one is gone by itself, and the verified newcomer can take its place",
    (State.UNDOING, State.SERVING): "likewise, and it is put in service, or may have to be, and has the names again",
    **{(state, State.STUCK): why for state, why in _STUCK.items()},
}


def diagram(variant: Variant) -> str:
    """The forward states of a variant as a Mermaid state diagram; docs/replacement.md holds it, a test compares."""
    lines = ["stateDiagram-v2", f"    [*] --> {_name(variant.forward[0])}"]
    steps = pairwise((*variant.forward, State.SUCCEEDED))
    lines += [_arrow(before, after) for before, after in steps]
    lines += [f"    {_name(State.SUCCEEDED)} --> [*]"]
    return "\n".join(lines)


def ways_out() -> str:
    """Every transition that is none of a variant's steps, as a Mermaid state diagram."""
    inner = {pair for variant in VARIANTS.values() for pair in pairwise((*variant.forward, State.SUCCEEDED))}
    lines = ["stateDiagram-v2", *(_arrow(*pair) for pair in TRANSITIONS if pair not in inner)]
    lines += [
        f"    {_name(state)} --> [*]"
        for state in State
        if any(after is state for _, after in TRANSITIONS)
        and not any(before is state for before, _ in TRANSITIONS)
        and state is not State.SUCCEEDED
    ]
    return "\n".join(lines)


def _name(state: State) -> str:
    return state.value.replace("-", "_")


def _arrow(before: State, after: State) -> str:
    # A colon ends a state's name in Mermaid, so none may stand in a label.
    return f"    {_name(before)} --> {_name(after)}: {TRANSITIONS[before, after].replace(':', ',')}"
