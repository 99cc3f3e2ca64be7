"""Network interfaces that carry the tag of the slot that owns them, as movable addresses: with one go its private
addresses, its Elastic IP and its MAC. An instance's first interface stays with it, as do all that it was launched with.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from driftd.core.errors import NotFound, Refused, Unavailable
from driftd.core.ports import AT_ONCE, Address
from driftd.edges.providers.aws import names
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.instances import Instances

_INDEXES = range(1, 16)
_POLL_S, _WAIT_S = 0.5, 20.0


class AwsInterfaces:
    """Implements ``Addresses`` for interfaces, by their ids."""

    def __init__(self, cloud: Cloud, instances: Instances, *, poll_s: float = _POLL_S, wait_s: float = _WAIT_S) -> None:
        self._cloud = cloud
        self._instances = instances
        self._poll_s = poll_s
        self._wait_s = wait_s

    def knows(self, address: str) -> bool:
        """Whether it is one of these."""
        return address.startswith("eni-")

    def list(self) -> Sequence[Address]:
        """See ``Addresses.list``: those with a tag ``driftd:slot`` and this deployment's name."""
        found = [
            Address(
                raw["NetworkInterfaceId"],
                names.tags_of(raw["TagSet"])[names.TAG_SLOT],
                _owner(raw),
                AT_ONCE,
                _attachment(raw).get("Status") in {"attaching", "detaching"},
            )
            for raw in self.owned()
        ]
        return sorted(found, key=lambda one: (one.slot, one.address))

    def associate(self, address: str, instance_id: str, expected_owner: str = "") -> None:
        """See ``Addresses.associate``: taken off whoever has it, never by force, and attached."""
        raw = self._raw(address)
        owner = _owner(raw)
        if owner == instance_id:
            return
        if owner and owner != expected_owner:
            raise Refused(f"interface {address} belongs to {owner} now", "say whom it is to be taken from")
        instance = self._instances.raw(instance_id)
        zone = instance.get("Placement", {}).get("AvailabilityZone")
        if raw.get("AvailabilityZone") != zone:
            raise Refused(
                f"interface {address} is in {raw.get('AvailabilityZone')}, and {instance_id} is in {zone}",
                "an interface stays in its zone: launch the newcomer there",
            )
        self._take(raw)
        self._cloud.do(
            "ec2",
            "attach_network_interface",
            NetworkInterfaceId=address,
            InstanceId=instance_id,
            DeviceIndex=_index(instance),
        )

    def release(self, address: str, expected_owner: str) -> None:
        """See ``Addresses.release``: it stays, and nobody has it."""
        raw = self._raw(address)
        if _owner(raw) not in {"", expected_owner}:
            raise Refused(f"interface {address} belongs to {_owner(raw)} now")
        self._take(raw)

    def owned(self) -> Sequence[Mapping[str, Any]]:
        """Those of this deployment's slots as EC2 tells of them. Raises ``ProviderError``."""
        filters = names.owned(self._cloud.settings.deployment, names.TAG_SLOT)
        pages = self._cloud.pages("ec2", "describe_network_interfaces", "NetworkInterfaces", Filters=filters)
        return [raw for raw in pages if _moves(raw)]

    def _raw(self, address: str) -> Mapping[str, Any]:
        for raw in self.owned():
            if raw["NetworkInterfaceId"] == address:
                return raw
        raise NotFound(f"there is no interface {address} that a slot owns", "give it the tag driftd:slot")

    def _take(self, raw: Mapping[str, Any]) -> None:
        """Off whoever has it, until EC2 says that nobody has."""
        if not _owner(raw):
            return
        address, attachment = raw["NetworkInterfaceId"], _attachment(raw)
        if attachment.get("Status") != "detaching":
            self._cloud.do("ec2", "detach_network_interface", AttachmentId=attachment["AttachmentId"])
        until = time.monotonic() + self._wait_s
        while _owner(self._raw(address)):
            if time.monotonic() >= until:
                raise Unavailable(f"interface {address} is not free yet", "AWS is still at it")
            time.sleep(self._poll_s)


def _moves(raw: Mapping[str, Any]) -> bool:
    """An interface that a launch made carries its instance's tags, and belongs to no slot, also when that is gone."""
    return _attachment(raw).get("DeviceIndex") != 0 and names.TAG_TOKEN not in names.tags_of(raw.get("TagSet", ()))


def _attachment(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = raw.get("Attachment") or {}
    return {} if found.get("Status") == "detached" else found


def _owner(raw: Mapping[str, Any]) -> str:
    """Its instance; of what a service of AWS has, that it does."""
    attachment = _attachment(raw)
    return str(attachment.get("InstanceId") or attachment.get("InstanceOwnerId") or "")


def _index(instance: Mapping[str, Any]) -> int:
    taken = {one.get("Attachment", {}).get("DeviceIndex") for one in instance.get("NetworkInterfaces", ())}
    free = [number for number in _INDEXES if number not in taken]
    if not free:
        raise Refused(f"{instance['InstanceId']} has no place for another interface")
    return free[0]
