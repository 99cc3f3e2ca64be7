"""A queue that says soon what CloudTrail's history says late (messages.py): who was let in.

A message stays in the queue until a look at each of the instances that it is about was written down, so that nothing is
lost with a daemon that ends in between: it becomes visible again, and is known by the event's id. The history is asked
all the same, and without the queue it is all that there is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from driftd.core.asides import Arrival, Heard
from driftd.core.errors import ProviderError
from driftd.core.wording import printable
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.messages import NotOurs, Told, read
from driftd.edges.providers.aws.settings import Events
from driftd.edges.providers.aws.trail import Trail
from driftd.edges.providers.aws.trailrecords import Came

HIDDEN_S = 900  # how long a message that was received is in nobody's sight
NOBODYS = timedelta(minutes=10)  # within which an instance that is new is in a listing
OTHERS = timedelta(hours=1)  # within which whoever else a message is for may take it; then it is deleted
MOST = 5000  # messages that wait for a look; the others wait in the queue
_BATCH, _BATCHES = 10, 50  # "MaxNumberOfMessages"; so many at once, and so many times in a row
_AGAIN_S = 60.0
_SENT = "SentTimestamp"
_ELSE = "see who else may send there"
_HINT = "the history is read all the same, some minutes later; see providers.aws.events, and docs/aws/hear-by-sqs.json"


@dataclass(slots=True)
class _Waiting:
    """A message by what it tells; ``stored`` are the instances of which that is stored. ``own``: it was driftd."""

    told: Told
    handle: str
    since: datetime
    stored: set[str] = field(default_factory=set)
    own: bool = False


class Inbox:
    """Implements ``Hearing``. ``known`` gives the addresses of the instances that were listed last, by their ids."""

    def __init__(
        self, cloud: Cloud, events: Events, account: str, trail: Trail, known: Callable[[], Mapping[str, str]]
    ) -> None:
        self._cloud = cloud
        self._url = events.queue
        self._account = account
        self._trail = trail
        self._known = known
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}  # by the event's id
        self._changed = False
        self._trouble: ProviderError | None = None
        self._again_at = 0.0

    def listen(self) -> Heard:
        """See ``Hearing.listen``. After an error the queue is left alone for a minute."""
        came: list[Arrival] = []
        odd: list[str] = []
        self._changed = False
        if time.monotonic() >= self._again_at:
            try:
                self._tidy()
                self._received(came, odd)
                self._trouble = None
            except ProviderError as error:
                self._trouble, self._again_at = error, time.monotonic() + _AGAIN_S
        trouble = f"{self._trouble or ''}" or self._full()
        self._trail.hears = not trouble
        said = (*self._odd(odd), *self._unfounded())
        return Heard(tuple(came), said, self._changed, trouble, _HINT if trouble else "")

    def taken(self, instance_id: str, since: datetime) -> None:
        """See ``Hearing.taken``."""
        with self._lock:
            for event, one in self._waiting.items():
                told = self._trail.told_at(event, instance_id)
                if told is not None and told >= since:
                    one.stored.add(instance_id)

    def own(self, event: str) -> None:
        """See ``Hearing.own``."""
        with self._lock:
            if event in self._waiting:
                self._waiting[event].own = True

    # --- what comes ---

    def _received(self, came: list[Arrival], odd: list[str]) -> None:
        """Receive until there is no more, or enough. Raises ``ProviderError``."""
        for number in range(_BATCHES):
            if len(self._waiting) >= MOST:
                return
            messages = self._cloud.ask(
                "sqs",
                "receive_message",
                QueueUrl=self._url,
                MaxNumberOfMessages=_BATCH,
                VisibilityTimeout=HIDDEN_S,
                AttributeNames=[_SENT],
                WaitTimeSeconds=0 if number else 1,  # with a wait every part of the queue is asked
            ).get("Messages", [])
            if not messages:
                return
            for message in messages:
                self._read(message, came, odd)

    def _read(self, message: Mapping[str, Any], came: list[Arrival], odd: list[str]) -> None:
        now, handle = datetime.now(UTC), str(message["ReceiptHandle"])
        try:
            told = read(str(message.get("Body") or ""), self._account, self._cloud.settings.region, now)
        except NotOurs as why:
            if why.odd:
                odd.append(str(why))
            if not (why.others and now - _sent(message, now) < OTHERS):  # else it becomes visible again by itself
                self._delete(handle)
            return
        if told.changed:  # a listing that is asked for on its own has it, too: nothing is lost with it
            self._changed = True
            self._delete(handle)
            return
        if not told.came:  # it claims nothing that could be untrue; whom it was about the history tells
            self._trail.expect(told.event)
            self._delete(handle)
            return
        with self._lock:
            if told.event in self._waiting:
                self._waiting[told.event].handle = handle  # the newest one counts
                return
            self._waiting[told.event] = _Waiting(told, handle, now)
        new, known = self._trail.hear(told), self._known()
        for one in told.came:
            came += [Arrival(told.event, name, one.session, new) for name in _concerned([one], known)]

    # --- what goes ---

    def _tidy(self) -> None:
        """Delete what is written down, and what nobody here is meant by."""
        now, known = datetime.now(UTC), self._known()
        with self._lock:
            over = [event for event, one in self._waiting.items() if self._is_over(one, known, now)]
            handles = [self._waiting.pop(event).handle for event in over]
        for handle in handles:
            self._delete(handle)

    def _is_over(self, one: _Waiting, known: Mapping[str, str], now: datetime) -> bool:
        concerned = _concerned(one.told.came, known)
        if one.own or (concerned and concerned <= one.stored):
            return True
        return not self._trail.knows(one.told.event) if concerned else now - one.since > NOBODYS

    def _delete(self, handle: str) -> None:
        """Best effort: what stays comes again, and is known then."""
        with suppress(ProviderError):
            self._cloud.ask("sqs", "delete_message", QueueUrl=self._url, ReceiptHandle=handle)

    # --- what is said ---

    def _odd(self, odd: Sequence[str]) -> Sequence[str]:
        if not odd:
            return ()
        many = f"{len(odd)} messages" if len(odd) > 1 else "a message"
        sentence = f"{many} in {printable(self._url)} came from no rule of EventBridge's ({odd[0]})"
        return (f"{sentence}, and no longer {'are' if len(odd) > 1 else 'is'} there: {_ELSE}",)

    def _unfounded(self) -> Sequence[str]:
        events = self._trail.unfounded()
        if not events:
            return ()
        many = f"{len(events)} events, {events[0]} among them," if len(events) > 1 else f"{events[0]},"
        return (f"{printable(self._url)} told of {many} of which CloudTrail knows nothing: {_ELSE}",)

    def _full(self) -> str:
        if len(self._waiting) < MOST:
            return ""
        return f"{printable(self._url)} has told of {MOST} events that no look has written down yet, and is not read on"


def _sent(message: Mapping[str, Any], now: datetime) -> datetime:
    """When a message came into the queue, by SQS's own word; ``now`` where it has none."""
    said = message.get("Attributes", {}).get(_SENT)
    return datetime.fromtimestamp(int(said) / 1000, UTC) if said else now


def _concerned(came: Sequence[Came], known: Mapping[str, str]) -> set[str]:
    """Of the instances in ``known``, those that it was on."""
    found = {one.instance_id for one in came if one.instance_id in known}
    addresses = {one.address for one in came if one.address and not one.instance_id}
    return found | {name for name, address in known.items() if address in addresses} if addresses else found
