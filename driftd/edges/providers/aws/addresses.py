"""Movable addresses: Elastic IPs and interfaces that carry the tag of the slot that owns them, and records that are
configured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from driftd.core.errors import NotFound, Refused
from driftd.core.ports import Address
from driftd.edges.providers.aws import names
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.instances import Instances
from driftd.edges.providers.aws.interfaces import AwsInterfaces
from driftd.edges.providers.aws.records import AwsRecords


class AwsAddresses:
    """Implements ``Addresses``."""

    def __init__(self, cloud: Cloud, instances: Instances, records: AwsRecords, interfaces: AwsInterfaces) -> None:
        self._cloud = cloud
        self._instances = instances
        self.interfaces = interfaces
        self._others: tuple[AwsRecords | AwsInterfaces, ...] = (records, interfaces)

    def list(self) -> Sequence[Address]:
        """See ``Addresses.list``: those with a tag ``driftd:slot`` and this deployment's name, and the others."""
        found = [
            Address(raw["PublicIp"], names.tags_of(raw["Tags"])[names.TAG_SLOT], str(raw.get("InstanceId") or ""))
            for raw in self.owned()
        ]
        more = [one for others in self._others for one in others.list()]
        return sorted([*found, *more], key=lambda one: (one.slot, one.address))

    def associate(self, address: str, instance_id: str, expected_owner: str = "") -> None:
        """See ``Addresses.associate``."""
        for others in self._others:
            if others.knows(address):
                others.associate(address, instance_id, expected_owner)
                return
        raw = self._raw(address)
        owner = str(raw.get("InstanceId") or "")
        if owner == instance_id:
            return
        if owner and owner != expected_owner:
            raise Refused(f"address {address} belongs to {owner} now", "say whom it is to be taken from")
        self._instances.raw(instance_id)
        self._cloud.do(
            "ec2",
            "associate_address",
            AllocationId=raw["AllocationId"],
            InstanceId=instance_id,
            AllowReassociation=bool(owner),
        )

    def release(self, address: str, expected_owner: str) -> None:
        """See ``Addresses.release``: it stays allocated, and nobody has it."""
        for others in self._others:
            if others.knows(address):
                others.release(address, expected_owner)
                return
        raw = self._raw(address)
        owner = str(raw.get("InstanceId") or "")
        if owner not in {"", expected_owner}:
            raise Refused(f"address {address} belongs to {owner} now")
        if association := raw.get("AssociationId"):
            try:
                self._cloud.do("ec2", "disassociate_address", AssociationId=association)
            except NotFound:
                return

    def owned(self) -> Sequence[Mapping[str, Any]]:
        """Those of this deployment's slots as EC2 tells of them. Raises ``ProviderError``."""
        filters = names.owned(self._cloud.settings.deployment, names.TAG_SLOT)
        found: Sequence[Mapping[str, Any]] = self._cloud.ask("ec2", "describe_addresses", Filters=filters)["Addresses"]
        return found

    def _raw(self, address: str) -> Mapping[str, Any]:
        for raw in self.owned():
            if raw["PublicIp"] == address:
                return raw
        raise NotFound(f"there is no address {address} that a slot owns", "give it the tag driftd:slot")
