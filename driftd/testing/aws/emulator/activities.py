"""What an Auto Scaling group did, for DescribeScalingActivities.

https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_Activity.html
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult
from world import World, method

PAGE = 100
KEPT = 2000
Activity = dict[str, Any]


class Activities:
    """Every group's activities, the newest first when they are asked for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.all: list[Activity] = []
        world.resets.append(self.all.clear)

    def time(self) -> datetime:
        """Now, as answers tell it."""
        return datetime.fromtimestamp(self.world.now(), UTC)

    def begin(self, group: FakeAutoScalingGroup, what: str, why: str, instance: Any = None) -> Activity:
        """Something begins: what, and because of what."""
        details = {"Availability Zone": instance.availability_zone, "Subnet ID": instance.subnet_id} if instance else {}
        begun = {
            "ActivityId": str(uuid.uuid4()),
            "AutoScalingGroupName": group.name,
            "AutoScalingGroupARN": group.arn,
            "Description": what,
            "Cause": f"At {self.time():%Y-%m-%dT%H:%M:%SZ} {why}",
            "StartTime": self.time(),
            "StatusCode": "InProgress",
            "Progress": 50,
            "Details": json.dumps(details),
        }
        self.all.append(begun)
        del self.all[:-KEPT]
        return begun

    def finish(self, activity: Activity | None, why_not: str | None = None) -> None:
        """It is done; or it failed, and why."""
        if activity is None or "EndTime" in activity:
            return
        activity |= {"StatusCode": "Failed" if why_not else "Successful", "Progress": 100, "EndTime": self.time()}
        if why_not:
            activity["StatusMessage"] = why_not

    def describe(self, response: AutoScalingResponse) -> ActionResult:
        """DescribeScalingActivities, in pages."""
        wanted, name = response._get_param("ActivityIds", []), response._get_param("AutoScalingGroupName")
        arn = response.autoscaling_backend.autoscaling_groups[name].arn if self._lives(response, name) else None
        found = [
            one
            for one in reversed(self.all)
            if (not wanted or one["ActivityId"] in wanted) and (not name or one["AutoScalingGroupARN"] == arn)
        ]
        start = int(response._get_param("NextToken") or 0)
        end = start + min(response._get_int_param("MaxRecords") or PAGE, PAGE)
        return ActionResult({"Activities": found[start:end], "NextToken": str(end) if len(found) > end else None})

    def _lives(self, response: AutoScalingResponse, name: str | None) -> bool:
        return name in response.autoscaling_backend.autoscaling_groups


def patch(world: World) -> None:
    """DescribeScalingActivities has what happened."""
    world.activities = Activities(world)
    AutoScalingResponse.describe_scaling_activities = method(world.activities.describe)
