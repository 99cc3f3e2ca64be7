"""Which instances SSM knows, and which of them answer it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

from common import KNOBS, ApiError, now, page
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends


def body(response: Any) -> dict[str, Any]:
    """What a JSON request asks for."""
    asked: dict[str, Any] = json.loads(response.body or "{}")
    return asked


def instances(account: str, region: str) -> Iterator[Any]:
    """Every instance there is."""
    for reservation in list(ec2_backends[account][region].reservations.values()):
        yield from reservation.instances


def ping(instance: Any) -> str | None:
    """What SSM knows of an instance: Online, ConnectionLost, or nothing at all.

    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_InstanceInformation.html
    Registered is what runs (knob ``ssm_needs_role``: and has an instance profile), ``ssm_registers_after_s`` after its
    launch and unless it stands in ``ssm_absent``; what has stopped since, or stands in ``ssm_lost``, answers no ping.
    """
    if instance.state not in {"running", "stopping", "stopped"} or instance.id in KNOBS["ssm_absent"]:
        return None
    given = instance.ec2_backend.iam_instance_profile_associations.get(instance.id) or instance.iam_instance_profile
    if KNOBS["ssm_needs_role"] and not given:
        return None
    launched = instance.launch_time.replace(tzinfo=dt.UTC)
    if (now() - launched).total_seconds() < KNOBS["ssm_registers_after_s"]:
        return None
    lost = instance.state != "running" or instance.id in KNOBS["ssm_lost"]
    return "ConnectionLost" if lost else "Online"


def registered(account: str, region: str) -> dict[str, tuple[Any, str]]:
    """The managed instances, each with its ping."""
    pinged = ((one, ping(one)) for one in instances(account, region))
    return {one.id: (one, status) for one, status in pinged if status}


def _informed(instance: Any, status: str, region: str) -> dict[str, Any]:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_InstanceInformation.html."""
    return {
        "InstanceId": instance.id,
        "PingStatus": status,
        "LastPingDateTime": now() if status == "Online" else instance.launch_time,
        "AgentVersion": "3.3.987.0",
        "IsLatestVersion": True,
        "PlatformType": "Linux",
        "PlatformName": "Debian GNU/Linux",
        "PlatformVersion": "12",
        "ResourceType": "EC2Instance",
        "IPAddress": instance.private_ip,
        "ComputerName": f"ip-{instance.private_ip.replace('.', '-')}.{region}.compute.internal",
        "SourceId": instance.id,
        "SourceType": "AWS::EC2::Instance",
    }


def describe_instance_information(self: Any) -> ActionResult:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeInstanceInformation.html."""
    rows = [_informed(*one, self.region) for one in registered(self.current_account, self.region).values()]
    fields = {
        "InstanceIds": "InstanceId",
        "AgentVersion": "AgentVersion",
        "PingStatus": "PingStatus",
        "PlatformTypes": "PlatformType",
        "ResourceType": "ResourceType",
    }
    wanted = [(one["Key"], one["Values"]) for one in self._get_param("Filters") or []]
    wanted += [(one["key"], one["valueSet"]) for one in self._get_param("InstanceInformationFilterList") or []]
    for key, values in wanted:
        if key.startswith("tag:"):
            chosen = tagged(self, key.removeprefix("tag:"), values)
            rows = [one for one in rows if one["InstanceId"] in chosen]
        elif key in fields:
            rows = [one for one in rows if one[fields[key]] in values]
        else:
            raise ApiError("InvalidFilterKey", f"The specified filter key isn't valid: {key}")
    size = int(self._get_param("MaxResults") or 50)
    some, token = page(rows, size, self._get_param("NextToken"), "InvalidNextToken")
    return ActionResult({"InstanceInformationList": some, "NextToken": token})


def tagged(response: Any, key: str, values: list[str]) -> set[str]:
    """The instances with this tag."""
    return {
        one.id
        for one in instances(response.current_account, response.region)
        for tag in one.get_tags()
        if tag["key"] == key and tag["value"] in values
    }
