"""What the doors may ask of the house; wiring joins it together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from driftd.core.facts import Instance
    from driftd.core.findings import Action
    from driftd.core.looks import Look
    from driftd.core.memory import Store
    from driftd.core.signs import Signs
    from driftd.doors.demo.stage import Stage, Where
    from driftd.doors.desks.attesting import AttestDesk
    from driftd.doors.desks.baking import BakeDesk
    from driftd.doors.desks.calibration import CalibrationDesk
    from driftd.doors.desks.custody import EvidenceDesk
    from driftd.doors.desks.disks import DiskDesk
    from driftd.doors.desks.doctor import DoctorDesk
    from driftd.doors.desks.explaining import ExplainDesk
    from driftd.doors.desks.exports import ExportDesk
    from driftd.doors.desks.keeping import KeepingDesk
    from driftd.doors.desks.planning import PlanDesk
    from driftd.doors.desks.policies import PolicyDesk
    from driftd.doors.desks.quarantining import QuarantineDesk
    from driftd.doors.desks.recounting import RecountDesk
    from driftd.doors.desks.rehearsing import RehearsalDesk
    from driftd.doors.desks.rollout import RolloutDesk
    from driftd.doors.desks.trust import TrustDesk


@dataclass(frozen=True, slots=True)
class HostKey:
    """One public key that a server presented."""

    kind: str
    fingerprint: str
    known: bool


@dataclass(frozen=True, slots=True)
class Beat:
    """One of the daemon's jobs: run every so often, never twice at once; it returns sentences for the log.

    ``patience`` is how long it may be silent beyond ``every`` before it counts as hung; ``sign`` tells when a run that
    takes long got on last, in seconds of ``time.monotonic``.
    """

    name: str
    every: timedelta
    run: Callable[[], Sequence[str]]
    patience: timedelta = timedelta(minutes=10)
    sign: Callable[[], float] = float


class Manager(Protocol):
    """The service manager that started this process, if one did."""

    watchdog_s: float

    def tell(self, **said: str | int) -> None: ...


class Engine(Protocol):
    """Everything that the daemon drives, holding the controller's lease.

    ``jobs`` is told by the daemon when a beat begins and ends, and asked by all who want to know whether it is alive.
    """

    beats: Sequence[Beat]
    jobs: Signs

    def job_ended(self, name: str, *, well: bool) -> None: ...

    def stop(self) -> None:
        """Begin nothing long any more; called from a signal handler."""
        ...

    def close(self) -> None:
        """Stop serving, give the lease back, close the store."""
        ...


class House(Protocol):
    """One configured driftd. Methods that look or touch raise DriftdError with a sentence."""

    def now(self) -> datetime: ...

    def person(self) -> str:
        """Who is asking: the name that holds, pauses and acceptances are owned by."""
        ...

    def store(self, *, read_only: bool = False) -> AbstractContextManager[Store]: ...

    def enforce(self, group: str) -> Action:
        """The most that any rule may do in ``group``."""
        ...

    def every(self, group: str) -> timedelta:
        """How often an instance of ``group`` is looked at."""
        ...

    def known_groups(self) -> Sequence[str]:
        """The configured groups' names."""
        ...

    def pause_file(self) -> Path: ...

    def use_packages(self, directory: Path) -> None:
        """Verify packages that changed by this directory, instead of the configured one."""
        ...

    def find(self, targets: Sequence[str]) -> Sequence[Instance]:
        """The instances that ``targets`` name (id, slot, group, address); all of them when there are none."""
        ...

    def audit(self, instances: Sequence[Instance], *, strict: bool) -> Iterator[Look]:
        """Look at each, several at once, and yield results as they come."""
        ...

    def audit_root(
        self, root: Path, manifest: Path, policy: Sequence[str], *, strict: bool, keys: Sequence[Path] = ()
    ) -> Look:
        """Look at a directory. ``keys`` are public ones that the manifest must verify with; else the configured ones.

        Where there are none at all, a manifest that nobody signed is taken, and the look says so.
        """
        ...

    def disks(self) -> DiskDesk:
        """Disks, read without the instances that they are of."""
        ...

    def attesting(self) -> AttestDesk:
        """What an instance was seen to be, said to others."""
        ...

    def custody(self) -> EvidenceDesk:
        """What was kept of instances before they were replaced."""
        ...

    def baking(self) -> BakeDesk: ...

    def explaining(self) -> ExplainDesk: ...

    def exports(self) -> ExportDesk: ...

    def calibrating(self) -> CalibrationDesk:
        """What images do by themselves."""
        ...

    def trust(self) -> TrustDesk:
        """Who vouches for manifests."""
        ...

    def scan_host_keys(self, target: str) -> Sequence[HostKey]: ...

    def record_host_keys(self, target: str) -> Path: ...

    def policy_desk(self) -> PolicyDesk: ...

    def request_replacement(self, instance: str, why: str) -> str:
        """Ask the daemon for a replacement; its id."""
        ...

    def request_cancel(self, rid: str) -> str: ...

    def quarantining(self) -> QuarantineDesk:
        """Who is kept, cut off."""
        ...

    def rolling(self) -> RolloutDesk:
        """From one image to another."""
        ...

    def doctor(self) -> DoctorDesk:
        """How all that is configured stands."""
        ...

    def rehearsing(self) -> RehearsalDesk:
        """The configured groups in a simulated world."""
        ...

    def recounting(self) -> RecountDesk:
        """A time that is over."""
        ...

    def planning(self) -> PlanDesk:
        """What replacements would do, before any of them begins."""
        ...

    def keeping(self) -> KeepingDesk:
        """The journal's proof, and the store's care."""
        ...

    def engine(self) -> Engine: ...

    def manager(self) -> Manager:
        """Whoever started this process as a service; one that hears nothing where nobody did."""
        ...

    def demo_inside(self, where: Where, *, keep: bool) -> int | None:
        """As an ordinary user: run the whole command again inside a user namespace; its exit status. None for root."""
        ...

    def demo_stage(self, where: Where) -> Stage: ...

    def demo_clean(self) -> Sequence[str]:
        """Remove what a demo left; a line for each thing."""
        ...
