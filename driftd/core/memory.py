"""Memory: what driftd remembers between two looks, and the ports of where it is kept.

The rows, one transaction (``Tx``), the ``Store`` with the controller's lease, and the ``Queue`` of work to be done.
Every edge that implements them passes the same contract suite. Time is always passed in as an aware ``datetime``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from driftd.core.attributed import AttributionTx
from driftd.core.breakers.breaker import Breaker
from driftd.core.breakers.facts import Calls, Pass, Sighting, Version
from driftd.core.difference import Difference
from driftd.core.errors import DriftdError
from driftd.core.facts import Session
from driftd.core.findings import Action, Finding, Severity, Verdict
from driftd.core.holds import Hold
from driftd.core.marks import Mark, Twin
from driftd.core.outbox import OutboxTx
from driftd.core.replacement import Record
from driftd.core.rollout import RolloutTx
from driftd.core.seal import SeenManifest
from driftd.core.shown import Shown
from driftd.core.upkeep import Upkeep
from driftd.core.visits import VisitTx
from driftd.core.zones import Placed


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One line of the hash chain. ``kind`` is intent, result, observation, decision or human.

    ``epoch`` is that of the newest lease when it was written, 0 before any. ``schema`` says what its hash covers:
    lines from before epochs were written have 1 (core/journal.py).
    """

    seq: int
    at: datetime
    kind: str
    subject: str
    body: Mapping[str, object]
    prev: str
    hash: str
    epoch: int = 0
    schema: int = 2


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """What the store remembers of one instance: the last look, since when the verdict stands, and the taint."""

    id: str
    group: str
    slot: str
    image: str
    address: str
    state: str
    verdict: Verdict
    reason: str
    root: str
    verdict_since: datetime
    looked_at: datetime | None
    first_seen: datetime
    action: Action = Action.IGNORE
    taint: str = ""
    taint_since: datetime | None = None
    boot_id: str = ""
    gone_at: datetime | None = None
    zone: str = ""

    def called(self, name: str) -> bool:
        """Whether people mean it by ``name``: its id, slot or address."""
        return name in {self.id, self.slot, self.address}


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding in the store; ``resolved_at`` is set once a later look no longer saw it."""

    id: int
    instance_id: str
    finding: Finding
    first_seen: datetime
    last_seen: datetime
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ExplainedRow:
    """A difference that a rule explained, as it was last seen; ``gone_at`` is set once a later look no longer saw it.

    Kept so that a policy can be tried on what was there (``driftd policy simulate``).
    """

    instance_id: str
    difference: Difference
    rule: str
    because: str
    first_seen: datetime
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session in the store. ``own`` marks driftd's visits."""

    id: int
    instance_id: str
    session: Session
    own: bool
    first_seen: datetime


@dataclass(frozen=True, slots=True)
class Suppression:
    """An acceptance ("that was me"): a dated, owned acceptance of one signature. ``group`` "" means every group.

    Of a cause, ``cause`` is its sentence and ``members`` are the signatures of the findings that it had when it was
    accepted. ``hits`` counts the findings that it came to cover, ``used_at`` is when it last covered one. It no longer
    holds once somebody has withdrawn it. Of a session, ``until`` is the last visit that was known (core/acceptance.py).
    """

    id: int
    signature: str
    group: str
    owner: str
    reason: str
    created_at: datetime
    expires_at: datetime
    hits: int = 0
    cause: str = ""
    members: tuple[str, ...] = ()
    until: str = ""
    used_at: datetime | None = None
    withdrawn_at: datetime | None = None
    withdrawn_by: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be said to people. ``key`` deduplicates: a second message with the same key is not queued.

    One with ``due`` waits until then for other instances to join in (``Topic``); sealing it takes ``due`` away.
    """

    key: str
    code: str
    severity: Severity
    text: str
    instance_id: str = ""
    rid: str = ""
    id: int = 0
    created_at: datetime | None = None
    sent_at: datetime | None = None
    attempts: int = 0
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """Something that happened on several instances and is told once: what message ``message_id`` says of it.

    ``instances`` is on how many, ``named`` the first few of them; ``kinds`` are signatures: more than one where it was
    not quite the same everywhere (a few; the rest is not kept). ``since`` is when that message was begun.
    """

    topic: str
    message_id: int
    severity: Severity
    sentence: str
    instances: int
    named: tuple[str, ...]
    kinds: tuple[str, ...]
    since: datetime


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work. ``key`` makes it unique while it waits or runs ("look/i-123")."""

    id: int
    kind: str
    key: str
    due: datetime
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """Somebody stopped all changes. ``group`` "" means everywhere. Undoing goes on, unless ``hard``."""

    group: str
    owner: str
    reason: str
    since: datetime
    hard: bool = False


class Tx(Upkeep, VisitTx, AttributionTx, OutboxTx, RolloutTx, Protocol):
    """One transaction on the store; everything in it happens, or nothing. No network call belongs inside one."""

    # instances and findings
    def instances(self, group: str | None = None, *, gone: bool = False) -> Sequence[InstanceRow]: ...
    def instance(self, instance_id: str) -> InstanceRow | None: ...
    def put_instance(self, row: InstanceRow) -> None: ...
    def zones(self, since: datetime) -> Sequence[Placed]:
        """Of whom a zone is told: those that are there, then those gone no longer than since; oldest first."""
        ...

    def open_findings(self, instance_id: str | None = None) -> Sequence[FindingRow]: ...
    def finding(self, finding_id: int) -> FindingRow | None: ...
    def add_finding(self, instance_id: str, finding: Finding, now: datetime) -> FindingRow: ...
    def touch_finding(self, finding_id: int, finding: Finding, now: datetime) -> None: ...
    def resolve_finding(self, finding_id: int, now: datetime) -> None: ...

    # history
    def findings_since(self, since: datetime | None, *, of: str = "") -> Sequence[FindingRow]:
        """Those that are open, or were at some time since (None: ever), also of one instance alone; oldest first."""
        ...

    def explained_since(self, since: datetime) -> Sequence[ExplainedRow]:
        """Those that are there, or were at some time since; by instance."""
        ...

    def keep_explained(self, instance_id: str, explained: Sequence[Finding], now: datetime) -> None:
        """What one look explained, in place of what the look before did."""
        ...

    # what a look leaves for the next one: marks of single files, and what makes an instance itself
    def marks(self, instance_id: str) -> Sequence[Mark]: ...
    def put_marks(self, instance_id: str, marks: Sequence[Mark]) -> None:
        """All marks of the instance, in place of those that there were; their times in whole seconds."""
        ...

    def put_identities(self, instance_id: str, identities: Mapping[bytes, bytes]) -> None:
        """Digests by path, in place of those that there were."""
        ...

    def twins(self, instance_id: str, identities: Mapping[bytes, bytes]) -> Sequence[Twin]:
        """Other instances, none of them gone, that have one of these digests at the same path."""
        ...

    # what a changed file says now, without its secrets; pruned with its finding
    def shown(self, finding_id: int) -> Shown | None: ...
    def put_shown(self, finding_id: int, shown: Shown) -> None: ...

    # sessions
    def sessions(self, instance_id: str) -> Sequence[SessionRow]: ...
    def add_session(self, instance_id: str, session: Session, own: bool, now: datetime) -> bool:
        """False when this session (same door, user, source, port, pid and start) is known already."""
        ...

    # what people said
    def suppressions(self, now: datetime) -> Sequence[Suppression]:
        """Those that hold."""
        ...

    def every_suppression(self) -> Sequence[Suppression]:
        """Those that expired or were withdrawn are among them, until they are pruned."""
        ...

    def add_suppression(self, suppression: Suppression) -> int: ...
    def count_suppression(self, suppression_id: int, now: datetime, findings: int = 1) -> None:
        """It came to cover so many more; 0 only notes that it is still of use."""
        ...

    def withdraw_suppression(self, suppression_id: int, by: str, now: datetime) -> bool:
        """False when it was withdrawn already, or never was."""
        ...

    def pauses(self) -> Sequence[Pause]: ...
    def set_pause(self, pause: Pause) -> None: ...
    def clear_pause(self, group: str) -> bool: ...

    def holds(self, now: datetime) -> Sequence[Hold]:
        """Those that hold."""
        ...

    def every_hold(self, instance_id: str | None = None, *, since: datetime | None = None) -> Sequence[Hold]:
        """Also those that ended, until they are pruned; ``since``: not those that were to end before. Oldest first."""
        ...

    def put_hold(self, hold: Hold) -> int:
        """Its number; a new one has 0 so far."""
        ...

    def critical_instances(self) -> Sequence[str]:
        """Those with an open finding of critical severity that nobody accepted, by id."""
        ...

    def recent_sessions(self, group: str, since: datetime) -> Sequence[SessionRow]:
        """Others' sessions on the group's instances that last, or began or ended since."""
        ...

    # manifests
    def manifest_seen(self, image: str) -> SeenManifest | None:
        """The newest signed manifest of ``image`` that anything was judged by."""
        ...

    def see_manifest(self, seen: SeenManifest) -> None:
        """Remember it, unless a newer one is remembered."""
        ...

    def manifests_seen(self) -> Sequence[SeenManifest]: ...

    # circuit breakers, and what their rules must remember
    def breakers(self) -> Sequence[Breaker]:
        """Every one, those that closed among them until they are pruned; by rule and scope."""
        ...

    def put_breaker(self, breaker: Breaker) -> None: ...
    def sightings(self, since: datetime) -> Sequence[Sighting]:
        """Those that last, began or ended since."""
        ...

    def keep_sightings(self, row: InstanceRow, parts: Mapping[str, str], now: datetime) -> None:
        """What the drift of an instance looks like now, signature to short form; the others of it end."""
        ...

    def passes(self) -> Sequence[Pass]:
        """The last few of each group, oldest first."""
        ...

    def add_pass(self, one: Pass) -> None: ...
    def calls(self, since: datetime) -> Sequence[Calls]: ...
    def count_calls(self, calls: Sequence[Calls]) -> None:
        """Add to what is counted of each account and minute; what is older than an hour is forgotten."""
        ...

    def versions(self) -> Sequence[Version]: ...
    def put_version(self, version: Version) -> None: ...

    # replacements
    def open_replacements(self, group: str | None = None) -> Sequence[Record]: ...
    def replacements(self, limit: int = 50, group: str | None = None) -> Sequence[Record]: ...
    def ended_replacements(self, since: datetime, group: str | None = None) -> Sequence[Record]:
        """Those that ended since, in the order in which they were made."""
        ...

    def stuck_replacements(self, group: str | None = None) -> Sequence[Record]: ...
    def replacement(self, rid: str) -> Record | None: ...
    def add_replacement(self, record: Record) -> bool:
        """False when the slot or the old instance has an open replacement already."""
        ...

    def save_replacement(self, record: Record) -> None:
        """Compare-and-swap on ``version``; raises ``StaleRecord`` when somebody else moved it.

        ``record.version`` is the version that was read; what is kept carries the next one.
        """
        ...

    # journal
    def journal(self, kind: str, subject: str, body: Mapping[str, object], now: datetime) -> JournalLine: ...
    def journal_lines(
        self, subject: str | None = None, after: int = 0, *, limit: int | None = None
    ) -> Sequence[JournalLine]: ...
    def last_line(self) -> JournalLine | None: ...

    # growth
    def prune(self, before: datetime) -> Mapping[str, int]:
        """Delete what was over before ``before`` and say how many rows of each; never the journal or replacements."""
        ...


class StaleRecord(DriftdError):
    """Somebody else has moved this record since it was read."""


class StoreUnavailable(DriftdError):
    """The store cannot be read or written (disk full, locked, damaged). Nothing may be changed while it is."""


class LeaseHeld(DriftdError):
    """Another daemon runs on this store."""


class Store(Protocol):
    """Where driftd remembers. One writer at a time; readers never wait for it."""

    def write(self) -> AbstractContextManager[Tx]:
        """A transaction that is committed when the block ends and rolled back when it raises."""
        ...

    def read(self) -> AbstractContextManager[Tx]: ...

    def take_lease(self, holder: str, ttl_s: float, now: datetime) -> int:
        """The controller's lease; returns the fencing epoch, one higher at each takeover. Raises ``LeaseHeld``."""
        ...

    def renew_lease(self, holder: str, epoch: int, ttl_s: float, now: datetime) -> None:
        """Raises ``LeaseHeld`` when the lease is no longer ours."""
        ...

    def drop_lease(self, holder: str, epoch: int) -> None: ...

    def close(self) -> None: ...


class Queue(Protocol):
    """Work to be done. A job is leased, then done or failed; a lease that runs out gives it back."""

    def put(self, kind: str, key: str, due: datetime, now: datetime) -> bool:
        """False when a job with this key waits or runs already."""

    def take(self, kind: str, limit: int, lease_s: float, now: datetime) -> Sequence[Job]: ...

    def reclaim(self, kind: str) -> None:
        """Give back every job of this kind that is leased: for who knows that nobody works on them."""

    def hurry(self, kind: str, now: datetime, key: str = "") -> None:
        """Every job of this kind that waits is due now; with a ``key`` that one alone."""

    def done(self, job: Job) -> None: ...

    def retry(self, job: Job, due: datetime) -> None: ...
