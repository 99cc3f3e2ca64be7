"""Disks, joined together: one held against its manifest, without the instance that it is of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from driftd.core import disklooks
from driftd.core.errors import BadInput
from driftd.core.facts import Instance
from driftd.core.looks import Look
from driftd.doors.desks.disks import Disk
from driftd.edges import documents
from driftd.edges.images.looker import UNPACKED_LIMIT, ImageLooker
from driftd.edges.images.program import DISK, Spec
from driftd.edges.local import converse
from driftd.flows.audit import Rules, audit
from driftd.wiring.baking import DEADLINE_S
from driftd.wiring.trust import Given

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse


class Disks:
    """Implements ``driftd.doors.desks.disks.DiskDesk`` for one house."""

    def __init__(self, house: WiredHouse) -> None:
        self._house = house

    def audit(
        self, disk: Disk, manifest: Path, policy: Sequence[str], *, strict: bool, keys: Sequence[Path] = ()
    ) -> Look:
        house = self._house
        made = house.trusting.given(manifest, keys)
        if not disk.file.exists():
            raise BadInput(f"there is no disk {str(disk.file)!r}", "see that its name is right")
        looker = reader(disk)
        showing = house.explaining().showing_beside(manifest)
        overlays = documents.OverlayDirectory(manifest.parent, manifest)
        rules = Rules(documents.load_policy(policy, Path()), (), strict, overlays, showing, house.packages)
        instance = Instance(id=str(disk.file), group="", image=made.image)
        look = audit(instance, looker, Given(made), rules, tuple, house.now, keys=house.keys, deadline_s=DEADLINE_S)
        return disklooks.told(look, looker.notes)


def reader(disk: Disk) -> ImageLooker:
    """What reads it."""
    limit = disk.unpacked_limit or UNPACKED_LIMIT
    return ImageLooker(Spec(DISK, str(disk.file.absolute()), "", limit, "", disk.partition, disk.replay), converse)
