"""The outbox: messages that wait, what each outlet has taken of them, the incidents it shows, and clicks there.

An *outlet* is one way to people (the log, a Slack channel, a webhook), by the name that its configuration gives it.
Each has its own state for every message, so that one that is away holds up no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from driftd.core.findings import Severity

if TYPE_CHECKING:  # memory has the rows, and a transaction that is this, too
    from driftd.core.memory import Message, Topic


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that an outlet has not taken yet. ``attempts`` is how often it was tried there.

    ``doubt``: an attempt was begun, and nobody knows how it ended; said again, it may be said twice.
    """

    message: Message
    attempts: int = 0
    doubt: bool = False


class Ended(StrEnum):
    """How an attempt ended. UNSAID: surely nothing was said. UNKNOWN: perhaps it was."""

    SAID = "said"
    UNSAID = "unsaid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Incident:
    """What an outlet shows of one thing that happened: where that stands (``ref``, the outlet's own name of it).

    ``key`` is the same for all messages of it (core/cards.py). ``message_id`` is the message that began it, 0 once that
    is sealed and said. ``text`` is what is said of it, ``last`` the newest. ``digest`` is of what is shown now.
    ``step`` is the last of the journal's lines about its replacement that was told there; ``stepping``: more are being
    told. ``crowd`` says that ``ref`` is shared: it was told of among many, and has nothing of its own to change.
    """

    outlet: str
    key: str
    ref: str
    group: str
    severity: Severity
    text: str
    opened_at: datetime
    changed_at: datetime
    instance_id: str = ""
    rid: str = ""
    last: str = ""
    message_id: int = 0
    digest: str = ""
    crowd: bool = False
    step: int = 0
    stepping: bool = False
    closed_at: datetime | None = None
    id: int = 0


class OutboxTx(Protocol):
    """The part of ``core.memory.Tx`` about all this."""

    def say(self, message: Message, now: datetime) -> bool:
        """Queue a message; False when one with this key was queued before."""
        ...

    def unsent(self, limit: int = 50, *, now: datetime | None = None) -> Sequence[Message]:
        """Those that some outlet has not taken yet; with ``now``, without those that wait for others to join in."""
        ...

    def message_id(self, key: str) -> int:
        """The number of the message with this key; 0 when there is none."""
        ...

    def open_message(self, message_id: int) -> Message | None:
        """A message that is not sent yet."""
        ...

    def seal(self, message_id: int) -> Message | None:
        """The message as it will be sent: nobody joins in any more. None when there is no such message unsent."""
        ...

    def retell(self, message: Message) -> bool:
        """Replace text, severity and ``due`` of a message that is not sealed; False when it is."""
        ...

    def topic(self, topic: str) -> Topic | None: ...
    def topics(self, message_id: int) -> Sequence[Topic]: ...
    def put_topic(self, topic: Topic) -> None: ...
    def mark_sent(self, message_id: int, now: datetime) -> None: ...
    def mark_failed(self, message_id: int, now: datetime) -> None: ...

    # what each outlet has taken
    def undelivered(self, outlet: str, limit: int) -> Sequence[Delivery]:
        """What ``outlet`` has not taken, least tried first, then oldest first; also what others may still join."""
        ...

    def begin_delivery(self, outlet: str, messages: Sequence[int], now: datetime) -> None:
        """They are about to be said: written before, so that after a crash in between this is known."""
        ...

    def end_delivery(self, outlet: str, messages: Sequence[int], how: Ended, now: datetime) -> None:
        """An attempt ended. Without one before it, SAID means that the outlet is not to be told of them."""
        ...

    def taken_by_all(self, outlets: Sequence[str]) -> Sequence[int]:
        """The messages, not yet sent, that every one of ``outlets`` has taken."""
        ...

    # what each outlet shows
    def incidents(self, outlet: str) -> Sequence[Incident]:
        """Those that are open, oldest first."""
        ...

    def put_incident(self, incident: Incident) -> int:
        """Its number; a new one has 0 so far."""
        ...

    # what was clicked there
    def add_click(self, key: str, by: str, what: str, now: datetime) -> bool:
        """False when this very click came before."""
        ...
