"""The ``aws`` provider as the entry point makes it: its settings checked, its parts joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from driftd.core.asides import Rights, StoppableLooker
from driftd.core.facts import Instance, Session
from driftd.core.ports import Addresses, Compute, Inventory, Snapshot, Traffic, Volumes
from driftd.edges.providers.aws.addresses import AwsAddresses
from driftd.edges.providers.aws.apart import Apart
from driftd.edges.providers.aws.basedisks import BaseDisks
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.compute import AwsCompute
from driftd.edges.providers.aws.instances import Instances
from driftd.edges.providers.aws.launching import Launching
from driftd.edges.providers.aws.looker import CommandLooker
from driftd.edges.providers.aws.reading import AwsDisks
from driftd.edges.providers.aws.rights import Trying
from driftd.edges.providers.aws.roots import AwsRoots
from driftd.edges.providers.aws.scaling import Scaling
from driftd.edges.providers.aws.settings import PAGE, AwsSettings, Served, served
from driftd.edges.providers.aws.subjects import Subjects
from driftd.edges.providers.aws.traffic import AwsTraffic
from driftd.edges.providers.aws.trail import Trail
from driftd.edges.providers.aws.volumes import AwsVolumes
from driftd.edges.providers.options import checked, groups_of


class AwsProvider:
    """``Provider`` on one account and region, with all of core/asides.py but ``Foreign``."""

    name = "aws"

    def __init__(self, settings: AwsSettings, groups: Mapping[str, Served]) -> None:
        self.cloud = Cloud(settings)
        instances = Instances(self.cloud, groups)
        self._scaling = Scaling(self.cloud, groups)
        volumes = AwsVolumes(self.cloud, instances)
        launching = Launching(self.cloud, groups, instances, self._scaling)
        compute = AwsCompute(self.cloud, instances, launching, self._scaling, volumes)
        self._apart = Apart(self.cloud, instances)
        self._roots = AwsRoots(self.cloud, instances)
        kept = Path(settings.base_disks.dir).expanduser() if settings.base_disks.dir else None
        self._disks = AwsDisks(self.cloud, instances, BaseDisks(kept, settings.base_disks.gib << 30))
        self._trail = Trail(self.cloud)
        traffic = AwsTraffic(self.cloud, groups, instances, self._scaling)
        addresses = AwsAddresses(self.cloud, instances)
        subjects = Subjects(groups, instances, launching, self._scaling, traffic, volumes, addresses, self._roots)
        self._trying = Trying(self.cloud, subjects)
        self._looker = CommandLooker(self.cloud, groups)
        balanced = any(one.traffic.all or one.auto_scaling_group for one in groups.values())
        self.inventory: Inventory = compute
        self.compute: Compute | None = compute
        self.traffic: Traffic | None = traffic if balanced else None
        self.volumes: Volumes | None = volumes
        self.addresses: Addresses | None = addresses

    def prepare(self) -> None:
        """Nothing is ever left half done: AWS keeps what was asked for."""

    def close(self) -> None:
        """See ``Provider.close``."""
        self.cloud.close()

    def isolate(self, instance_id: str) -> None:
        """See ``Isolating.isolate``."""
        self._apart.isolate(instance_id)

    def copy_root(self, instance_id: str, token: str) -> Snapshot:
        """See ``RootCopying.copy_root``."""
        return self._roots.copy_root(instance_id, token)

    def root_copies(self) -> Sequence[Snapshot]:
        """See ``RootCopying.root_copies``."""
        return self._roots.root_copies()

    def delete_root_copy(self, copy_id: str) -> None:
        """See ``RootCopying.delete_root_copy``."""
        self._roots.delete_root_copy(copy_id)

    def read_root(self, instance_id: str, token: str, into: Path, limit: int) -> str:
        """See ``DiskReading.read_root``."""
        return self._disks.read_root(instance_id, token, into, limit)

    def read_snapshot(self, name: str, into: Path, limit: int) -> str:
        """See ``SnapshotReading.read_snapshot``."""
        return self._disks.read_snapshot(name, into, limit)

    def tidy_reads(self) -> Sequence[str]:
        """See ``DiskReading.tidy_reads``."""
        return self._disks.tidy_reads()

    def rights(self, group: str, *, changing: bool) -> Rights:
        """See ``Permissioned.rights``."""
        return self._trying.rights(group, changing=changing)

    def looker(self) -> StoppableLooker:
        """See ``Looking.looker``."""
        return self._looker

    def let_in(self, instance: Instance, since: datetime) -> Sequence[Session]:
        """See ``Doorman.let_in``."""
        return self._trail.let_in(instance, since)


class AwsScalingProvider(AwsProvider):
    """One that has Auto Scaling groups, and so ``Foreign``: others may change them."""

    def foreign(self, group: str) -> str:
        """See ``Foreign.foreign``."""
        name = self._scaling.named(group)
        return self._scaling.under_way(name) if name else ""


def create(options: Mapping[str, object]) -> AwsProvider:
    """The entry point. Raises ``BadInput``."""
    settings = checked(AwsSettings, options.get("settings") or {}, "providers.aws", PAGE)
    mine = served(settings, groups_of(options, "aws"))
    scaling = any(one.auto_scaling_group for one in mine.values())
    return (AwsScalingProvider if scaling else AwsProvider)(settings, mine)
