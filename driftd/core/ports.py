"""The ports: what the flows need of the world, with the promises that each edge must keep.

A provider (ours or a stranger's) implements ``Provider``; ``driftd.testing.ProviderContract`` checks these promises.
Time is always passed in as an aware ``datetime``; no port reads a clock on behalf of a decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from driftd.core.asks import Ask
from driftd.core.cards import Card
from driftd.core.digestkey import DigestKey
from driftd.core.facts import Instance, Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.core.hooks import HookName as HookName  # noqa: PLC0414  # a port like the others, named with them
from driftd.core.hooks import Hooks as Hooks  # noqa: PLC0414  # likewise
from driftd.core.interned import Interned
from driftd.core.manifest import Manifest
from driftd.core.matchers import Matcher
from driftd.core.notices import Notice
from driftd.core.packs import Pack
from driftd.core.sidecar import Sidecar

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
    """A data volume. At most one instance may hold it; ``attached_to`` is "" when it is free.

    ``filesystem`` is the UUID of the file system that was made on it, in lower case: it stays the same for ever,
    whoever holds the volume, and is "" where the provider cannot tell.
    """

    id: str
    slot: str
    attached_to: str = ""
    filesystem: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of a volume as it was at ``at``. ``token`` is the one it was asked for with, "" where it was not by us."""

    id: str
    volume_id: str
    token: str
    at: datetime
    filesystem: str = ""


AT_ONCE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Address:
    """A movable address. ``attached_to`` is "" when nobody holds it.

    For ``linger`` after it has moved others may go on asking whoever had it before: those who have resolved a name.
    ``underway`` says that its last move is not everywhere yet; only then does that time begin. ``made`` says that it is
    as the provider makes one where there is none: released, it is there no more.
    """

    address: str
    slot: str
    attached_to: str = ""
    linger: timedelta = AT_ONCE
    underway: bool = False
    made: bool = False


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
        """Power off, keeping disk, addresses and volumes. Stopped already is success.

        When it shows as stopped, nothing of it runs and nothing of it writes to a volume: that is the fence.
        """
        ...

    def start(self, instance_id: str) -> None:
        """Power on again, with the disk, addresses and volumes that it owns by then. Running already is success."""
        ...

    def terminate(self, instance_id: str) -> None:
        """End for good. Gone already is success. Volumes and movable addresses survive it."""
        ...

    def tag(self, instance_id: str, tags: Mapping[str, str]) -> None:
        """Set tags; an empty value removes one."""
        ...

    def preflight(self, request: LaunchRequest) -> str:
        """Why ``launch(request)`` would be refused now, in one sentence; "" when nothing speaks against it.

        Makes nothing and changes nothing. A promise about this moment only: the launch may be refused all the same.
        """
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
        """Refused unless the volume is free (or already there), and where its file system is damaged (a read-only
        check says so); a journal left to be replayed is no damage. A running instance has it mounted when this
        returns, a stopped one when it was started.
        """
        ...

    def detach(self, volume_id: str) -> None:
        """Raises ``Refused`` while something on the instance uses it. A stopped instance uses nothing; free already
        is success.
        """
        ...

    def snapshot(self, volume_id: str, token: str) -> Snapshot:
        """A copy of the volume as it is at this moment: the moment is over when this returns.

        The same token gives the same snapshot, however often it is sent; for another volume it is refused. Refused,
        too, where the copy could not be consistent: while a running instance has it mounted writable.
        """
        ...

    def snapshots(self) -> Sequence[Snapshot]:
        """Every snapshot of these volumes, oldest first."""
        ...

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot for good. Gone already is success."""
        ...


class Addresses(Protocol):
    """Movable addresses."""

    def list(self) -> Sequence[Address]: ...

    def associate(self, address: str, instance_id: str, expected_owner: str = "") -> None:
        """Move it. Refused when its present owner is neither nobody, ``instance_id`` nor ``expected_owner``."""
        ...

    def release(self, address: str, expected_owner: str) -> None:
        """Nobody's from now on; nobody's already is success. Refused when its present owner is another."""
        ...


class Inventory(Protocol):
    """Which instances there are."""

    def find(self, group: str) -> Sequence[Instance]:
        """All instances of ``group`` that exist, in any state but terminated, sorted by slot and id."""
        ...


class Provider(Protocol):
    """One provider as configured for this deployment. What it cannot do is None, so that nobody has to guess.

    What it may do besides is in core/asides.py. ``name`` is that of its section of the configuration.
    """

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


# --- what others measure ---------------------------------------------------------------------------------------------


class Judge(Protocol):
    """Answers questions about metrics. Never raises for what it was answered."""

    def ask(self, query: str) -> float | Unseen:
        """The one finite number that ``query`` (PromQL) amounts to now.

        ``Unseen`` with a sentence when it is none: no data, several series, NaN or infinite, an answer in part, no
        answer in time, or one that cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that is firing. Its labels are a stranger's words, cut to a bearable length; ``since`` may be None."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None


class Alerts(Protocol):
    """Knows which alerts are firing. Never raises for what it was answered."""

    def firing(self, matchers: Sequence[Matcher]) -> Sequence[Alert] | Unseen:
        """The alerts that fire, match all of ``matchers``, and are neither silenced nor inhibited.

        ``Unseen`` with a sentence when that cannot be told; whoever asks must take it for an alert that fires.
        """
        ...


# --- looking ---------------------------------------------------------------------------------------------------------


AskFor = Callable[[Fingerprint], Sequence[Ask]]


class Looker(Protocol):
    """Sees one instance. Never raises for what an instance did: that is ``Unseen`` with a sentence.

    ``own_key`` says which key fingerprint the visit was made with ("" for a local look).
    """

    def look(
        self,
        instance: Instance,
        *,
        deadline_s: float,
        key: DigestKey | None = None,
        ask: AskFor | None = None,
        image: Interned | None = None,
    ) -> Fingerprint | Unseen:
        """``key`` is what digests of secrets are made with; without one there are none. It is kept nowhere.

        ``ask`` says, of what was seen, what else to ask about single files on the same connection; the answers are in
        the fingerprint that is returned. A host that cannot be asked says so (``kept``, kind "asks"), and ``ask`` is
        not called. A host that fails while it is asked was not seen.

        ``image`` is the tree that what comes is held against on its way; without one all of it is parsed.
        """
        ...

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


class Sidecars(Protocol):
    """What small configuration files said when they were baked: documents that lie beside the manifests."""

    def for_manifest(self, manifest: Manifest) -> Sidecar | Unseen | None:
        """The sidecar of the manifest's image; None when there is none.

        ``Unseen`` when it cannot be read, and where the manifest is sealed and this is not what was signed with it.
        """
        ...


class Overlays(Protocol):
    """What calibration learnt of images: documents that lie beside their manifests."""

    def for_manifest(self, manifest: Manifest) -> Pack | Unseen | None:
        """The overlay of the manifest's image; None when there is none.

        ``Unseen`` when it cannot be read, and where the manifest is sealed and this is not what was signed with it.
        """
        ...


class DigestKeys(Protocol):
    """The keys of images' keyed digests (core/digestkey.py). No error of theirs holds any of a key."""

    def known(self, image: str, key_id: str) -> DigestKey | Unseen:
        """The key of ``image`` whose id is ``key_id``; ``Unseen`` when it is not here or not kept safely."""
        ...

    def made(self, image: str) -> DigestKey:
        """The key of ``image``, made when there is none yet. Raises BadInput when it could not be kept safely."""
        ...


# --- saying ----------------------------------------------------------------------------------------------------------


class Notifier(Protocol):
    """Says something to people. Raises ``Refused`` (never will be said so), ``Unreached`` or ``Throttled`` (surely not
    said, try again) or another ``Unavailable`` (nobody knows whether it was said, try again).
    """

    def send(self, notice: Notice) -> None: ...


class Board(Protocol):
    """Shows incidents, each in one place that changes. Raises as ``Notifier`` does; ``NotFound`` where ``ref`` is gone.

    To update is to say the same again where it is said already, so it may be done any number of times.
    """

    def post(self, card: Card, *, doubt: bool) -> str:
        """Begin to show it; ``ref``, the board's name of where. ``doubt``: it may have been posted before."""
        ...

    def crowd(self, notice: Notice) -> str:
        """Say many at once, in one place that will not change; its ``ref``."""
        ...

    def update(self, ref: str, card: Card) -> str:
        """Show it as it is now; its ``ref`` from now on, which is another one where the board had to name it anew."""
        ...

    def follow(self, ref: str, notice: Notice) -> None:
        """What came after, below what stands at ``ref``."""
        ...
