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

    def copy_root(self, instance_id: str, token: str) -> Snapshot:
        """A copy of the root volume as it is now; its ``volume_id`` is the instance's id. Whole when this returns.

        The same token gives the same copy, however often it is sent. Raises ``NotFound``, ``Unavailable``, and
        ``Refused`` where there is no room; leaves nothing behind then.
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
class Foreign(Protocol):
    """It knows of operations that somebody else has under way in a group."""

    def foreign(self, group: str) -> str:
        """What is under way, in one sentence (an instance refresh, a deploy, a rebalance); "" when nothing is.

        Nothing that driftd does itself counts. May raise ``Unavailable``.
        """
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
