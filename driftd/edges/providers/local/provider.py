"""The ``local`` provider as the entry point makes it: its settings checked, its parts joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from driftd.core.ports import Addresses, Compute, Inventory, Snapshot, Traffic, Volumes
from driftd.edges.providers.local import fleet, image
from driftd.edges.providers.local.addresses import LocalAddresses
from driftd.edges.providers.local.compute import LocalCompute
from driftd.edges.providers.local.deployment import Deployment
from driftd.edges.providers.local.haproxy import LocalTraffic
from driftd.edges.providers.local.instance import Kind
from driftd.edges.providers.local.namespaces import Namespaces
from driftd.edges.providers.local.roots import LocalRoots
from driftd.edges.providers.local.settings import FleetSettings, frontends, logins, zones_of
from driftd.edges.providers.local.tools import on_disk
from driftd.edges.providers.local.volumes import LocalVolumes, VolumeSpec
from driftd.edges.providers.options import Strict, checked, groups_of, section_of


class VolumeSettings(Strict):
    """One data volume: see ``VolumeSpec``."""

    slot: str
    size_mb: int = Field(default=64, ge=8, le=65536)
    path: str = Field(default="/data", pattern=r"^/[^:,\s]+$")


class LocalSettings(FleetSettings):
    """The section ``providers.local``: ``volumes`` and ``addresses`` are what slots own, as in
    ``{data-0: {slot: web/0}}`` and ``[web/0]``.
    """

    volumes: dict[str, VolumeSettings] = Field(default_factory=dict)
    addresses: tuple[str, ...] = ()


class FleetProvider:
    """``driftd.core.ports.Provider``: a fleet in one directory, of instances of one kind, behind HAProxy."""

    name = ""

    def __init__(self, settings: FleetSettings, groups: Mapping[str, Mapping[str, Any]], kind: Kind) -> None:
        self.deployment = Deployment.at(Path(settings.dir))
        self.images = Path(settings.images).expanduser() if settings.images else image.default_cache()
        served = frontends(groups)
        self._kind = kind
        self._traffic = LocalTraffic(self.deployment, served)
        self._compute = LocalCompute(
            self.deployment,
            self.images,
            logins(groups, settings.authorized_keys),
            kind,
            grace_s=settings.stop_grace_s,
            started=self._follow_start,
            ended=self._traffic.forget,
            zones=zones_of(groups),
        )
        self.inventory: Inventory = self._compute
        self.compute: Compute | None = self._compute
        self.traffic: Traffic | None = self._traffic if served else None
        self.volumes: Volumes | None = None
        self.addresses: Addresses | None = None

    def prepare(self) -> None:
        """See ``Provider.prepare``: launches and endings that a crash interrupted."""
        self.deployment.prepare()
        fleet.sweep_leftovers(self.deployment.root, self._kind)
        self._compute.resume()

    def isolate(self, instance_id: str) -> None:
        """See ``driftd.core.asides.Isolating``."""
        self._compute.isolate(instance_id)

    def place(self) -> str:
        """See ``driftd.core.asides.Placed``."""
        return f"the directory {self.deployment.root}"

    def up(self) -> None:
        """Bring up what serves before the first instance: finish what a crash left, and start the load balancer."""
        self.prepare()
        self._traffic.up()

    def down(self) -> None:
        """End every instance and the load balancer; the deployment's directory stays for ``clean`` to remove."""
        for instance in self._compute.list({}):
            self._compute.terminate(instance.id)
        self._traffic.down()

    def close(self) -> None:
        """Nothing is held between calls."""

    def _follow_start(self, instance_id: str) -> None:
        """An instance was started again: what it owned comes back to it."""


class LocalProvider(FleetProvider):
    """Real servers on this kernel; see docs/providers.md."""

    name = "local"

    def __init__(self, settings: LocalSettings, groups: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(settings, groups, Namespaces())
        specs = {name: VolumeSpec(**spec.model_dump()) for name, spec in settings.volumes.items()}
        self._volumes = LocalVolumes(self.deployment, specs)
        self._addresses = LocalAddresses(self.deployment, settings.addresses)
        self._roots = LocalRoots(self.deployment)
        self.volumes = self._volumes if specs else None
        self.addresses = self._addresses if settings.addresses else None

    @on_disk
    def copy_root(
        self,
        instance_id: str,
        token: str,
        until: datetime | None = None,  # noqa: ARG002  # nobody comes across a copy here who does not ask driftd
    ) -> Snapshot:
        """See ``driftd.core.asides.RootCopying``."""
        return self._roots.copy(instance_id, token)

    def root_copies(self) -> Sequence[Snapshot]:
        """See ``driftd.core.asides.RootCopying``."""
        return self._roots.all()

    @on_disk
    def delete_root_copy(self, copy_id: str) -> None:
        """See ``driftd.core.asides.RootCopying``."""
        self._roots.delete(copy_id)

    def _follow_start(self, instance_id: str) -> None:
        self._volumes.reattach(instance_id)
        self._addresses.reattach(instance_id)


def create(options: Mapping[str, object]) -> LocalProvider:
    """The entry point. ``options`` has ``settings`` (the section ``providers.local``) and ``groups`` (by name)."""
    settings = checked(LocalSettings, options.get("settings") or {}, f"providers.{section_of(options, 'local')}")
    return LocalProvider(settings, groups_of(options, "local"))
