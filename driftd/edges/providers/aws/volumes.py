"""Data volumes: EBS volumes that carry the tag of the slot that owns them.

What attaches a volume does not mount it: that is the image's matter (docs/aws.md), and a detach that AWS shows as busy
is the only sign that somebody still uses one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from driftd.core.errors import NotFound, Refused, Unavailable
from driftd.core.ports import Snapshot, Volume
from driftd.edges.providers.aws import names
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.instances import Instances

TAG_DEVICE = "driftd:device"
_DEVICES = [f"/dev/sd{letter}" for letter in "fghijklmnop"]  # "Device names on Linux instances": for EBS volumes
_WAIT_S = 60.0
_POLL_S = 1.0


class AwsVolumes:
    """Implements ``Volumes``."""

    def __init__(self, cloud: Cloud, instances: Instances, *, poll_s: float = _POLL_S, wait_s: float = _WAIT_S) -> None:
        self._cloud = cloud
        self._instances = instances
        self._poll_s = poll_s
        self._wait_s = wait_s

    def list(self) -> Sequence[Volume]:
        """See ``Volumes.list``: those with a tag ``driftd:slot`` and this deployment's name."""
        return sorted((_volume(raw) for raw in self._mine()), key=lambda one: (one.slot, one.id))

    def attach(self, volume_id: str, instance_id: str) -> None:
        """See ``Volumes.attach``. The device's name is the volume's tag ``driftd:device``, else the first free one."""
        raw = self._raw(volume_id)
        instance = self._instances.raw(instance_id)
        owner = _owner(raw)
        if owner and owner != instance_id:
            raise Refused(f"volume {volume_id} is attached to {owner}", "detach it there first")
        if not owner:
            zone = instance["Placement"]["AvailabilityZone"]
            if raw["AvailabilityZone"] != zone:
                raise Refused(
                    f"volume {volume_id} is in {raw['AvailabilityZone']}, and {instance_id} in {zone}",
                    "a volume can only be attached in its own zone",
                )
            device = _device(raw, instance)
            self._cloud.do("ec2", "attach_volume", VolumeId=volume_id, InstanceId=instance_id, Device=device)
        self._until(volume_id, f"attached to {instance_id}", lambda now: _attachment(now).get("State") == "attached")
        self._keep(volume_id, instance_id)

    def _keep(self, volume_id: str, instance_id: str) -> None:
        """It outlives the instance: set, and read back."""
        if not _attachment(self._raw(volume_id)).get("DeleteOnTermination"):
            return
        device = _attachment(self._raw(volume_id))["Device"]
        self._spare(instance_id, device)
        if _attachment(self._raw(volume_id)).get("DeleteOnTermination"):
            raise Unavailable(
                f"volume {volume_id} would still be deleted with {instance_id}", "asked for once more later"
            )

    def _spare(self, instance_id: str, device: str) -> None:
        mapping = [{"DeviceName": device, "Ebs": {"DeleteOnTermination": False}}]
        self._cloud.do("ec2", "modify_instance_attribute", InstanceId=instance_id, BlockDeviceMappings=mapping)

    def detach(self, volume_id: str) -> None:
        """See ``Volumes.detach``. Never by force: what is mounted would lose what was not written yet."""
        raw = self._raw(volume_id)
        owner = _owner(raw)
        if not owner:
            return
        if _attachment(raw).get("State") != "detaching":
            self._cloud.do("ec2", "detach_volume", VolumeId=volume_id, InstanceId=owner)
        now = self._until(volume_id, "free", lambda now: not _owner(now) or _attachment(now).get("State") == "busy")
        if _owner(now):
            raise Refused(f"volume {volume_id} is in use on {owner}", "unmount it there, or stop the instance first")

    def spare(self, instance: Mapping[str, Any]) -> None:
        """Before an instance is ended: no volume of ours goes with it. Set, and read back; else ``Unavailable``."""
        mine = {raw["VolumeId"] for raw in self._mine()}
        for mapping in instance.get("BlockDeviceMappings", ()):
            volume_id = mapping.get("Ebs", {}).get("VolumeId")
            if volume_id in mine:
                self._keep(volume_id, instance["InstanceId"])

    # --- snapshots ---

    def snapshot(self, volume_id: str, token: str) -> Snapshot:
        """See ``Volumes.snapshot``. Whether it is mounted nobody can say here, so a running owner is refused."""
        known = [one for one in self.snapshots() if one.token == token]
        if known:
            if known[0].volume_id != volume_id:
                raise Refused(f"token {token} was used for a snapshot of {known[0].volume_id}")
            return known[0]
        raw = self._raw(volume_id)
        owner = _owner(raw)
        if owner and self._instances.raw(owner)["State"]["Name"] != "stopped":
            raise Refused(
                f"volume {volume_id} may be mounted on {owner}, which runs, so a copy could be torn",
                "stop the instance, or detach the volume",
            )
        tags = {
            names.TAG_TOKEN: token,
            names.TAG_DEPLOYMENT: self._cloud.settings.deployment,
            names.TAG_FILESYSTEM: names.tags_of(raw.get("Tags", ())).get(names.TAG_FILESYSTEM, ""),
            names.TAG_SLOT: names.tags_of(raw.get("Tags", ()))[names.TAG_SLOT],
        }
        tags = {key: value for key, value in tags.items() if value}
        made = self._cloud.do(
            "ec2",
            "create_snapshot",
            VolumeId=volume_id,
            Description=f"driftd: {token}",
            TagSpecifications=names.tagged(["snapshot"], tags),
        )
        return self._only(_snapshot(made | {"Tags": names.as_tags(tags)}))

    def _only(self, made: Snapshot) -> Snapshot:
        """CreateSnapshot knows no client token: of two that raced the older stays."""
        same = [one for one in self.snapshots() if one.token == made.token and one.id != made.id]
        first = min([made, *same], key=lambda one: (one.at, one.id))
        for one in [made, *same]:
            if one.id != first.id:
                self.delete_snapshot(one.id)
        return first

    def snapshots(self) -> Sequence[Snapshot]:
        """See ``Volumes.snapshots``."""
        filters = names.owned(self._cloud.settings.deployment, names.TAG_SLOT)
        found = self._cloud.pages("ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=filters)
        return sorted((_snapshot(raw) for raw in found), key=lambda one: (one.at, one.id))

    def delete_snapshot(self, snapshot_id: str) -> None:
        """See ``Volumes.delete_snapshot``."""
        try:
            self._cloud.do("ec2", "delete_snapshot", SnapshotId=snapshot_id)
        except NotFound:
            return

    # --- means ---

    def _mine(self) -> Sequence[dict[str, Any]]:
        filters = names.owned(self._cloud.settings.deployment, names.TAG_SLOT)
        return [
            raw for raw in self._cloud.pages("ec2", "describe_volumes", "Volumes", Filters=filters) if _is_data(raw)
        ]

    def _raw(self, volume_id: str) -> dict[str, Any]:
        found = self._cloud.ask("ec2", "describe_volumes", VolumeIds=[volume_id])["Volumes"]
        if not found or names.TAG_SLOT not in names.tags_of(found[0].get("Tags", ())):
            raise NotFound(f"there is no volume {volume_id} that a slot owns", "give it the tag driftd:slot")
        one: dict[str, Any] = found[0]
        return one

    def _until(self, volume_id: str, what: str, true: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
        """Ask until it is so; what was seen then. Raises ``Unavailable``: the state machine asks again."""
        until = time.monotonic() + self._wait_s
        while not true(raw := self._raw(volume_id)):
            if time.monotonic() >= until:
                raise Unavailable(f"volume {volume_id} is not {what} yet", "AWS is still at it")
            time.sleep(self._poll_s)
        return raw


def _is_data(raw: Mapping[str, Any]) -> bool:
    """A root volume carries its instance's tags, and belongs to no slot."""
    return names.TAG_TOKEN not in names.tags_of(raw.get("Tags", ()))


def _attachment(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    there = [one for one in raw.get("Attachments", ()) if one.get("State") != "detached"]
    return there[0] if there else {}


def _owner(raw: Mapping[str, Any]) -> str:
    return str(_attachment(raw).get("InstanceId") or "")


def _device(raw: Mapping[str, Any], instance: Mapping[str, Any]) -> str:
    named = names.tags_of(raw.get("Tags", ())).get(TAG_DEVICE)
    taken = {one["DeviceName"] for one in instance.get("BlockDeviceMappings", ())}
    free = [one for one in ([named] if named else _DEVICES) if one not in taken]
    if not free:
        raise Refused(f"{instance['InstanceId']} has something at {named or 'every device name'} already")
    return free[0]


def _volume(raw: Mapping[str, Any]) -> Volume:
    tags = names.tags_of(raw.get("Tags", ()))
    return Volume(raw["VolumeId"], tags[names.TAG_SLOT], _owner(raw), tags.get(names.TAG_FILESYSTEM, ""))


def _snapshot(raw: Mapping[str, Any]) -> Snapshot:
    tags = names.tags_of(raw.get("Tags", ()))
    return Snapshot(
        raw["SnapshotId"],
        raw["VolumeId"],
        tags.get(names.TAG_TOKEN, ""),
        raw["StartTime"],
        tags.get(names.TAG_FILESYSTEM, ""),
    )
