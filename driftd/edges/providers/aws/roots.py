"""Copies of root volumes, kept as evidence: EBS snapshots that carry the id of the instance that they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from driftd.core.errors import NotFound, Refused
from driftd.core.ports import Snapshot
from driftd.edges.providers.aws import names
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.instances import Instances


class AwsRoots:
    """Implements ``RootCopying``."""

    def __init__(self, cloud: Cloud, instances: Instances) -> None:
        self._cloud = cloud
        self._instances = instances

    def copy_root(self, instance_id: str, token: str, until: datetime | None = None) -> Snapshot:
        """See ``RootCopying.copy_root``. The moment is over when this returns; EBS copies the blocks by itself."""
        known = [one for one in self.root_copies() if one.token == token]
        if known:
            return known[0]
        volume = root_volume(self._instances.raw(instance_id))
        tags = {
            names.TAG_TOKEN: token,
            names.TAG_OF: instance_id,
            names.TAG_DEPLOYMENT: self._cloud.settings.deployment,
        }
        if until is not None:
            tags[names.TAG_UNTIL] = f"{until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        made = self._cloud.do(
            "ec2",
            "create_snapshot",
            VolumeId=volume,
            Description=f"driftd: evidence of {instance_id}",
            TagSpecifications=names.tagged(["snapshot"], tags),
        )
        return _copy(made | {"Tags": names.as_tags(tags)})

    def root_copies(self) -> Sequence[Snapshot]:
        """See ``RootCopying.root_copies``."""
        filters = names.owned(self._cloud.settings.deployment, names.TAG_OF)
        found = self._cloud.pages("ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=filters)
        return sorted((_copy(raw) for raw in found), key=lambda one: (one.at, one.id))

    def delete_root_copy(self, copy_id: str) -> None:
        """See ``RootCopying.delete_root_copy``."""
        try:
            self._cloud.do("ec2", "delete_snapshot", SnapshotId=copy_id)
        except NotFound:
            return


def root_volume(raw: Mapping[str, Any]) -> str:
    """The id of an instance's root volume. Raises ``Refused``."""
    for one in raw.get("BlockDeviceMappings", ()):
        if one["DeviceName"] == raw.get("RootDeviceName") and "Ebs" in one:
            return str(one["Ebs"]["VolumeId"])
    raise Refused(f"the root of {raw['InstanceId']} is no EBS volume, so it cannot be copied")


def _copy(raw: Mapping[str, Any]) -> Snapshot:
    tags = names.tags_of(raw.get("Tags", ()))
    return Snapshot(raw["SnapshotId"], tags[names.TAG_OF], tags.get(names.TAG_TOKEN, ""), raw["StartTime"])
