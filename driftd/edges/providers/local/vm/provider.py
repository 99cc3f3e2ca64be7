"""The ``local-vm`` provider as the entry point makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from driftd.core.errors import BadInput, Refused
from driftd.edges.providers.local import image
from driftd.edges.providers.local.instance import Home
from driftd.edges.providers.local.provider import FleetProvider
from driftd.edges.providers.local.settings import FleetSettings
from driftd.edges.providers.local.vm import machine, reading
from driftd.edges.providers.options import checked, groups_of, section_of


class VmSettings(FleetSettings):
    """The section ``providers.local-vm``. ``memory_mb`` is what each machine has."""

    stop_grace_s: float = Field(default=60.0, gt=0, le=600)
    memory_mb: int = Field(default=256, ge=64, le=65536)


class VmProvider(FleetProvider):
    """Machines under qemu; see docs/providers.md. Volumes and addresses would need somebody inside: there are none."""

    name = "local-vm"

    def __init__(self, settings: VmSettings, groups: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(settings, groups, machine.Machines(settings.memory_mb))

    def prepare(self) -> None:
        """See ``Provider.prepare``. Raises ``BadInput`` when this machine cannot run others."""
        lacking = machine.missing()
        if lacking:
            sentence, _, remedy = lacking.partition("; ")
            raise BadInput(sentence, remedy)
        super().prepare()

    def read_root(self, instance_id: str, token: str, into: Path, limit: int) -> str:  # noqa: ARG002  # nothing is made
        """See ``driftd.core.asides.DiskReading``."""
        home = Home(self.deployment, instance_id)
        rootfs = image.find(self.images, home.meta()["image"])
        if rootfs is None:
            raise Refused(f"the image of {instance_id} is not here any more, so nobody knows how large its disk is")
        return reading.read_root(home, rootfs.parent / "disk.ext4", into, limit)

    def tidy_reads(self) -> Sequence[str]:
        """See ``driftd.core.asides.DiskReading``: a copy that its driftd left is ended by the next one."""
        return ()


def create(options: Mapping[str, object]) -> VmProvider:
    """The entry point. ``options`` has ``settings`` (the section ``providers.local-vm``) and ``groups`` (by name)."""
    settings = checked(VmSettings, options.get("settings") or {}, f"providers.{section_of(options, 'local-vm')}")
    return VmProvider(settings, groups_of(options, "local-vm"))
