"""Auto Scaling groups: who is a member, how members are launched, and moving one in and out without a refill."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from driftd.core.errors import NoCapacity, NotFound, Refused, Unavailable
from driftd.core.wording import printable
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.settings import Launch, Served

_REFRESHING = frozenset({"Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking"})
WAITS = "Pending:Wait"
_JOINING = frozenset({"Pending", WAITS, "Pending:Proceed"})
_IN = _JOINING | {"InService"}
_ENDING = frozenset({"Terminating", "Terminating:Wait", "Terminating:Proceed", "Terminated"})
_LEAVING = _ENDING | {"Detaching", "Detached"}
STANDING_BY = frozenset({"EnteringStandby", "Standby"})
# What AWS writes of an activity that somebody asked for by API, of one instance (DescribeScalingActivities): how its
# description begins, and for one that ends what its cause holds.
_BY_HAND = ("Moving EC2 instance", "Attaching an existing EC2 instance", "Detaching EC2 instance")
_ENDED, _ENDED_BY_HAND = "Terminating EC2 instance", "was taken out of service in response to a user request"
_LAUNCHED = "Launching a new EC2 instance: "
_POLL_S, _WAIT_S = 0.5, 20.0


class Scaling:
    """The groups of ``groups`` that are Auto Scaling groups."""

    def __init__(
        self, cloud: Cloud, groups: Mapping[str, Served], *, poll_s: float = _POLL_S, wait_s: float = _WAIT_S
    ) -> None:
        self._cloud = cloud
        self._groups = groups
        self._poll_s = poll_s
        self._wait_s = wait_s

    def named(self, group: str) -> str:
        """The Auto Scaling group of one of our groups; "" where it has none."""
        served = self._groups.get(group)
        return served.auto_scaling_group if served else ""

    def described(self, name: str) -> dict[str, Any]:
        """What AWS tells of it. Raises ``NotFound``."""
        found = self._cloud.ask("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[name])
        if not found["AutoScalingGroups"]:
            where = self._cloud.settings.region
            raise NotFound(
                f"there is no Auto Scaling group {name} in {where}",
                f"correct auto_scaling_group of the group, or {self._cloud.section}.region",
            )
        one: dict[str, Any] = found["AutoScalingGroups"][0]
        return one

    def launch_of(self, served: Served) -> Launch | None:
        """How its Auto Scaling group launches; None where the group has none, or says itself how."""
        if not served.auto_scaling_group or served.launch.template:
            return None
        one = self.described(served.auto_scaling_group)
        mixed = one.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("LaunchTemplateSpecification")
        template = one.get("LaunchTemplate") or mixed
        if template is None:
            raise Refused(
                f"Auto Scaling group {served.auto_scaling_group} launches by a launch configuration, which AWS has "
                "given up and driftd does not read",
                f"give it a launch template, or name one: {self._cloud.section}.groups.{served.name}.launch.template",
            )
        return Launch(template=template["LaunchTemplateId"], version=str(template.get("Version") or "$Default"))

    def subnets_of(self, served: Served) -> list[str]:
        """Where its Auto Scaling group launches; empty where it has none."""
        if not served.auto_scaling_group:
            return []
        said = self.described(served.auto_scaling_group).get("VPCZoneIdentifier") or ""
        return [one for one in said.split(",") if one]

    def state(self, name: str, instance_id: str) -> str:
        """Its ``LifecycleState`` in the group; "" where it is no member."""
        answer = self._cloud.ask("autoscaling", "describe_auto_scaling_instances", InstanceIds=[instance_id])
        mine = [one for one in answer["AutoScalingInstances"] if one["AutoScalingGroupName"] == name]
        return str(mine[0]["LifecycleState"]) if mine else ""

    def states(self, name: str) -> dict[str, str]:
        """The ``LifecycleState`` of all members, by instance."""
        return {one["InstanceId"]: str(one["LifecycleState"]) for one in self.described(name).get("Instances", ())}

    def _gated(self, name: str) -> bool:
        return any(one.auto_scaling_group == name and one.gate for one in self._groups.values())

    def _at_our_gate(self, name: str) -> frozenset[str]:
        """Who waits to be let through by driftd: its launch is under way as long as driftd pleases."""
        if not self._gated(name):
            return frozenset()
        return frozenset(one for one, state in self.states(name).items() if state == WAITS)

    def leaving_service(self, name: str, instance_id: str) -> bool:
        """Whether it is on its way into standby: AWS lets it drain first."""
        return self.state(name, instance_id) == "EnteringStandby"

    def enter(self, name: str, instance_id: str) -> None:
        """Make it a member in service. In service already is success. Raises ``NoCapacity`` above the maximum."""
        state = self._at_rest(name, instance_id)
        if state in _IN:
            return
        if state in _LEAVING:
            raise Unavailable(f"{instance_id} is leaving {name}: {state}", "ask again when it has left")
        if state == "Standby":
            self._cloud.do("autoscaling", "exit_standby", AutoScalingGroupName=name, InstanceIds=[instance_id])
        elif state:
            raise Unavailable(f"{instance_id} is {state} in {name}", "ask again when it is in service or in standby")
        else:
            if why := self.full(name):
                raise NoCapacity(why, f"allow one more: MaxSize of {name}")
            self._cloud.do("autoscaling", "attach_instances", AutoScalingGroupName=name, InstanceIds=[instance_id])

    def _at_rest(self, name: str, instance_id: str) -> str:
        """Its state, once it is not on its way into standby any more: only from there can it be had back."""
        until = time.monotonic() + self._wait_s
        while (state := self.state(name, instance_id)) == "EnteringStandby" and time.monotonic() < until:
            time.sleep(self._poll_s)
        return state

    def stand_by(self, name: str, instance_id: str) -> None:
        """Take it out of service, and lower what is desired, so that nobody is launched for it. Out is success."""
        state = self.state(name, instance_id)
        if state == WAITS and self._gated(name):
            return  # it never served, and nobody but driftd lets it
        if state in _JOINING:
            raise Unavailable(f"{instance_id} is joining {name}: {state}", "asked again when it is in service")
        if state != "InService":
            return
        self._cloud.do(
            "autoscaling",
            "enter_standby",
            AutoScalingGroupName=name,
            InstanceIds=[instance_id],
            ShouldDecrementDesiredCapacity=True,
        )

    def end(self, name: str, instance_id: str) -> bool:
        """End a member, with nobody launched for it; False where it is none, and EC2 is to be asked.

        By the group, also where it stands by: of one that EC2 ended in standby the group would tell for ever. What is
        desired was lowered when it went there.
        """
        state = self.state(name, instance_id)
        if state in _ENDING:
            return True  # its hooks may take their time
        if state not in _IN | STANDING_BY:
            return False
        self._cloud.do(
            "autoscaling",
            "terminate_instance_in_auto_scaling_group",
            InstanceId=instance_id,
            ShouldDecrementDesiredCapacity=state in _IN,
        )
        return True

    def full(self, name: str) -> str:
        """Why one more would be refused; "" where there is room."""
        one = self.described(name)
        if one["DesiredCapacity"] < one["MaxSize"]:
            return ""
        return f"Auto Scaling group {name} wants {one['DesiredCapacity']}, and {one['MaxSize']} is the most it may have"

    def under_way(self, name: str) -> str:
        """What somebody else changes in it now, in one sentence; "" when nothing."""
        answer = self._cloud.ask("autoscaling", "describe_instance_refreshes", AutoScalingGroupName=name)
        for one in answer["InstanceRefreshes"]:
            if one["Status"] in _REFRESHING:
                return f"Auto Scaling group {name}: instance refresh {one['InstanceRefreshId']} is {one['Status']}"
        answer = self._cloud.ask("autoscaling", "describe_scaling_activities", AutoScalingGroupName=name, MaxRecords=20)
        under_way = [
            one for one in answer["Activities"] if int(one.get("Progress", 0)) < 100 and not one.get("EndTime")
        ]
        waiting = self._at_our_gate(name) if under_way else frozenset()
        for one in under_way:
            if not _by_hand(one) and _launched(one) not in waiting:
                said = printable(str(one.get("Description") or "something"))[:200]
                return f"Auto Scaling group {name}: {said} ({one['StatusCode']})"
        return ""


def _launched(activity: Mapping[str, Any]) -> str:
    """The instance that it launches; "" where it does something else."""
    said = str(activity.get("Description") or "")
    return said.removeprefix(_LAUNCHED) if said.startswith(_LAUNCHED) else ""


def _by_hand(activity: Mapping[str, Any]) -> bool:
    """Whether somebody asked for it by API, of one instance: driftd, or a person, who may."""
    said = str(activity.get("Description") or "")
    return said.startswith(_BY_HAND) or (said.startswith(_ENDED) and _ENDED_BY_HAND in str(activity.get("Cause") or ""))
