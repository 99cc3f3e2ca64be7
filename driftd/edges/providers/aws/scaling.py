"""Auto Scaling groups: who is a member, how members are launched, and moving one in and out without a refill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from driftd.core.errors import NoCapacity, NotFound, Refused, Unavailable
from driftd.core.wording import printable
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.settings import Launch, Served

_REFRESHING = frozenset({"Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking"})
_IN = frozenset({"InService", "Pending", "Pending:Wait", "Pending:Proceed"})
_LEAVING = frozenset({"Terminating", "Terminating:Wait", "Terminating:Proceed", "Terminated", "Detaching", "Detached"})
# What AWS writes of an activity that somebody asked for by API, of one instance (DescribeScalingActivities).
_BY_HAND = ("Moving EC2 instance", "Attaching an existing EC2 instance", "Detaching EC2 instance")


class Scaling:
    """The groups of ``groups`` that are Auto Scaling groups."""

    def __init__(self, cloud: Cloud, groups: Mapping[str, Served]) -> None:
        self._cloud = cloud
        self._groups = groups

    def named(self, group: str) -> str:
        """The Auto Scaling group of one of our groups; "" where it has none."""
        served = self._groups.get(group)
        return served.auto_scaling_group if served else ""

    def described(self, name: str) -> dict[str, Any]:
        """What AWS tells of it. Raises ``NotFound``."""
        found = self._cloud.ask("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[name])
        if not found["AutoScalingGroups"]:
            raise NotFound(f"there is no Auto Scaling group {name}", "correct auto_scaling_group")
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
                f"give it a launch template, or name one: providers.aws.groups.{served.name}.launch.template",
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

    def enter(self, name: str, instance_id: str) -> None:
        """Make it a member in service. In service already is success. Raises ``NoCapacity`` above the maximum."""
        state = self.state(name, instance_id)
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

    def stand_by(self, name: str, instance_id: str) -> None:
        """Take it out of service, and lower what is desired, so that nobody is launched for it. Out is success."""
        if self.state(name, instance_id) != "InService":
            return
        self._cloud.do(
            "autoscaling",
            "enter_standby",
            AutoScalingGroupName=name,
            InstanceIds=[instance_id],
            ShouldDecrementDesiredCapacity=True,
        )

    def end(self, name: str, instance_id: str) -> bool:
        """End a member that is in service, with nobody launched for it; False where the group must not be asked."""
        if self.state(name, instance_id) not in _IN:
            return False
        self._cloud.do(
            "autoscaling",
            "terminate_instance_in_auto_scaling_group",
            InstanceId=instance_id,
            ShouldDecrementDesiredCapacity=True,
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
        for one in answer["Activities"]:
            said = printable(str(one.get("Description") or "something"))[:200]
            if int(one.get("Progress", 0)) < 100 and not one.get("EndTime") and not said.startswith(_BY_HAND):
                return f"Auto Scaling group {name}: {said} ({one['StatusCode']})"
        return ""
