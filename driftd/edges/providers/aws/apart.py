"""Cutting an instance's network: each of its interfaces in one security group, which lets nothing through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftd.core.errors import Refused
from driftd.edges.providers.aws import names
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.errors import code_of
from driftd.edges.providers.aws.instances import Instances, quarantine_name


class Apart:
    """Does it. ``Instance.isolated`` is read by ``Instances``."""

    def __init__(self, cloud: Cloud, instances: Instances) -> None:
        self._cloud = cloud
        self._instances = instances

    def isolate(self, instance_id: str) -> None:
        """See ``Isolating.isolate``. Connections that AWS tracks already end with their next packet that it does not
        know, or when they are idle (docs/aws.md).
        """
        raw = self._instances.raw(instance_id)
        group = self._group(raw)
        for one in raw.get("NetworkInterfaces", ()):
            if [each["GroupId"] for each in one.get("Groups", ())] != [group]:
                self._cloud.do(
                    "ec2",
                    "modify_network_interface_attribute",
                    NetworkInterfaceId=one["NetworkInterfaceId"],
                    Groups=[group],
                )

    def _group(self, raw: Mapping[str, Any]) -> str:
        named = self._cloud.settings.quarantine_group
        if named:
            self._shut(self._described([{"Name": "group-id", "Values": [named]}], named))
            return named
        name = quarantine_name(self._cloud)
        filters = [{"Name": "group-name", "Values": [name]}, {"Name": "vpc-id", "Values": [raw["VpcId"]]}]
        found = self._cloud.ask("ec2", "describe_security_groups", Filters=filters)["SecurityGroups"]
        group = found[0] if found else self._made(name, raw["VpcId"], filters)
        self._shut(group)
        return str(group["GroupId"])

    def _described(self, filters: list[dict[str, Any]], name: str) -> Mapping[str, Any]:
        found = self._cloud.ask("ec2", "describe_security_groups", Filters=filters)["SecurityGroups"]
        if not found:
            raise Refused(f"there is no security group {name}", f"correct {self._cloud.section}.quarantine_group")
        one: Mapping[str, Any] = found[0]
        return one

    def _made(self, name: str, vpc: str, filters: list[dict[str, Any]]) -> Mapping[str, Any]:
        tags = {names.TAG_DEPLOYMENT: self._cloud.settings.deployment}
        try:
            self._cloud.do(
                "ec2",
                "create_security_group",
                GroupName=name,
                Description="driftd: instances in quarantine, with no way in or out",
                VpcId=vpc,
                TagSpecifications=names.tagged(["security-group"], tags),
            )
        except Refused as error:
            if code_of(error) != "InvalidGroup.Duplicate":
                raise
        return self._described(filters, name)

    def _shut(self, group: Mapping[str, Any]) -> None:
        """It lets nothing through: a new one lets everything out, until it is told otherwise."""
        if group.get("IpPermissions"):
            raise Refused(
                f"security group {group['GroupId']} lets something in, so nobody would be cut off by it",
                f"remove its rules, or name another: {self._cloud.section}.quarantine_group",
            )
        if out := group.get("IpPermissionsEgress"):
            self._cloud.do("ec2", "revoke_security_group_egress", GroupId=group["GroupId"], IpPermissions=out)
