"""Classic Load Balancers, where they are still in use: instances are registered with them by name.

What is said of an instance's health is "InstanceState" of the Classic Load Balancers API reference. AWS calls one that
drains in service, and says so in the description alone ("Configure connection draining", User Guide for Classic Load
Balancers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from driftd.core.errors import NotFound, ProviderError, Refused, Unavailable
from driftd.core.facts import InstanceState
from driftd.core.ports import TargetState
from driftd.core.wording import printable
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.errors import code_of
from driftd.edges.providers.aws.instances import Instances

_STRANGE = "not currently registered"
_DRAINING = "deregistration currently in progress"
_COMING = (
    "registration is still in progress",
    "has not passed the configured healthythreshold",
    "availability zone for which",
    "pending state",
)


class ClassicBalancer:
    """One of this name. Implements ``Behind``."""

    def __init__(self, cloud: Cloud, instances: Instances, name: str) -> None:
        self._cloud = cloud
        self._instances = instances
        self.name = name
        self.title = f"load balancer {name}"

    def health(self, group: str) -> dict[str, TargetState]:
        """See ``Behind.health``. AWS does not say whether its list has those that drain: so who runs in the group and
        is not in the list is asked for by name, too, each for itself, since one that AWS does not know spoils the rest.
        """
        found = self._told(self._health([]))
        for one in self._instances.lately(group):
            if one.id not in found and one.state is InstanceState.RUNNING:
                found |= self._told(self._alone(one.id))
        return found

    def put(self, instance_id: str) -> None:
        """See ``Behind.put``."""
        if why := self.unfit():
            raise Refused(why, "switch its connection draining on")
        self._cloud.do(
            "elb",
            "register_instances_with_load_balancer",
            LoadBalancerName=self.name,
            Instances=[{"InstanceId": instance_id}],
        )

    def out(self, instance_id: str) -> None:
        """See ``Behind.out``. Refused where it would be cut off with what it has in flight."""
        if why := self.unfit():
            raise Refused(why, "switch its connection draining on")
        try:
            self._cloud.do(
                "elb",
                "deregister_instances_from_load_balancer",
                LoadBalancerName=self.name,
                Instances=[{"InstanceId": instance_id}],
            )
        except Refused as error:
            if code_of(error) != "InvalidInstance":  # it is not there any more
                raise

    def unfit(self) -> str:
        """See ``Behind.unfit``."""
        answer = self._cloud.ask("elb", "describe_load_balancer_attributes", LoadBalancerName=self.name)
        if answer["LoadBalancerAttributes"].get("ConnectionDraining", {}).get("Enabled"):
            return ""
        return f"{self.title} has no connection draining, so whoever leaves it is cut off with what is in flight"

    def _alone(self, instance_id: str) -> Sequence[Mapping[str, Any]]:
        try:
            return self._health([{"InstanceId": instance_id}])
        except ProviderError as error:
            if code_of(error) != "InvalidInstance":
                raise
            return ()

    def _health(self, named: Sequence[Mapping[str, str]]) -> Sequence[Mapping[str, Any]]:
        more = {"Instances": named} if named else {}
        try:
            answer = self._cloud.ask("elb", "describe_instance_health", LoadBalancerName=self.name, **more)
        except NotFound as error:
            raise NotFound(
                f"there is no classic load balancer {self.name} in {self._cloud.settings.region}",
                f"correct traffic.load_balancer of the group, or {self._cloud.section}.region",
            ) from error
        found: Sequence[Mapping[str, Any]] = answer["InstanceStates"]
        return found

    def _told(self, states: Sequence[Mapping[str, Any]]) -> dict[str, TargetState]:
        found = {}
        for one in states:
            state = _state(self.title, one)
            if state is not None:
                found[str(one["InstanceId"])] = state
        return found


def _state(title: str, one: Mapping[str, Any]) -> TargetState | None:
    """None where it is not behind it. Raises ``Unavailable`` where AWS does not know."""
    state, said = one.get("State"), str(one.get("Description") or "").casefold()
    if _STRANGE in said:
        return None
    if _DRAINING in said:
        return TargetState.DRAINING
    if state == "InService":
        return TargetState.HEALTHY
    if state != "OutOfService":
        why = printable(str(one.get("Description") or state))[:200]
        raise Unavailable(f"{title} does not know how {one.get('InstanceId')} is: {why}")
    return TargetState.INITIAL if any(each in said for each in _COMING) else TargetState.UNHEALTHY
