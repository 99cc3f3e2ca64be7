"""What the doors may ask about disks: one held against its manifest as an instance is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from driftd.core.facts import Instance
from driftd.core.looks import Look

Tell = Callable[[str], None]


def quiet(_what: str) -> None:
    """Nobody is told what is done."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk image, raw or qcow2, or a block device.

    ``partition`` is the one with the root file system, None where its content tells. ``replay`` lets a dirty journal be
    played back, onto a private copy. ``unpacked_limit`` is the most bytes that its files may have.
    """

    file: Path
    partition: int | None = None
    replay: bool = False
    unpacked_limit: int | None = None


class DiskDesk(Protocol):
    """Reads disks. Raises DriftdError with a sentence."""

    def audit(
        self, disk: Disk, manifest: Path, policy: Sequence[str], *, strict: bool, keys: Sequence[Path] = ()
    ) -> Look:
        """Hold a disk against a manifest. ``keys`` are as for ``House.audit_root``. What cannot be read is UNKNOWN."""
        ...

    def both(self, instances: Sequence[Instance], *, strict: bool, tell: Tell = quiet) -> Iterator[Look]:
        """Of each instance two looks: at itself, and at its disk with the verdict that both views have together.

        ``tell`` hears what is done. Raises BadInput where a provider reads no disks.
        """
        ...
