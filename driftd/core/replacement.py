"""Replacement: the record, the steps as data, and the pure decision what to do next."""

from __future__ import annotations

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

    ``tries`` counts calls in a row that failed, ``streak`` readings in a row that were good; both start again with each
    state. ``refusal`` is the provider's sentence when it refused the last call. ``drain_sent`` says that we asked for the
    old one to be drained, ``drain_seen`` that it was then seen out of service, ``committed`` that its end was announced:
    the point of no return. While undoing, ``outcome`` is the state to finish in and ``fault`` the reason.
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
