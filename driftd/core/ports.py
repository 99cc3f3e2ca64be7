"""The ports: what the flows need of the world, with the promises that each edge must keep.

A provider (ours or a stranger's) implements ``Provider``; ``driftd.testing.ProviderContract`` checks these promises.
Time is always passed in as an aware ``datetime``; no port reads a clock on behalf of a decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from driftd.core.errors import DriftdError
from driftd.core.facts import Instance, Session, Unseen
from driftd.core.findings import Action, Finding, Severity, Verdict
from driftd.core.fingerprint import Fingerprint
from driftd.core.manifest import Manifest
from driftd.core.replacement import Record

# --- providers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """Everything a launch needs, frozen with the intent so that a retry sends exactly the same bytes."""

    group: str
    slot: str
    image: str
    token: str
    tags: Mapping[str, str] = field(default_factory=dict)


class TargetState(StrEnum):
    """What a load balancer says of one target."""

    INITIAL = "initial"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class Target:
    """One instance behind a load balancer. ``connections`` counts what is in flight: requests and open connections."""

    instance_id: str
    state: TargetState
    connections: int = 0


@dataclass(frozen=True, slots=True)
class Volume:
    """A data volume. At most one instance may hold it; ``attached_to`` is "" when it is free."""

    id: str
    slot: str
    attached_to: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """A movable address. ``attached_to`` is "" when nobody holds it."""

    address: str
    slot: str
    attached_to: str = ""


class Compute(Protocol):
    """Instances. Every call may raise ``Unavailable``; a call about one instance may raise ``NotFound``."""

    def list(self, tags: Mapping[str, str]) -> Sequence[Instance]:
        """Every instance of this deployment, not yet gone, that carries all of ``tags``; launching ones included."""
        ...

    def describe(self, instance_id: str) -> Instance: ...

    def launch(self, request: LaunchRequest) -> Instance:
        """Start one instance. The same token gives the same instance, however often it is sent; the same token with
        another request raises ``Refused``. The token and ``request.tags`` are on the instance from the moment that it
        can be listed (tag ``driftd:token``).
        """
        ...

    def stop(self, instance_id: str) -> None:
        """Power off, keeping disk, address and volumes. Stopped already is success."""
        ...

    def start(self, instance_id: str) -> None: ...

    def terminate(self, instance_id: str) -> None:
        """End for good. Gone already is success. Volumes and movable addresses survive it."""
        ...

    def tag(self, instance_id: str, tags: Mapping[str, str]) -> None:
        """Set tags; an empty value removes one."""
        ...


class Traffic(Protocol):
    """A group's load balancer. Each call is a no-op when the world already agrees."""

    def targets(self, group: str) -> Sequence[Target]: ...

    def register(self, group: str, instance: Instance) -> None:
        """Add it, or put a draining one back in service. New connections may come as soon as it is healthy."""
        ...

    def drain(self, group: str, instance_id: str) -> None:
        """No new work; what is in flight goes on. Not a target is success."""
        ...

    def deregister(self, group: str, instance_id: str) -> None:
        """Remove it. Raises ``Refused`` while connections are open. Not a target is success."""
        ...


class Volumes(Protocol):
    """Data volumes: a transfer with one owner."""

    def list(self) -> Sequence[Volume]: ...

    def attach(self, volume_id: str, instance_id: str) -> None:
        """Refused unless the volume is free (or already there)."""
        ...

    def detach(self, volume_id: str) -> None:
        """Raises ``Refused`` while something on the instance uses it. Free already is success."""
        ...


class Addresses(Protocol):
    """Movable addresses."""

    def list(self) -> Sequence[Address]: ...

    def associate(self, address: str, instance_id: str, expected_owner: str = "") -> None:
        """Move it. Refused when its present owner is neither nobody, ``instance_id`` nor ``expected_owner``."""
        ...

    def release(self, address: str) -> None: ...


class Inventory(Protocol):
    """Which instances there are."""

    def find(self, group: str) -> Sequence[Instance]:
        """All instances of ``group`` that exist, in any state but terminated, sorted by slot and id."""
        ...


class Provider(Protocol):
    """One provider as configured for this deployment. What it cannot do is None, so that nobody has to guess."""

    name: str
    inventory: Inventory
    compute: Compute | None
    traffic: Traffic | None
    volumes: Volumes | None
    addresses: Addresses | None

    def prepare(self) -> None:
        """Called once when a daemon starts: finish what the end of an earlier process left half done."""
        ...

    def close(self) -> None:
        """Give back handles of this process. Never ends an instance."""
        ...


class ProviderFactory(Protocol):
    """What an entry point in group ``driftd.providers`` names: ``factory(options)``.

    ``options`` is the provider's own section of the configuration; unknown keys in it are its own ``BadInput``.
    """

    def __call__(self, options: Mapping[str, object]) -> Provider: ...


# --- looking ---------------------------------------------------------------------------------------------------------


class Looker(Protocol):
    """Sees one instance. Never raises for what an instance did: that is ``Unseen`` with a sentence.

    ``own_key`` says which key fingerprint the visit was made with ("" for a local look).
    """

    def look(self, instance: Instance, *, deadline_s: float) -> Fingerprint | Unseen: ...

    def own_key(self, instance: Instance) -> str: ...


class Health(Protocol):
    """Asks an instance's application, past the load balancer, whether it serves."""

    def check(self, instance: Instance) -> str:
        """One sentence saying why it does not serve; empty when it does."""
        ...


class Manifests(Protocol):
    """Manifests by image id."""

    def for_image(self, image: str) -> Manifest | Unseen:
        """``Unseen`` when there is none, it is damaged, or it is another image's."""
        ...


# --- remembering -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One line of the hash chain. ``kind`` is intent, result, observation, decision or human."""

    seq: int
    at: datetime
    kind: str
    subject: str
    body: Mapping[str, object]
    prev: str
    hash: str


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
class SessionRow:
    """A session in the store. ``own`` marks driftd's visits."""

    id: int
    instance_id: str
    session: Session
    own: bool
    first_seen: datetime


@dataclass(frozen=True, slots=True)
class Suppression:
    """An acceptance ("that was me"): a dated, owned acceptance of one signature. ``group`` "" means every group."""

    id: int
    signature: str
    group: str
    owner: str
    reason: str
    created_at: datetime
    expires_at: datetime
    hits: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be said to people. ``key`` deduplicates: a second message with the same key is not queued."""

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
    """Somebody stopped all changes. ``group`` "" means everywhere."""

    group: str
    owner: str
    reason: str
    since: datetime


class Tx(Protocol):
    """One transaction on the store; everything in it happens, or nothing. No network call belongs inside one."""

    # instances and findings
    def instances(self, group: str | None = None, *, gone: bool = False) -> Sequence[InstanceRow]: ...
    def instance(self, instance_id: str) -> InstanceRow | None: ...
    def put_instance(self, row: InstanceRow) -> None: ...
    def open_findings(self, instance_id: str | None = None) -> Sequence[FindingRow]: ...
    def finding(self, finding_id: int) -> FindingRow | None: ...
    def add_finding(self, instance_id: str, finding: Finding, now: datetime) -> FindingRow: ...
    def touch_finding(self, finding_id: int, finding: Finding, now: datetime) -> None: ...
    def resolve_finding(self, finding_id: int, now: datetime) -> None: ...

    # sessions and driftd's own visits
    def sessions(self, instance_id: str) -> Sequence[SessionRow]: ...
    def add_session(self, instance_id: str, session: Session, own: bool, now: datetime) -> bool:
        """False when this session (same door, user, source, port, pid and start) is known already."""
        ...

    def open_visit(self, instance_id: str, key: str, now: datetime) -> int: ...
    def close_visit(self, visit_id: int, now: datetime) -> None: ...
    def visits(self, instance_id: str) -> Sequence[tuple[str, datetime, datetime | None]]:
        """(key fingerprint, opened, closed or None), newest first."""
        ...

    # what people said
    def suppressions(self, now: datetime) -> Sequence[Suppression]: ...
    def add_suppression(self, suppression: Suppression) -> int: ...
    def count_suppression(self, suppression_id: int) -> None: ...
    def pauses(self) -> Sequence[Pause]: ...
    def set_pause(self, pause: Pause) -> None: ...
    def clear_pause(self, group: str) -> bool: ...

    # replacements
    def open_replacements(self, group: str | None = None) -> Sequence[Record]: ...
    def replacements(self, limit: int = 50) -> Sequence[Record]: ...
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

    # outbox
    def say(self, message: Message, now: datetime) -> bool:
        """Queue a message; False when one with this key was queued before."""
        ...

    def unsent(self, limit: int = 50) -> Sequence[Message]: ...
    def mark_sent(self, message_id: int, now: datetime) -> None: ...
    def mark_failed(self, message_id: int, now: datetime) -> None: ...

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

    def done(self, job: Job) -> None: ...

    def retry(self, job: Job, due: datetime) -> None: ...


class Notifier(Protocol):
    """Says a message to people. Raises ``Unavailable`` (try again) or ``Refused`` (never will work)."""

    def send(self, message: Message) -> None: ...
