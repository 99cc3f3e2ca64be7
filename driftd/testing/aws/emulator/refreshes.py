"""Instance refreshes: every instance is replaced, a few at a time.

https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_StartInstanceRefresh.html
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RefreshPreferences.html
Checkpoints, alarms, rollbacks and MaxHealthyPercentage above 100 are not played.
"""

from __future__ import annotations

import math
import uuid
from typing import Any

from groups import counted, suspended, version_of
from launches import _plain, find_version
from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult
from world import World, method

ACTIVE = {"Pending", "InProgress", "Cancelling"}
PATIENCE_S = 3600.0
MIN_HEALTHY = 90
Refresh = dict[str, Any]


def _group(response: AutoScalingResponse) -> FakeAutoScalingGroup:
    name = response._get_param("AutoScalingGroupName")
    found = response.autoscaling_backend.autoscaling_groups.get(name)
    if found is None:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return found


class Refreshes:
    """At most one at work for each group."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.all: dict[str, list[Refresh]] = {}
        world.resets.append(self.all.clear)

    def _active(self, group: FakeAutoScalingGroup) -> Refresh | None:
        return next((one for one in self.all.get(group.arn, []) if one["Status"] in ACTIVE), None)

    def start(self, response: AutoScalingResponse) -> ActionResult:
        """Every instance of now is to be replaced, but for those that match already and may be skipped."""
        group = _group(response)
        if self._active(group):
            raise AutoscalingClientError(
                "InstanceRefreshInProgress",
                "An Instance Refresh is already in progress and blocks the execution of this.",
            )
        wanted = _plain(response._get_param("DesiredConfiguration") or {})
        if template := wanted.get("LaunchTemplate"):
            template = _plain(template)
            find_version(group.ec2_backend, template)
            group._set_launch_configuration("", template, None)
        said = {"MinHealthyPercentage": MIN_HEALTHY, **_plain(response._get_param("Preferences") or {})}
        todo = {
            one.instance.id
            for one in group.instance_states
            if not (said.get("SkipMatching") and getattr(one, "version", None) == version_of(group))
        }
        refresh = {
            "InstanceRefreshId": str(uuid.uuid4()),
            "AutoScalingGroupName": group.name,
            "Status": "Pending",
            "StartTime": self.world.activities.time(),
            "PercentageComplete": 0,
            "InstancesToUpdate": len(todo),
            "Preferences": said,
            "DesiredConfiguration": wanted or None,
            "todo": todo,
            "total": len(todo),
            "begun": self.world.now(),
        }
        self.all.setdefault(group.arn, []).append(refresh)
        return ActionResult({"InstanceRefreshId": refresh["InstanceRefreshId"]})

    def cancel(self, response: AutoScalingResponse) -> ActionResult:
        """What is being replaced is finished, and nothing else is begun."""
        active = self._active(_group(response))
        if active is None:
            raise AutoscalingClientError(
                "ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found for the group."
            )
        active["Status"] = "Cancelling"
        return ActionResult({"InstanceRefreshId": active["InstanceRefreshId"]})

    def describe(self, response: AutoScalingResponse) -> ActionResult:
        """DescribeInstanceRefreshes, the newest first."""
        wanted = response._get_param("InstanceRefreshIds", [])
        found = [
            {name: value for name, value in one.items() if name not in {"todo", "total", "begun"}}
            for one in reversed(self.all.get(_group(response).arn, []))
            if not wanted or one["InstanceRefreshId"] in wanted
        ]
        start = int(response._get_param("NextToken") or 0)
        end = start + min(response._get_int_param("MaxRecords") or 50, 100)
        return ActionResult(
            {"InstanceRefreshes": found[start:end], "NextToken": str(end) if len(found) > end else None}
        )

    def step(self, group: FakeAutoScalingGroup) -> bool:
        """Replace as many as may be away, then wait until they are there again."""
        refresh = self._active(group)
        if refresh is None or suspended(group, "InstanceRefresh"):
            return False
        if refresh["Status"] == "Pending":
            refresh["Status"] = "InProgress"
            return True
        serving = [
            one for one in counted(group) if one.lifecycle_state == "InService" and one.health_status == "Healthy"
        ]
        settled = len(serving) == len(counted(group)) == group.desired_capacity
        if refresh["Status"] == "Cancelling":
            return settled and self._close(refresh, "Cancelled", "The refresh was cancelled by a user.")
        refresh["todo"] &= {one.instance.id for one in group.instance_states}
        warm = float(refresh["Preferences"].get("InstanceWarmup") or 0)
        ready = [one for one in serving if one.instance.id in refresh["todo"] or one.since + warm <= self.world.now()]
        self._progress(refresh, len(ready) >= (group.desired_capacity or 0))
        if not refresh["todo"]:
            done = settled and len(ready) == len(serving)
            return done and self._close(refresh, "Successful", None)
        return self._replace(group, refresh, ready)

    def _progress(self, refresh: Refresh, all_there: bool) -> None:
        left = len(refresh["todo"]) + (0 if all_there else 1)
        refresh["InstancesToUpdate"] = len(refresh["todo"])
        if refresh["total"]:
            refresh["PercentageComplete"] = max(0, 100 * (refresh["total"] - left) // refresh["total"])

    def _replace(self, group: FakeAutoScalingGroup, refresh: Refresh, ready: list[InstanceState]) -> bool:
        desired = group.desired_capacity or 0
        floor = math.ceil(desired * int(refresh["Preferences"]["MinHealthyPercentage"]) / 100)
        room = len(ready) - floor
        if len(ready) >= desired:
            room = max(room, 1)  # one at a time is always allowed
        free = [one for one in ready if one.instance.id in refresh["todo"] and self._may(refresh, one)]
        for one in free[: max(room, 0)]:
            refresh["todo"].discard(one.instance.id)
            self.world.groups.terminate(group, one, "was taken out of service in response to an instance refresh")
        if not free and refresh["begun"] + PATIENCE_S <= self.world.now():
            return self._close(refresh, "Failed", "Instances in standby or protected from scale in are in the way.")
        return bool(free) and room > 0

    def _may(self, refresh: Refresh, state: InstanceState) -> bool:
        if not state.protected_from_scale_in:
            return True
        choice = refresh["Preferences"].get("ScaleInProtectedInstances", "Wait")
        if choice == "Ignore":
            refresh["todo"].discard(state.instance.id)
        return bool(choice == "Refresh")

    def _close(self, refresh: Refresh, status: str, why: str | None) -> bool:
        refresh |= {"Status": status, "EndTime": self.world.activities.time()}
        if why:
            refresh["StatusReason"] = why
        else:
            refresh |= {"PercentageComplete": 100, "InstancesToUpdate": 0}
        return True


def patch(world: World) -> None:
    """StartInstanceRefresh, DescribeInstanceRefreshes, CancelInstanceRefresh."""
    world.refreshes = refreshes = Refreshes(world)
    AutoScalingResponse.start_instance_refresh = method(refreshes.start)
    AutoScalingResponse.cancel_instance_refresh = method(refreshes.cancel)
    AutoScalingResponse.describe_instance_refreshes = method(refreshes.describe)
