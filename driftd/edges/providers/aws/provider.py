"""The ``aws`` provider as the entry point makes it: its settings checked, its parts joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from driftd.core.asides import Rights, StoppableLooker
from driftd.core.errors import Refused
from driftd.core.facts import Instance, Session
from driftd.core.ports import Addresses, Compute, Inventory, Snapshot, Traffic, Volumes
from driftd.edges.providers.aws.addresses import AwsAddresses
from driftd.edges.providers.aws.apart import Apart
from driftd.edges.providers.aws.basedisks import BaseDisks
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.compute import AwsCompute
from driftd.edges.providers.aws.gate import Gate
from driftd.edges.providers.aws.inbox import Inbox
from driftd.edges.providers.aws.instances import Instances
from driftd.edges.providers.aws.interfaces import AwsInterfaces
from driftd.edges.providers.aws.launching import Launching
from driftd.edges.providers.aws.looker import CommandLooker
from driftd.edges.providers.aws.reading import AwsDisks
from driftd.edges.providers.aws.records import AwsRecords
from driftd.edges.providers.aws.rights import Trying
from driftd.edges.providers.aws.roots import AwsRoots
from driftd.edges.providers.aws.scaling import Scaling
from driftd.edges.providers.aws.settings import PAGE, AwsSettings, Served, served
from driftd.edges.providers.aws.subjects import Subjects
from driftd.edges.providers.aws.traffic import AwsTraffic
from driftd.edges.providers.aws.trail import Trail
from driftd.edges.providers.aws.volumes import AwsVolumes
from driftd.edges.providers.options import checked, groups_of, section_of


class AwsProvider:
    """``Provider`` on one account and region, with all of core/asides.py but ``Foreign`` and ``Gated``."""

    def __init__(self, settings: AwsSettings, groups: Mapping[str, Served], name: str = "aws") -> None:
        self.name = name
        self.cloud = Cloud(settings, f"providers.{name}")
        instances = Instances(self.cloud, groups)
        self._scaling = Scaling(self.cloud, groups)
        self._gate = Gate(self.cloud, groups, self._scaling)
        volumes = AwsVolumes(self.cloud, instances)
        launching = Launching(self.cloud, groups, instances, self._scaling)
        traffic = AwsTraffic(self.cloud, groups, instances, self._scaling)
        compute = AwsCompute(self.cloud, instances, launching, self._scaling, volumes, traffic)
        self._apart = Apart(self.cloud, instances)
        self._roots = AwsRoots(self.cloud, instances)
        kept = Path(settings.base_disks.dir).expanduser() if settings.base_disks.dir else None
        self._disks = AwsDisks(self.cloud, instances, BaseDisks(kept, settings.base_disks.gib << 30))
        self._trail = Trail(self.cloud)
        records = AwsRecords(self.cloud, instances, settings.records)
        interfaces = AwsInterfaces(self.cloud, instances)
        addresses = AwsAddresses(self.cloud, instances, records, interfaces)
        if (events := settings.events) is not None:  # only then it is ``Hearing`` and ``Fed``
            inbox = Inbox(self.cloud, events, settings.account, self._trail, instances.known)
            self.listen, self.taken, self.own = inbox.listen, inbox.taken, inbox.own
            self.fed_by = lambda: events.queue
        subjects = Subjects(
            groups, instances, launching, self._scaling, traffic, volumes, addresses, self._roots, settings
        )
        self._trying = Trying(self.cloud, subjects)
        self._looker = CommandLooker(self.cloud, groups)
        balanced = any(one.traffic.all or one.traffic.classic or one.auto_scaling_group for one in groups.values())
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

    def place(self) -> str:
        """See ``Placed.place``. Whose account it is where no role says so is known to AWS alone."""
        settings = self.cloud.settings
        account = settings.role.split(":")[4] if settings.role else ""
        whose = f"account {account}" if account else f"the account of profile {settings.profile or 'default'}"
        at = f", {settings.endpoint}" if settings.endpoint else ""
        return f"{whose}, {settings.region}, deployment {settings.deployment}{at}"

    def isolate(self, instance_id: str) -> None:
        """See ``Isolating.isolate``."""
        self._apart.isolate(instance_id)

    def copy_root(self, instance_id: str, token: str, until: datetime | None = None) -> Snapshot:
        """See ``RootCopying.copy_root``."""
        return self._roots.copy_root(instance_id, token, until)

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

    def let_key_in(self, instance: Instance, key: str) -> None:
        """See ``Admitting.let_key_in``."""
        if instance.reach.admission is None:
            raise Refused(f"no key is pushed to {instance.id}", "see reach of its group (docs/aws.md)")
        instance.reach.admission.let_in(key)

    def let_in(self, instance: Instance, since: datetime) -> Sequence[Session]:
        """See ``Doorman.let_in``."""
        return self._trail.let_in(instance, since)


class AwsScalingProvider(AwsProvider):
    """One that has Auto Scaling groups, and so ``Foreign`` and ``Gated``: others may change them, and launch there."""

    def isolate(self, instance_id: str) -> None:
        """See ``Isolating.isolate``. Who waited at a gate stands by from then on."""
        super().isolate(instance_id)
        self._gate.set_apart(instance_id)

    def foreign(self, group: str) -> str:
        """See ``Foreign.foreign``."""
        name = self._scaling.named(group)
        return self._scaling.under_way(name) if name else ""

    def waiting(self, group: str) -> Sequence[str]:
        """See ``Gated.waiting``."""
        return self._gate.waiting(group)

    def admit(self, group: str, instance_id: str) -> None:
        """See ``Gated.admit``."""
        self._gate.admit(group, instance_id)

    def keep_waiting(self, group: str, instance_id: str) -> None:
        """See ``Gated.keep_waiting``."""
        self._gate.keep_waiting(group, instance_id)


def create(options: Mapping[str, object]) -> AwsProvider:
    """The entry point. Raises ``BadInput``."""
    name = section_of(options, "aws")
    section = f"providers.{name}"
    settings = checked(AwsSettings, options.get("settings") or {}, section, PAGE)
    mine = served(settings, groups_of(options, "aws"), section)
    scaling = any(one.auto_scaling_group for one in mine.values())
    return (AwsScalingProvider if scaling else AwsProvider)(settings, mine, name)
