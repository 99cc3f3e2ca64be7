"""Whom AWS itself let in, as CloudTrail tells: by Systems Manager, pushed keys, tunnels and consoles.

Its history is late, as a rule by five minutes: each time the events of the last while are asked for again, and what is
known is kept for as long as anybody may ask. What a queue tells sooner (inbox.py) is believed until the history tells
it otherwise, or does not tell it at all.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from driftd.core.errors import Unavailable
from driftd.core.facts import Instance, Session
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.messages import KEPT, Told
from driftd.edges.providers.aws.trailrecords import ENDS, LETS_IN, Came, at, came, ended

EVENTS = (*LETS_IN, ENDS)
LATE = timedelta(minutes=20)  # CloudTrail "typically delivers events within about 5 minutes"; some take longer
FRESH_S = 30.0
_HEARING_S = 300.0  # while a queue tells sooner
_EXPECTED = 1000  # events at once; one is enough to ask often


@dataclass(slots=True)
class _Known:
    came: dict[str, Sequence[Came]] = field(default_factory=dict)  # by the event's id
    heard: set[str] = field(default_factory=set)  # those of them that only a queue told of
    ended: dict[str, datetime] = field(default_factory=dict)  # by the session's id
    until: datetime | None = None  # asked so far
    asked_at: float = 0.0
    took_s: float = 0.0
    ends_at: float = 0.0  # when it was last asked which sessions have ended


class Trail:
    """Implements ``Doorman.let_in``. ``hears``: a queue tells sooner, so that the history need not be read so often."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.hears = False
        self._lock = threading.Lock()
        self._known = _Known()
        self._unfounded: list[str] = []
        self._expected: dict[str, datetime] = {}  # until when, by event: a queue told of it, and not whom it was about
        self._told: dict[tuple[str, str], datetime] = {}  # when last, by event and instance: of those that were heard

    def let_in(self, instance: Instance, since: datetime) -> Sequence[Session]:
        """See ``Doorman.let_in``. CloudTrail is asked at most every half minute, for everybody at once."""
        with self._lock:
            known, moment = self._known, time.monotonic()
            # It answers twice a second, whoever asks: where there is much to read, others are to have their turn.
            seldom = self.hears and not self._awaits(datetime.now(UTC))
            fresh = max(_HEARING_S if seldom else FRESH_S, 2 * known.took_s)
            if not known.asked_at or moment - known.asked_at > fresh:
                self._ask(since)
            elif moment - known.ends_at > FRESH_S:
                self._end_sessions(datetime.now(UTC))
            now = datetime.now(UTC)
            mine = [(event, one) for event, one in self._all() if one.is_of(instance.id, instance.address)]
            self._told |= {(event, instance.id): now for event, _ in mine}
            found = [self._finished(one) for _, one in mine]
        told = [replace(one, live=one.ended_at is None or one.ended_at > now) for one in found]
        told = [replace(one, ended_at=None) if one.live else one for one in told]
        return sorted((one for one in told if one.live or _left(one) >= since), key=lambda one: one.started_at)

    # --- what a queue tells ---

    def hear(self, told: Told) -> bool:
        """Take what a message tells; False where it was known. What the history told is not changed by it."""
        with self._lock:
            if told.event in self._known.came:
                return False
            self._known.came[told.event] = told.came
            self._known.heard.add(told.event)
            return True

    def expect(self, event: str) -> None:
        """Ask the history for it as often as without a queue, until it has it or is not late any more."""
        with self._lock:
            if event not in self._known.came and len(self._expected) < _EXPECTED:
                self._expected[event] = datetime.now(UTC) + LATE

    def told_at(self, event: str, instance_id: str) -> datetime | None:
        """When ``let_in`` last told of an event on an instance; None: it never did."""
        with self._lock:
            return self._told.get((event, instance_id))

    def knows(self, event: str) -> bool:
        """Whether ``let_in`` may tell of it yet."""
        with self._lock:
            return event in self._known.came

    def unfounded(self) -> Sequence[str]:
        """The events that were heard of and that the history did not have in time, each once."""
        with self._lock:
            found, self._unfounded = self._unfounded, []
            return found

    def _awaits(self, now: datetime) -> bool:
        self._expected = {event: until for event, until in self._expected.items() if until > now}
        return bool(self._expected)

    # --- what the history tells ---

    def _all(self) -> Iterator[tuple[str, Came]]:
        return ((event, one) for event, several in self._known.came.items() for one in several)

    def _finished(self, one: Came) -> Session:
        over = self._known.ended.get(one.session_id)
        return one.session if over is None else replace(one.session, ended_at=max(over, one.session.started_at))

    def _ask(self, since: datetime) -> None:
        """Read what is new, and forget what is old."""
        now, began = datetime.now(UTC), time.monotonic()
        begin = max(since, now - KEPT)
        if self._known.until is not None:
            begin = min(max(begin, self._known.until - LATE), now)
        for name in EVENTS:
            for record in self._looked_up(name, begin):
                self._take(record)
        self._end_sessions(now)
        self._forget(now)
        asked_for = {one.session_id for _, one in self._all()}
        self._known.ended = {name: over for name, over in self._known.ended.items() if name in asked_for}
        self._known.until, self._known.asked_at = now, time.monotonic()
        self._known.took_s = self._known.asked_at - began

    def _forget(self, now: datetime) -> None:
        """What nobody asks for any more, and what was heard of and never was: the history would have it by now."""
        known = self._known
        since = {event: now - (2 * LATE if event in known.heard else KEPT) for event in known.came}
        known.came = {
            event: several for event, several in known.came.items() if any(one.at > since[event] for one in several)
        }
        self._unfounded += sorted(known.heard - known.came.keys())
        known.heard &= known.came.keys()
        self._told = {(event, where): told for (event, where), told in self._told.items() if event in known.came}

    def _looked_up(self, name: str, begin: datetime) -> Iterator[Mapping[str, Any]]:
        attributes = [{"AttributeKey": "EventName", "AttributeValue": name}]
        pages = self._cloud.pages("cloudtrail", "lookup_events", "Events", LookupAttributes=attributes, StartTime=begin)
        for event in pages:
            try:
                record = json.loads(event["CloudTrailEvent"])
            except ValueError as error:
                raise Unavailable(f"CloudTrail told of {name} in a way that is not JSON") from error
            if isinstance(record, dict) and not record.get("errorCode"):
                yield record

    def _take(self, record: Mapping[str, Any]) -> None:
        if record.get("eventName") == ENDS:
            self._known.ended.setdefault(ended(record), at(record))
            return
        event = str(record.get("eventID"))
        self._known.came[event] = came(record, self._reached)
        self._known.heard.discard(event)
        self._expected.pop(event, None)

    def _end_sessions(self, now: datetime) -> None:
        """Sessions end by themselves, too: by time, and when their instance stops."""
        open_ids = {one.session_id for _, one in self._all() if one.session_id} - set(self._known.ended)
        if not open_ids:
            return
        active = {one["SessionId"] for one in self._cloud.pages("ssm", "describe_sessions", "Sessions", State="Active")}
        for session in open_ids - active:
            filters = [{"key": "SessionId", "value": session}]
            past = self._cloud.ask("ssm", "describe_sessions", State="History", Filters=filters)["Sessions"]
            if past:
                self._known.ended[session] = past[0].get("EndDate") or now
        self._known.ends_at = time.monotonic()

    def _reached(self, command: str) -> list[str]:
        """Whom a command was sent to that was sent to whatever some tags select: of that SSM knows."""
        pages = self._cloud.pages("ssm", "list_command_invocations", "CommandInvocations", CommandId=command)
        return [str(one["InstanceId"]) for one in pages]


def _left(one: Session) -> datetime:
    return one.ended_at or one.started_at
