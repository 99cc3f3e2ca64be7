"""Volumes: at one instance, in its zone, on their way for a while, and stuck where the matter says so.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachVolume.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DetachVolume.html
https://docs.aws.amazon.com/ebs/latest/userguide/ebs-describing-volumes.html
"""

from __future__ import annotations

import contextlib
import copy
from typing import Any

from matter import Busy, MatterAway
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidVolumeAttachmentError, InvalidVolumeDetachmentError
from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_block_store import EBSBackend, Snapshot, Volume, VolumeAttachment
from moto.ec2.models.instances import Instance
from moto.ec2.responses.elastic_block_store import ElasticBlockStore
from moto.ec2.responses.instances import InstanceResponse
from world import World, existing, method

AGAIN_S = 1.0


class Volumes:
    """Attachments and what they are on their way to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.attach_plain, self.detach_plain = EBSBackend.attach_volume, EBSBackend.detach_volume
        self.create_plain, self.shoot_plain = EBSBackend.create_volume, EBSBackend.create_snapshot

    def _due(self) -> float:
        return self.world.now() + self.world.knobs.settle

    def create(self, backend: Any, *said: Any, **more: Any) -> Volume:
        """A volume is being created before it is available, and not from a snapshot that is not complete."""
        if ident := more.get("snapshot_id"):
            snapshot = backend.get_snapshot(ident)
            if snapshot.status != "completed" and not self.world.is_quiet:
                raise EC2ClientError("IncorrectState", f"Snapshot '{ident}' is not 'completed'.")
        volume = self.create_plain(backend, *said, **more)
        volume.ready_at = 0.0 if self.world.is_quiet else self._due()
        volume.creating = not self.world.is_quiet
        return volume

    def shoot(self, backend: Any, *said: Any, **more: Any) -> Snapshot:
        """A snapshot makes progress; what an image brings with it is complete."""
        snapshot = self.shoot_plain(backend, *said, **more)
        now = self.world.now()
        snapshot.span = (now, now if self.world.is_quiet or more.get("from_ami") else self._due())
        return snapshot

    def share(self, snapshot: Snapshot) -> float:
        """How much of it is there."""
        begun, ready = getattr(snapshot, "span", (0.0, 0.0))
        return 1.0 if self.world.now() >= ready else (self.world.now() - begun) / (ready - begun)

    def attach(self, backend: Any, volume_id: str, instance_id: str, device: str, *said: Any, **more: Any) -> Any:
        """To one instance, which must be there to take it."""
        if not self.world.is_quiet:
            _check_attach(backend.get_volume(volume_id), backend.get_instance(instance_id), device)
        try:
            self.world.ask("attach", volume=volume_id, id=instance_id, device=device, force=False)
        except Busy as busy:
            raise EC2ClientError("VolumeInUse", f"{volume_id} cannot be attached: {busy}") from busy
        made = self.attach_plain(backend, volume_id, instance_id, device, *said, **more)
        if not self.world.is_quiet:
            made.status, made.due = "attaching", (self._due(), "attached")
        return made

    def detach(
        self,
        backend: Any,
        volume_id: str,
        instance_id: str | None,
        device: str | None,
        *,
        force: bool = False,
    ) -> VolumeAttachment:
        """From where it is; where its file system is in use it stays, and shows as busy."""
        volume = backend.get_volume(volume_id)
        found = volume.attachment
        if self.world.is_quiet and found:
            return self.detach_plain(backend, volume_id, found.instance.id, found.device)
        _check_detach(volume, instance_id, device)
        found.force = force
        self._let_go(found)
        return found

    def _let_go(self, found: VolumeAttachment) -> None:
        try:
            self.world.ask(
                "detach", volume=found.volume.id, id=found.instance.id, device=found.device, force=found.force
            )
            found.status, found.due = "detaching", (self._due(), "detached")
        except Busy:
            found.status, found.due = "busy", (self.world.now() + AGAIN_S, "busy")

    def tick(self) -> bool:
        """Attachments that arrive, and those that can be let go by now."""
        changed = False
        for backend in existing(ec2_backends):
            for volume in list(backend.volumes.values()):
                if getattr(volume, "creating", False) and volume.ready_at <= self.world.now():
                    volume.creating, changed = False, True
                found = volume.attachment
                due = getattr(found, "due", None)
                if found is not None and due and due[0] <= self.world.now():
                    self._arrive(backend, found, due[1])
                    changed = changed or found.status != "busy"
        return changed

    def _arrive(self, backend: Any, found: VolumeAttachment, there: str) -> None:
        found.due = None
        if there == "busy":
            found.due = (self.world.now() + AGAIN_S, "busy")
            with contextlib.suppress(MatterAway):
                self._let_go(found)
        elif there == "detached":
            with self.world.quiet():
                self.detach_plain(backend, found.volume.id, found.instance.id, found.device)
        else:
            found.status = there


def _check_attach(volume: Volume, instance: Instance, device: str) -> None:
    if volume.attachment is not None:
        raise EC2ClientError("VolumeInUse", f"{volume.id} is already attached to an instance")
    if volume.status != "available":
        raise EC2ClientError("IncorrectState", f"Volume '{volume.id}' is not 'available'.")
    if volume.availability_zone != instance.availability_zone:
        raise EC2ClientError(
            "InvalidVolume.ZoneMismatch",
            f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'",
        )
    if instance.state not in {"running", "stopped"}:
        raise EC2ClientError("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
    if device in instance.block_device_mapping:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use",
        )


def _check_detach(volume: Volume, instance_id: str | None, device: str | None) -> None:
    found = volume.attachment
    if found is None:
        raise EC2ClientError("IncorrectState", f"Volume '{volume.id}' is in the 'available' state.")
    if instance_id and found.instance.id != instance_id:
        raise InvalidVolumeAttachmentError(volume.id, instance_id)
    if device and found.device != device:
        raise InvalidVolumeDetachmentError(volume.id, found.instance.id, device)
    if found.status == "attaching":
        raise EC2ClientError("IncorrectState", f"Volume '{volume.id}' is in the 'attaching' state.")
    if found.device == found.instance.root_device_name and found.instance.state != "stopped":
        raise EC2ClientError(
            "OperationNotPermitted",
            f"Unable to detach root volume '{found.device}' from instance '{found.instance.id}'",
        )


def _status(self: Volume) -> str:
    if self.attachment:
        return "in-use"
    return "creating" if getattr(self, "creating", False) else "available"


def _mappings(self: Instance) -> list[dict[str, Any]]:
    """Each block device with the state of its attachment."""
    found = []
    for device, block in self.get_block_device_mapping:
        shown = copy.copy(block)
        volume = self.ec2_backend.volumes.get(block.volume_id)
        shown.status = volume.attachment.status if volume is not None and volume.attachment else "detached"
        found.append({"DeviceName": device, "Ebs": shown})
    return found


def _deleted_with(self: VolumeAttachment) -> bool:
    block = self.instance.block_device_mapping.get(self.device)
    return bool(block and block.delete_on_termination)


def _detach_response(response: ElasticBlockStore) -> ActionResult:
    response.error_on_dryrun()
    found = response.ec2_backend.detach_volume(
        response._get_param("VolumeId"),
        response._get_param("InstanceId"),
        response._get_param("Device"),
        force=bool(response._get_bool_param("Force")),
    )
    return ActionResult(
        {
            "VolumeId": found.volume.id,
            "InstanceId": found.instance.id,
            "Device": found.device,
            "State": found.status,
            "AttachTime": found.attach_time,
            "DeleteOnTermination": found.delete_on_termination,
        }
    )


def _describe_attribute(response: InstanceResponse, plain: Any) -> ActionResult:
    """BlockDeviceMappings is a list in this answer.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceAttribute.html
    """
    if response._get_param("Attribute") != "blockDeviceMapping":
        return plain(response)
    instance = response.ec2_backend.get_instance(response._get_param("InstanceId"))
    return ActionResult({"InstanceId": instance.id, "BlockDeviceMappings": instance.block_device_mappings})


def patch(world: World) -> None:
    """Volumes, attachments, snapshots."""
    ours, describe = Volumes(world), InstanceResponse.describe_instance_attribute
    EBSBackend.create_volume = method(ours.create)
    EBSBackend.create_snapshot = method(ours.shoot)
    EBSBackend.attach_volume = method(ours.attach)
    EBSBackend.detach_volume = method(ours.detach)
    ElasticBlockStore.detach_volume = _detach_response
    InstanceResponse.describe_instance_attribute = lambda self: _describe_attribute(self, describe)
    Volume.status = property(_status)
    VolumeAttachment.delete_on_termination = property(_deleted_with)
    Instance.block_device_mappings = property(_mappings)
    # moto sets the status of a snapshot when it is made; what it is set to is not looked at.
    Snapshot.status = property(lambda self: "completed" if ours.share(self) >= 1.0 else "pending", lambda self, _: None)
    Snapshot.progress = property(lambda self: f"{int(ours.share(self) * 100)}%")
    world.ticks.append(ours.tick)
