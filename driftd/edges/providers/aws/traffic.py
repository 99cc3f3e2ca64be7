"""Target groups: a group's load balancer.

Elastic Load Balancing does not say how many connections a target has. So a target in service counts as busy, and one
that drains as busy until AWS shows it as no target any more: that is after the deregistration delay, or at once where
nothing was in flight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from driftd.core.errors import NotFound, Refused
from driftd.core.facts import Instance
from driftd.core.ports import Target, TargetState
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.instances import Instances
from driftd.edges.providers.aws.scaling import STANDING_BY, Scaling
from driftd.edges.providers.aws.settings import Served

# "TargetHealth" of the Elastic Load Balancing API reference. ``unused`` has several reasons; see ``_state``.
_STATES = {
    "initial": TargetState.INITIAL,
    "healthy": TargetState.HEALTHY,
    "unhealthy": TargetState.UNHEALTHY,
    "unhealthy.draining": TargetState.DRAINING,
    "draining": TargetState.DRAINING,
    "unavailable": TargetState.HEALTHY,  # there are no health checks, and it gets requests
}
# Of several target groups the worst counts.
_ORDER = (
    TargetState.DRAINING,
    TargetState.UNHEALTHY,
    TargetState.MAINTENANCE,
    TargetState.INITIAL,
    TargetState.HEALTHY,
)
_BUSY = frozenset({TargetState.HEALTHY, TargetState.DRAINING})


class AwsTraffic:
    """Implements ``Traffic``."""

    def __init__(self, cloud: Cloud, groups: Mapping[str, Served], instances: Instances, scaling: Scaling) -> None:
        self._cloud = cloud
        self._groups = groups
        self._instances = instances
        self._scaling = scaling
        self._known: dict[str, Mapping[str, Any]] = {}

    def targets(self, group: str) -> Sequence[Target]:
        """See ``Traffic.targets``."""
        states: dict[str, list[TargetState]] = {}
        for one in self.behind(group):
            for name, state in self._health(one).items():
                states.setdefault(name, []).append(state)
        found = {name: min(several, key=_ORDER.index) for name, several in states.items()}
        members = self._members(group) if found else {}
        return [
            Target(name, _as_member(state, members.get(name, "")), int(state in _BUSY))
            for name, state in sorted(found.items())
        ]

    def _members(self, group: str) -> Mapping[str, str]:
        """The lifecycle states of its Auto Scaling group's members; empty where it has none."""
        name = self._scaling.named(group)
        return self._scaling.states(name) if name else {}

    def register(self, group: str, instance: Instance) -> None:
        """See ``Traffic.register``. Into an Auto Scaling group it is attached, or comes back from standby, and so into
        the target groups that AWS has tied to it.
        """
        self._instances.host_keys.keep(instance)
        if name := self._scaling.named(group):
            if self._scaling.leaving_service(name, instance.id):
                self._put(group, instance.id)  # nothing is left to wait for then, and it can be had back
            self._scaling.enter(name, instance.id)
        self._put(group, instance.id)

    def _put(self, group: str, instance_id: str) -> None:
        for one in self.behind(group):
            state = self._health(one).get(instance_id)
            if state is None or state is TargetState.DRAINING:
                self._cloud.do(
                    "elbv2",
                    "register_targets",
                    TargetGroupArn=one["TargetGroupArn"],
                    Targets=self._as(one, instance_id),
                )

    def drain(self, group: str, instance_id: str) -> None:
        """See ``Traffic.drain``. A member of an Auto Scaling group goes into standby: nobody fills its place."""
        if name := self._scaling.named(group):
            self._scaling.stand_by(name, instance_id)
        for one in self.behind(group):
            state = self._health(one).get(instance_id)
            if state is not None and state is not TargetState.DRAINING:
                self._out(one, instance_id)

    def deregister(self, group: str, instance_id: str) -> None:
        """See ``Traffic.deregister``: AWS removes what has drained by itself."""
        for one in self.behind(group):
            state = self._health(one).get(instance_id)
            if state is not None and state in _BUSY:
                raise Refused(
                    f"{instance_id} is {state.value} in target group {one['TargetGroupName']}",
                    "AWS removes it when it has drained",
                )
            if state is not None:
                self._out(one, instance_id)

    def _out(self, one: Mapping[str, Any], instance_id: str) -> None:
        try:
            self._cloud.do(
                "elbv2", "deregister_targets", TargetGroupArn=one["TargetGroupArn"], Targets=self._as(one, instance_id)
            )
        except NotFound:
            return  # its address is nobody's any more

    # --- target groups ---

    def behind(self, group: str) -> list[Mapping[str, Any]]:
        """A group's target groups as AWS tells of them. Raises ``ProviderError``."""
        served = self._groups.get(group)
        return [self._target_group(name) for name in served.traffic.all] if served else []

    def _target_group(self, name: str) -> Mapping[str, Any]:
        """What AWS tells of it, asked for once: ARN and kind of targets never change."""
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
            self._known[name] = found[0]
        return self._known[name]

    def _found(self, by: Mapping[str, list[str]]) -> list[dict[str, Any]]:
        """AWS says that there is none without saying which."""
        try:
            found: list[dict[str, Any]] = self._cloud.ask("elbv2", "describe_target_groups", **by)["TargetGroups"]
        except NotFound:
            return []
        return found

    def _health(self, one: Mapping[str, Any]) -> dict[str, TargetState]:
        """By instance. An address that nobody has any more is told of by itself."""
        answer = self._cloud.ask("elbv2", "describe_target_health", TargetGroupArn=one["TargetGroupArn"])
        found: dict[str, TargetState] = {}
        for each in answer["TargetHealthDescriptions"]:
            state = _state(each["TargetHealth"])
            if state is not None:
                found[each["Target"]["Id"]] = state
        return self._by_instance(found) if one.get("TargetType") == "ip" else found

    def _by_instance(self, found: Mapping[str, TargetState]) -> dict[str, TargetState]:
        owners = {one.address: one.id for one in self._instances.all({}) if one.address}
        return {owners.get(address, address): state for address, state in found.items()}

    def _as(self, one: Mapping[str, Any], instance_id: str) -> list[dict[str, Any]]:
        if one.get("TargetType") != "ip" or not instance_id.startswith("i-"):
            return [{"Id": instance_id}]
        raw = self._instances.raw(instance_id)
        return [{"Id": raw["PrivateIpAddress"]}]


def _as_member(state: TargetState, lifecycle: str) -> TargetState:
    """A member is in service once its Auto Scaling group says so, too: until then it may be taken out again, and what
    is desired of the group is not yet as it will be. One that stands by, and is a target all the same, is to be put
    back whole.
    """
    if lifecycle in STANDING_BY and state is not TargetState.DRAINING:
        return TargetState.MAINTENANCE
    joining = state is TargetState.HEALTHY and lifecycle not in {"", "InService"}
    return TargetState.INITIAL if joining else state


def _state(health: Mapping[str, str]) -> TargetState | None:
    """None where it is no target any more."""
    state, reason = health["State"], health.get("Reason", "")
    if state != "unused":
        return _STATES.get(state, TargetState.UNHEALTHY)
    if reason in {"Target.NotInUse", "Target.IpUnusable"}:
        return TargetState.INITIAL  # its zone, or the whole target group, is at no load balancer: it gets nothing
    return None if reason == "Target.NotRegistered" else TargetState.UNHEALTHY
