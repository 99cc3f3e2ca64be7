"""Replacement: where one stands, and all that is kept of it. What comes when is in core/variants.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """Where a replacement stands. Which states it goes through, and in which order, its variant says."""

    CONFIRMING = "confirming"
    ADMITTING = "admitting"
    PLANNING = "planning"
    CAPTURING = "capturing"
    LAUNCHING = "launching"
    BOOTING = "booting"
    VERIFYING = "verifying"
    GATHERING = "gathering"
    QUIESCING = "quiescing"
    STOPPING = "stopping"
    SNAPSHOTTING = "snapshotting"
    DETACHING = "detaching"
    ATTACHING = "attaching"
    ADDRESSING = "addressing"
    SERVING = "serving"
    ENROLLING = "enrolling"
    SOAKING = "soaking"
    SWITCHING = "switching"
    DRAINING = "draining"
    KEEPING = "keeping"
    PARKING = "parking"
    RETIRING = "retiring"
    SETTLING = "settling"
    UNDOING = "undoing"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    FAILED_CLEAN = "failed-clean"
    ABORTED_SAFE = "aborted-safe"
    STUCK = "stuck"


# Before this is over nothing was changed and nothing is reserved.
WAITING = frozenset({State.CONFIRMING, State.ADMITTING})
UNSTARTED = WAITING | {State.PLANNING, State.CAPTURING}
TERMINAL = frozenset({State.SUCCEEDED, State.CANCELLED, State.FAILED_CLEAN, State.ABORTED_SAFE, State.STUCK})
FAILED = frozenset({State.FAILED_CLEAN, State.ABORTED_SAFE, State.STUCK})


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
    ``asked`` is the last call that was answered in this state and not yet seen to have its effect, ``asked_times`` how
    often in a row: a provider that says "ok" and does nothing is asked ever more slowly.

    ``signature`` is what the drift looks like, whatever the instance; ``canary`` that the group watches this one before
    others follow. ``epoch`` is that of the lease under which its launch was begun.

    What the plan froze: ``variant`` (a name in ``core.variants.VARIANTS``), ``volumes`` that the slot owns with the
    UUID of each one's file system ("" where the provider cannot tell), ``addresses`` with whom each belonged to then.
    What was done to them: ``snapshots`` by volume; ``quiesce_sent`` that the old one's service was asked to rest,
    ``quiesced`` that it then did, ``stop_sent`` that we asked for the old one to be stopped, ``stop_seen`` that it then
    was, ``launched`` that a launch was announced, ``serve_sent`` that the newcomer's service was asked to start,
    ``served`` that it did, ``stayed`` that an undo was given up because the old one was gone, and the newcomer was to
    stay, ``end_sent`` that we asked for the newcomer to be ended. ``doubted`` says that the store was put back from a
    copy while this was under way: what was done since, only the world can tell.

    ``captured`` is the id of the evidence that was kept of the old one, "" while there is none.

    ``rollout`` is the id of the rollout that asked for it, "" for none; ``together`` that its old one and its newcomer
    are of two whole sets, of which the old one is kept in reserve for ``keep_s`` seconds (core/rollout.py).
    ``quarantine`` says that the old one is not ended but cut off and kept (core/quarantine.py).

    ``hooks`` says of those that are called once how far each is, by name (``core.hooks.Told``).

    ``old_unseen`` and ``new_unseen`` are the readings in a row that lacked the old one or the newcomer though nobody
    said that it is ended: a list may be cut short, and what is gone by itself is gone in all of them.
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
    asked: str = ""
    asked_times: int = 0
    signature: str = ""
    canary: bool = False
    approved_by: str = ""
    denied_by: str = ""
    epoch: int = 0
    variant: str = ""
    volumes: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    snapshots: Mapping[str, str] = field(default_factory=dict)
    launched: bool = False
    quiesce_sent: bool = False
    quiesced: bool = False
    stop_sent: bool = False
    stop_seen: bool = False
    serve_sent: bool = False
    served: bool = False
    stayed: bool = False
    end_sent: bool = False
    doubted: bool = False
    old_unseen: int = 0
    new_unseen: int = 0
    rollout: str = ""
    together: bool = False
    keep_s: int = 0
    quarantine: bool = False
    hooks: Mapping[str, str] = field(default_factory=dict)
    captured: str = ""

    @property
    def owns(self) -> bool:
        """Whether the slot has something that must move to the newcomer."""
        return bool(self.volumes or self.addresses)
