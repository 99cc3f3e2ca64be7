"""Target groups of Application and Network Load Balancers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftd.core.errors import NotFound, Refused
from driftd.core.ports import TargetState
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.instances import Instances

# "TargetHealth" of the Elastic Load Balancing API reference. ``unused`` has several reasons; see ``_state``.
_STATES = {
    "initial": TargetState.INITIAL,
    "healthy": TargetState.HEALTHY,
    "unhealthy": TargetState.UNHEALTHY,
    "unhealthy.draining": TargetState.DRAINING,
    "draining": TargetState.DRAINING,
    "unavailable": TargetState.HEALTHY,  # there are no health checks, and it gets requests
}


class TargetGroup:
    """One, as AWS told of it: ARN and kind of targets never change. Implements ``Behind``."""

    def __init__(self, cloud: Cloud, instances: Instances, told: Mapping[str, Any]) -> None:
        self._cloud = cloud
        self._instances = instances
        self._addressed = told.get("TargetType") == "ip"
        self.arn = str(told["TargetGroupArn"])
        self.title = f"target group {told['TargetGroupName']}"

    def health(self, group: str) -> dict[str, TargetState]:
        """See ``Behind.health``. An address that nobody has any more is told of by itself."""
        del group
        answer = self._cloud.ask("elbv2", "describe_target_health", TargetGroupArn=self.arn)
        found: dict[str, TargetState] = {}
        for each in answer["TargetHealthDescriptions"]:
            state = _state(each["TargetHealth"])
            if state is not None:
                found[each["Target"]["Id"]] = state
        return self._by_instance(found) if self._addressed else found

    def put(self, instance_id: str) -> None:
        """See ``Behind.put``."""
        self._cloud.do("elbv2", "register_targets", TargetGroupArn=self.arn, Targets=self._as(instance_id))

    def out(self, instance_id: str) -> None:
        """See ``Behind.out``."""
        try:
            self._cloud.do("elbv2", "deregister_targets", TargetGroupArn=self.arn, Targets=self._as(instance_id))
        except NotFound:
            return  # its address is nobody's any more

    def unfit(self) -> str:
        """See ``Behind.unfit``: what speaks against one is said by ``TargetGroups.of``."""
        return ""

    def _by_instance(self, found: Mapping[str, TargetState]) -> dict[str, TargetState]:
        owners = {one.address: one.id for one in self._instances.all({}) if one.address}
        return {owners.get(address, address): state for address, state in found.items()}

    def _as(self, instance_id: str) -> list[dict[str, Any]]:
        if not self._addressed or not instance_id.startswith("i-"):
            return [{"Id": instance_id}]
        raw = self._instances.raw(instance_id)
        return [{"Id": raw["PrivateIpAddress"]}]


class TargetGroups:
    """Finds them by name or ARN, each once."""

    def __init__(self, cloud: Cloud, instances: Instances) -> None:
        self._cloud = cloud
        self._instances = instances
        self._known: dict[str, TargetGroup] = {}

    def of(self, name: str) -> TargetGroup:
        """The one of this name or ARN. Raises ``ProviderError``."""
        if name not in self._known:
            by = {"TargetGroupArns": [name]} if name.startswith("arn:") else {"Names": [name]}
            found = self._found(by)
            if not found:
                raise NotFound(
                    f"there is no target group {name} in {self._cloud.settings.region}",
                    f"correct traffic.target_group of the group, or {self._cloud.section}.region",
                )
            if found[0].get("TargetType", "instance") not in {"instance", "ip"}:
                raise Refused(f"target group {name} takes {found[0]['TargetType']}, not instances")
            if not found[0].get("HealthCheckEnabled", True):
                raise Refused(
                    f"target group {name} checks nobody's health, so no newcomer could be known to serve",
                    "switch its health checks on",
                )
            self._known[name] = TargetGroup(self._cloud, self._instances, found[0])
        return self._known[name]

    def _found(self, by: Mapping[str, list[str]]) -> list[dict[str, Any]]:
        """AWS says that there is none without saying which."""
        try:
            found: list[dict[str, Any]] = self._cloud.ask("elbv2", "describe_target_groups", **by)["TargetGroups"]
        except NotFound:
            return []
        return found


def _state(health: Mapping[str, str]) -> TargetState | None:
    """None where it is no target any more."""
    state, reason = health["State"], health.get("Reason", "")
    if state != "unused":
        return _STATES.get(state, TargetState.UNHEALTHY)
    if reason in {"Target.NotInUse", "Target.IpUnusable"}:
        return TargetState.INITIAL  # its zone, or the whole target group, is at no load balancer: it gets nothing
    return None if reason == "Target.NotRegistered" else TargetState.UNHEALTHY
