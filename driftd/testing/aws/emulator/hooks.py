"""Lifecycle hooks: an instance waits until somebody says how to go on, or until the hook's time is up.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_CompleteLifecycleAction.html
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RecordLifecycleActionHeartbeat.html
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult
from world import World

TRANSITIONS = {
    "Pending": "autoscaling:EC2_INSTANCE_LAUNCHING",
    "Terminating": "autoscaling:EC2_INSTANCE_TERMINATING",
}
EVENTS = {
    "Pending": "EC2 Instance-launch Lifecycle Action",
    "Terminating": "EC2 Instance-terminate Lifecycle Action",
}
LONGEST_S = 172800.0


@dataclass
class Wait:
    """An instance in a wait state: until when for each hook, and whether somebody gave it up."""

    ends: float
    token: str = field(default_factory=lambda: str(uuid.uuid4()))
    until: dict[str, float] = field(default_factory=dict)
    abandoned: bool = False

    def complete(self, hook: str, result: str) -> None:
        """Go on, or abandon: that ends every other hook's waiting, too."""
        if result == "ABANDON":
            self.abandoned = True
            self.until.clear()
        self.until.pop(hook, None)


class Hooks:
    """Waiting for people and programs."""

    def __init__(self, world: World) -> None:
        self.world = world

    def begin(self, group: FakeAutoScalingGroup, state: InstanceState, phase: str) -> bool:
        """Whether there is something to wait for in this phase."""
        now = self.world.now()
        found = [
            one
            for one in group.autoscaling_backend.describe_lifecycle_hooks(group.name)
            if one.lifecycle_transition == TRANSITIONS[phase]
        ]
        if not found:
            return False
        state.wait = Wait(now + LONGEST_S, until={one.name: now + float(one.heartbeat_timeout) for one in found})
        for one in found:
            self.world.happened(
                EVENTS[phase],
                group.account_id,
                group.region,
                {
                    "LifecycleActionToken": state.wait.token,
                    "AutoScalingGroupName": group.name,
                    "LifecycleHookName": one.name,
                    "EC2InstanceId": state.instance.id,
                    "LifecycleTransition": TRANSITIONS[phase],
                },
            )
        return True

    def over(self, group: FakeAutoScalingGroup, state: InstanceState) -> bool:
        """Whether it need not wait any longer; what runs out ends as its hook says."""
        known = {one.name: one for one in group.autoscaling_backend.describe_lifecycle_hooks(group.name)}
        for name, until in list(state.wait.until.items()):
            if name not in known:
                state.wait.complete(name, "CONTINUE")
            elif min(until, state.wait.ends) <= self.world.now():
                state.wait.complete(name, known[name].default_result)
        return not state.wait.until

    def find(self, response: AutoScalingResponse) -> tuple[InstanceState, str]:
        """The waiting instance that a call names by its id or its token, and the hook."""
        name, hook = response._get_param("AutoScalingGroupName"), response._get_param("LifecycleHookName")
        ident, token = response._get_param("InstanceId"), response._get_param("LifecycleActionToken")
        group = response.autoscaling_backend.autoscaling_groups.get(name)
        for state in group.instance_states if group else []:
            wait = getattr(state, "wait", None)
            named = wait is not None and (wait.token == token if token else state.instance.id == ident)
            if named and state.lifecycle_state.endswith(":Wait") and hook in wait.until:
                return state, hook
        said = f"token {token}" if token else f"instance ID {ident}"
        raise ValidationError(f"No active Lifecycle Action found with {said}")


def patch(world: World) -> None:
    """CompleteLifecycleAction, RecordLifecycleActionHeartbeat, and hooks that come with their group."""
    world.hooks = hooks = Hooks(world)
    plain = AutoScalingResponse.create_auto_scaling_group

    def complete(response: AutoScalingResponse) -> ActionResult:
        state, hook = hooks.find(response)
        state.wait.complete(hook, response._get_param("LifecycleActionResult"))
        return EmptyResult()

    def heartbeat(response: AutoScalingResponse) -> ActionResult:
        state, hook = hooks.find(response)
        (found,) = response.autoscaling_backend.describe_lifecycle_hooks(state.auto_scaling_group_name, [hook])
        state.wait.until[hook] = world.now() + float(found.heartbeat_timeout)
        return EmptyResult()

    def create(response: AutoScalingResponse) -> ActionResult:
        made = plain(response)
        for one in response._get_param("LifecycleHookSpecificationList", []):
            response.autoscaling_backend.create_lifecycle_hook(
                name=one.get("LifecycleHookName"),
                as_name=response._get_param("AutoScalingGroupName"),
                transition=one.get("LifecycleTransition"),
                timeout=one.get("HeartbeatTimeout"),
                result=one.get("DefaultResult"),
            )
        return made

    AutoScalingResponse.complete_lifecycle_action = complete
    AutoScalingResponse.record_lifecycle_action_heartbeat = heartbeat
    AutoScalingResponse.create_auto_scaling_group = create
