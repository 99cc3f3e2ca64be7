"""Asides: what a provider may be able to do besides its ports. Whoever has the method can; nothing is declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from driftd.core.facts import Instance, Session
from driftd.core.ports import Looker, Snapshot


@runtime_checkable
class Placed(Protocol):
    """It knows where its things are: two sections of one kind in one place would both have them."""

    def place(self) -> str:
        """The place in a few words, the same for the same one. Asks nobody."""
        ...


@runtime_checkable
class Fed(Protocol):
    """What it is told it takes from somewhere, and whoever takes it has it alone: two sections would each miss half."""

    def fed_by(self) -> str:
        """What it takes that from, in a few words, the same for the same one. Asks nobody."""
        ...


@runtime_checkable
class Isolating(Protocol):
    """It can cut an instance's network from outside, whatever root does inside."""

    def isolate(self, instance_id: str) -> None:
        """No packet comes in or goes out from now on, after a stop and a start either; ``Instance.isolated`` shows it.

        The instance goes on running, and keeps disk and memory. There is no way back. Isolated already is success.
        Raises ``NotFound`` and ``Unavailable``.
        """
        ...


@runtime_checkable
class RootCopying(Protocol):
    """It can copy an instance's root volume while the instance runs on."""

    def copy_root(self, instance_id: str, token: str, until: datetime | None = None) -> Snapshot:
        """A copy of the root volume as it is now; its ``volume_id`` is the instance's id. Whole when this returns.

        ``until`` is how long it is meant to be kept: for whoever comes across it and does not ask driftd, where the
        provider has a place for that. Nothing ends by it. The same token gives the same copy, however often it is sent.
        Raises ``NotFound``, ``Unavailable``, and ``Refused`` where there is no room; leaves nothing behind then.
        """
        ...

    def root_copies(self) -> Sequence[Snapshot]:
        """All that ``copy_root`` made and nobody deleted, in no order. They outlive their instances."""
        ...

    def delete_root_copy(self, copy_id: str) -> None:
        """Delete one. Gone already is success."""
        ...


@runtime_checkable
class DiskReading(Protocol):
    """It can read a running instance's root disk from outside, without asking the instance."""

    def read_root(self, instance_id: str, token: str, into: Path, limit: int) -> str:
        """Its root disk as it is at one moment of this call, as a raw image in the file ``into``, which is made.

        One sentence on how it was read is returned. As after a power cut: what the instance has written and not yet
        brought to its disk is not there. The instance runs on. ``limit`` is the most bytes that the disk may have.
        Raises ``NotFound``, ``Unavailable``, ``NoCapacity`` where there is no room for it here, and ``Refused``; then
        there is no ``into``. What was made for it at the provider carries ``token`` and is deleted when this returns or
        raises, or by ``tidy_reads`` where this process ended before.
        """
        ...

    def tidy_reads(self) -> Sequence[str]:
        """Delete what reads that broke off left behind, once no read can need it any more; what was deleted, by name.

        May raise ``ProviderError``.
        """
        ...


@runtime_checkable
class SnapshotReading(Protocol):
    """It can read a snapshot of a disk that it keeps, or the disk of an image."""

    def read_snapshot(self, name: str, into: Path, limit: int) -> str:
        """The disk of the snapshot, or of the image, of this name, as ``DiskReading.read_root`` writes one.

        Nothing is made for it. Raises ``NotFound`` where there is none of that name.
        """
        ...


class StoppableLooker(Looker, Protocol):
    """A looker whose looks can be ended."""

    def stop(self) -> None:
        """End every look that is under way, as if its deadline had passed, and let none begin any more."""
        ...


@runtime_checkable
class Looking(Protocol):
    """It can look at instances by means of its own: those whose ``Reach.means`` it has set."""

    def looker(self) -> StoppableLooker:
        """The same one each time. A visit's commands are told by ``Announced.sent``, each as soon as it has a name."""
        ...


@runtime_checkable
class Admitting(Protocol):
    """It can have a key let in at its instances for a moment: at those whose ``Reach.admission`` it has set."""

    def let_key_in(self, instance: Instance, key: str) -> None:
        """Have the public key ("ssh-ed25519 AAAA…") let in as the user of the instance's ``Reach``, for long enough to
        log in once. Both ends keep record of it. The same one again is no harm. Raises ``ProviderError``.
        """
        ...


@runtime_checkable
class Foreign(Protocol):
    """It knows of operations that somebody else has under way in a group."""

    def foreign(self, group: str) -> str:
        """What is under way, in one sentence (an instance refresh, a deploy, a rebalance); "" when nothing is.

        Nothing that driftd does itself counts. May raise ``Unavailable``.
        """
        ...


@runtime_checkable
class Gated(Protocol):
    """It has a gate before service: whom others launch (a scale-out) waits there until somebody lets it through."""

    def waiting(self, group: str) -> Sequence[str]:
        """Who waits at the gate of ``group``; nobody where it has none. Raises ``Refused`` where its gate is not there
        any more, and ``Unavailable``.
        """
        ...

    def admit(self, group: str, instance_id: str) -> None:
        """It may serve. Not waiting any more is success. Raises ``ProviderError``."""
        ...

    def keep_waiting(self, group: str, instance_id: str) -> None:
        """It waits on: a gate does not wait for ever. Not waiting any more is success. Raises ``ProviderError``."""
        ...


@dataclass(frozen=True, slots=True)
class Rights:
    """What a provider's credentials may do, each by the provider's own name of it (``ec2:StopInstances``), sorted.

    ``missing_hint`` says how all that are missing are given. Those that are ``unknown`` could not be tried;
    ``unknown_why`` is a sentence about it, and ``unknown_hint`` says how they could be.
    """

    held: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    missing_hint: str = ""
    unknown: tuple[str, ...] = ()
    unknown_why: str = ""
    unknown_hint: str = ""


@runtime_checkable
class Permissioned(Protocol):
    """It acts with credentials that may lack a right."""

    def rights(self, group: str, *, changing: bool) -> Rights:
        """Of what looking at ``group`` needs, and with ``changing`` of what replacing in it needs besides.

        Tried as well as the provider can without changing anything. May raise ``ProviderError``.
        """
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """That somebody came, driftd itself perhaps; ``event`` is the provider's name of it. ``new``: nobody knew yet."""

    event: str
    instance_id: str
    session: Session
    new: bool = True


@dataclass(frozen=True, slots=True)
class Heard:
    """What a provider was told since it was last asked: who came, and what else is to be said, in sentences.

    ``changed``: instances came or went, so that its inventory is worth reading. ``trouble`` says why it hears nothing
    now, as long as that lasts; ``hint`` what to do about it.
    """

    came: tuple[Arrival, ...] = ()
    said: tuple[str, ...] = ()
    changed: bool = False
    trouble: str = ""
    hint: str = ""


@runtime_checkable
class Hearing(Protocol):
    """A ``Doorman`` that is told of who comes, sooner than it could ask."""

    def listen(self) -> Heard:
        """What has come. Asked again and again, by one thread; waits a moment at most, and never raises."""
        ...

    def taken(self, instance_id: str, since: datetime) -> None:
        """What ``let_in`` has told of an instance since then is in the store. What was not, is kept wherever it came
        from, so that it comes again should this process end.
        """
        ...

    def own(self, event: str) -> None:
        """It was driftd itself, of which the store knows."""
        ...


@runtime_checkable
class Doorman(Protocol):
    """It has ways in of its own (a session manager, a console), of which it keeps record."""

    def let_in(self, instance: Instance, since: datetime) -> Sequence[Session]:
        """Who was on ``instance`` by these at some time since, also those who are; their door is "cloud".

        ``key_id`` is the provider's own name of who came (a role and its user, say), ``source`` the address, if known,
        ``tty`` what the provider calls the session. What driftd itself does by them counts, too. May raise
        ``Unavailable``.
        """
        ...


# The methods of all of them: whoever stands before a provider hands them on.
METHODS = tuple(
    sorted(
        name
        for aside in (
            Admitting,
            DiskReading,
            Doorman,
            Fed,
            Foreign,
            Gated,
            Hearing,
            Isolating,
            Looking,
            Permissioned,
            Placed,
            RootCopying,
            SnapshotReading,
        )
        for name, found in vars(aside).items()
        if callable(found) and not name.startswith("_")
    )
)


def hand_on(provider: object, stand_in: object) -> None:
    """Give ``stand_in`` what ``provider`` has of these: in itself, where ``isinstance`` with a runtime protocol looks
    for it from Python 3.12 on.
    """
    for name in METHODS:
        if (found := getattr(provider, name, None)) is not None:
            setattr(stand_in, name, found)
