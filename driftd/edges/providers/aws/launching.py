"""What a newcomer is launched with: its group's launch template, or what the instance has whose slot it takes."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from driftd.core.errors import Refused
from driftd.core.ports import LaunchRequest
from driftd.core.world import TAG_QUARANTINE
from driftd.edges.providers.aws import names
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.instances import PRESENT, Instances
from driftd.edges.providers.aws.scaling import Scaling
from driftd.edges.providers.aws.settings import Launch, Served

_KINDS = ("instance", "volume", "network-interface")
_ID = re.compile(r"lt-[0-9a-f]+")
_MOST_TAGS = 50  # "Tag restrictions": on each resource, those of AWS's own not counted
_LATER = 2  # that an instance gets in its life besides: its host key's, and a taint's


class Launching:
    """Composes the parameters of ``RunInstances``."""

    def __init__(self, cloud: Cloud, groups: Mapping[str, Served], instances: Instances, scaling: Scaling) -> None:
        self._cloud = cloud
        self._groups = groups
        self._instances = instances
        self._scaling = scaling

    def parameters(self, request: LaunchRequest) -> dict[str, Any]:
        """All of them. Raises ``Refused`` where it is not said how to launch, and ``ProviderError``."""
        served = self._groups.get(request.group)
        if served is None:
            raise Refused(f"the aws provider has no group {request.group}")
        like = self._like(served, request.slot)
        how = self._scaling.launch_of(served) or served.launch
        made = self._template(how) if how.template else self._copied(served, like if _is_there(like) else None)
        self._place(made, self._subnet(served, request.slot, like))
        made |= {
            "ImageId": self._instances.images.ami(request.image),
            "MinCount": 1,
            "MaxCount": 1,
            "ClientToken": names.client_token(request.token),
            "TagSpecifications": names.tagged(_KINDS, self._tags(request, like)),
        }
        return made

    def like(self, group: str, slot: str) -> dict[str, Any] | None:
        """What EC2 tells of the instance that has the slot now; None where nobody has it."""
        served = self._groups.get(group)
        found = None if served is None else self._like(served, slot)
        return found if _is_there(found) else None

    # --- which one has the slot ---

    def _like(self, served: Served, slot: str) -> dict[str, Any] | None:
        """The oldest that has the slot; else who had it last, as long as EC2 tells of whoever has ended.

        Never one in quarantine: a newcomer like that would be cut off, too.
        """
        own = slot.removeprefix(f"{served.name}/")
        tags = {names.TAG_SLOT: slot, names.TAG_DEPLOYMENT: self._cloud.settings.deployment}
        found = list(self._instances.described(names.wanted(tags)))
        if own.startswith("i-"):
            found += self._instances.described([{"Name": "instance-id", "Values": [own]}])
        found = [one for one in found if TAG_QUARANTINE not in names.tags_of(one.get("Tags", ()))]
        there = [one for one in found if _is_there(one)]
        if there:
            return min(there, key=_age)
        return max(found, key=_age, default=None)

    # --- how ---

    def _template(self, how: Launch) -> dict[str, Any]:
        """By its version of now. Where that moved on and the token was used, AWS refuses, and nothing is made."""
        name = {"LaunchTemplateId" if _ID.fullmatch(how.template) else "LaunchTemplateName": how.template}
        answer = self._cloud.ask("ec2", "describe_launch_template_versions", Versions=[how.version], **name)
        versions = answer["LaunchTemplateVersions"]
        if not versions:
            raise Refused(
                f"launch template {how.template} has no version {how.version}", "correct launch.version of the group"
            )
        found = versions[0]
        made: dict[str, Any] = {
            "LaunchTemplate": {
                "LaunchTemplateId": found["LaunchTemplateId"],
                "Version": str(found["VersionNumber"]),
            }
        }
        interfaces = found.get("LaunchTemplateData", {}).get("NetworkInterfaces")
        if interfaces:  # a subnet beside a template's interfaces is refused, so they are sent with it
            made["NetworkInterfaces"] = [dict(one) for one in interfaces]
        return made

    def _copied(self, served: Served, like: Mapping[str, Any] | None) -> dict[str, Any]:
        if like is None:
            raise Refused(
                f"nothing says how to launch one of {served.name}: there is no launch template, and nobody in the slot",
                f"name one: {self._cloud.section}.groups.{served.name}.launch.template",
            )
        made: dict[str, Any] = {"InstanceType": like["InstanceType"]}
        if like.get("KeyName"):
            made["KeyName"] = like["KeyName"]
        if profile := like.get("IamInstanceProfile", {}).get("Arn"):
            made["IamInstanceProfile"] = {"Arn": profile}
        if groups := [one["GroupId"] for one in like.get("SecurityGroups", ())]:
            made["SecurityGroupIds"] = groups
        if data := self._user_data(like["InstanceId"]):
            made["UserData"] = data
        return made | _options(like)

    def _user_data(self, instance_id: str) -> str:
        """As text: boto3 encodes it on its way."""
        answer = self._cloud.ask("ec2", "describe_instance_attribute", InstanceId=instance_id, Attribute="userData")
        told = answer.get("UserData", {}).get("Value", "")
        try:
            return b64decode(told).decode() if told else ""
        except UnicodeDecodeError:
            raise Refused(
                f"the user data of {instance_id} is no text, and boto3 can only send text",
                "put it into a launch template, and name that in the group",
            ) from None

    # --- where ---

    def _subnet(self, served: Served, slot: str, like: Mapping[str, Any] | None) -> str:
        """That of the slot's zone; of an empty slot, by the number that it ends in, always the same."""
        known = sorted(self._subnets(served), key=lambda one: (one["AvailabilityZone"], one["SubnetId"]))
        if like is not None:
            zone, now = like["Placement"]["AvailabilityZone"], str(like.get("SubnetId") or "")
            there = [one["SubnetId"] for one in known if one["AvailabilityZone"] == zone]
            return now if now in there or not there else there[0]
        if not known:
            return ""
        number = re.search(r"(\d{1,9})$", slot)
        return str(known[int(number[1]) % len(known) if number else 0]["SubnetId"])

    def _subnets(self, served: Served) -> list[dict[str, Any]]:
        ids = served.launch.subnets or self._scaling.subnets_of(served)
        if not ids:
            return []
        return list(self._cloud.ask("ec2", "describe_subnets", SubnetIds=list(ids))["Subnets"])

    def _place(self, made: dict[str, Any], subnet: str) -> None:
        if not subnet:
            return
        interfaces = made.get("NetworkInterfaces")
        if interfaces is None:
            made["SubnetId"] = subnet
            return
        for one in interfaces:
            one["SubnetId"] = subnet

    def _tags(self, request: LaunchRequest, like: Mapping[str, Any] | None) -> dict[str, str]:
        """What the one has whose slot it takes, so that whatever selects that one selects this one; then our own."""
        old = names.tags_of((like or {}).get("Tags", ()))
        kept = {key: value for key, value in old.items() if not key.startswith(("aws:", "driftd:"))}
        served = self._groups[request.group]
        chosen = {key[4:]: value for key, value in served.select.items() if key.startswith("tag:")}
        made = {
            **kept,
            **chosen,
            **request.tags,
            names.TAG_SLOT: request.slot,
            names.TAG_GROUP: request.group,
            names.TAG_DEPLOYMENT: self._cloud.settings.deployment,
            names.TAG_TOKEN: request.token,
            names.TAG_REQUEST: names.digest(request),
        }
        if like is not None and len(made) + _LATER > _MOST_TAGS:
            own = len(made) - len(kept) + _LATER
            raise Refused(
                f"{like['InstanceId']} has {len(kept)} tags that a newcomer would get, too, and {own} more are "
                f"driftd's own: AWS allows {_MOST_TAGS} on an instance",
                f"remove {len(made) + _LATER - _MOST_TAGS} of them",
            )
        return made


def _is_there(raw: Mapping[str, Any] | None) -> bool:
    return raw is not None and raw["State"]["Name"] in PRESENT


def _age(raw: Mapping[str, Any]) -> tuple[Any, str]:
    return raw["LaunchTime"], raw["InstanceId"]


def _options(like: Mapping[str, Any]) -> dict[str, Any]:
    """What an instance has besides that can be asked for again."""
    made: dict[str, Any] = {}
    if like.get("EbsOptimized"):
        made["EbsOptimized"] = True
    if like.get("Monitoring", {}).get("State") in {"enabled", "pending"}:
        made["Monitoring"] = {"Enabled": True}
    placement = {key: like.get("Placement", {}).get(key) for key in ("GroupName", "Tenancy")}
    if chosen := {key: value for key, value in placement.items() if value and value != "default"}:
        made["Placement"] = chosen
    metadata = like.get("MetadataOptions", {})
    keys = ("HttpTokens", "HttpPutResponseHopLimit", "HttpEndpoint", "InstanceMetadataTags")
    if options := {key: metadata[key] for key in keys if metadata.get(key)}:
        made["MetadataOptions"] = options
    return made
