"""What people say to Auto Scaling groups: sizes, attach, detach, standby, terminate, with what each refuses.

https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_AttachInstances.html
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DetachInstances.html
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_EnterStandby.html
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_ExitStandby.html
https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_TerminateInstanceInAutoScalingGroup.html
"""

from __future__ import annotations

from typing import Any

from launches import find_version
from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import ASG_NAME_TAG, AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult
from world import World, method


def find(backend: AutoScalingBackend, name: str) -> FakeAutoScalingGroup:
    """The group of this name."""
    if name not in backend.autoscaling_groups:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return backend.autoscaling_groups[name]


def members(group: FakeAutoScalingGroup, idents: list[str], *allowed: str) -> list[InstanceState]:
    """The group's instances of these ids, each in a state that allows what is wanted."""
    known = {one.instance.id: one for one in group.instance_states}
    for ident in idents:
        if ident not in known:
            raise ValidationError(f"The instance {ident} is not part of Auto Scaling group {group.name}.")
        if known[ident].lifecycle_state not in allowed:
            wanted = " or ".join(allowed)
            raise ValidationError(f"The instance {ident} is not in {wanted}.")
    return [known[ident] for ident in idents]


def _sizes(group: FakeAutoScalingGroup, doing: str, count: int) -> ValidationError:
    return ValidationError(
        f"AutoScalingGroup {group.name} has min-size={group.min_size}, max-size={group.max_size}, and desired-size="
        f"{group.desired_capacity}: that leaves no room to {doing} {count}."
    )


class Scaling:
    """Orders to groups; what follows happens at the next tick."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.create_plain = AutoScalingBackend.create_auto_scaling_group
        self.update_plain = AutoScalingBackend.update_auto_scaling_group

    def create(self, backend: AutoScalingBackend, **said: Any) -> FakeAutoScalingGroup:
        """A name once, sizes that fit, and a template that is there."""
        name = said["name"]
        if name in backend.autoscaling_groups:
            raise AutoscalingClientError(
                "AlreadyExists",
                f"AutoScalingGroup by this name already exists - {name}",
            )
        least, most = int(said["min_size"]), int(said["max_size"])
        wanted = said["desired_capacity"]
        if wanted is not None and not least <= int(wanted) <= most:
            raise ValidationError(
                f"Desired capacity:{wanted} must be between the specified min size:{least} and max size:{most}"
            )
        if said["launch_template"]:
            find_version(backend.ec2_backend, said["launch_template"])
        group = self.create_plain(backend, **said)
        group.health_check_grace_period = int(said["health_check_period"] or 0)  # the API's default, not the console's
        return group

    def update(self, backend: AutoScalingBackend, **said: Any) -> FakeAutoScalingGroup:
        """New sizes hold at once: what is desired is between them."""
        group = find(backend, said["name"])
        before, wanted = group.desired_capacity, said["desired_capacity"]
        least = group.min_size if said["min_size"] is None else said["min_size"]
        most = group.max_size if said["max_size"] is None else said["max_size"]
        if wanted is not None and not least <= wanted <= most:
            raise ValidationError(
                f"Desired capacity:{wanted} must be between the specified min size:{least} and max size:{most}"
            )
        if said["launch_template"]:
            find_version(backend.ec2_backend, said["launch_template"])
        self.update_plain(backend, **said)
        group.desired_capacity = wanted if wanted is not None else min(max(before, least), most)
        group.retry_at = 0.0
        return group

    def size(self, backend: AutoScalingBackend, name: str, wanted: int | None) -> None:
        """SetDesiredCapacity within the bounds."""
        group = find(backend, name)
        if wanted is not None and wanted > group.max_size:
            raise ValidationError(
                f"New SetDesiredCapacity value {wanted} is above max value {group.max_size} for the AutoScalingGroup."
            )
        if wanted is not None and wanted < group.min_size:
            raise ValidationError(
                f"New SetDesiredCapacity value {wanted} is below min value {group.min_size} for the AutoScalingGroup."
            )
        group.desired_capacity = wanted

    def delete(self, response: AutoScalingResponse) -> ActionResult:
        """With instances only by force, and then they end with it."""
        backend = response.autoscaling_backend
        group = find(backend, response._get_param("AutoScalingGroupName"))
        if group.instance_states and not response._get_bool_param("ForceDelete"):
            raise AutoscalingClientError(
                "ResourceInUse",
                "There are instances still in the group.",
            )
        for state in group.instance_states:
            self.world.groups.deregister(group, state)
            state.instance.terminate()
        del backend.autoscaling_groups[group.name]
        return EmptyResult()

    def attach(self, backend: AutoScalingBackend, name: str, idents: list[str]) -> None:
        """Running ones that are nobody's, as many as there is room for."""
        group = find(backend, name)
        owned = {one.instance.id for each in backend.autoscaling_groups.values() for one in each.instance_states}
        instances = backend.ec2_backend.get_multi_instances_by_id(idents)
        for one in instances:
            if one.id in owned:
                raise ValidationError(f"Instance {one.id} is already part of an AutoScalingGroup.")
            if one.state != "running":
                raise ValidationError(f"Instance {one.id} is not in correct state. It must be running.")
            if one.availability_zone not in group.availability_zones:
                raise ValidationError(f"Instance {one.id} is not in an availability zone of {name}.")
        if (group.desired_capacity or 0) + len(instances) > group.max_size:
            raise _sizes(group, "attach", len(instances))
        group.desired_capacity += len(instances)
        for one in instances:
            backend.ec2_backend.create_tags([one.id], {ASG_NAME_TAG: name})
            what = f"Attaching an existing EC2 instance: {one.id}"
            self.world.groups.join(
                group, one, what, "an instance was attached in response to a user request."
            ).version = None

    def _shrink(self, group: FakeAutoScalingGroup, doing: str, count: int) -> None:
        if group.desired_capacity - count < group.min_size:
            raise _sizes(group, doing, count)
        group.desired_capacity -= count

    def detach(
        self,
        backend: AutoScalingBackend,
        name: str,
        idents: list[str],
        should_decrement: bool,
    ) -> list[dict[str, Any]]:
        """They run on, and are the group's no more once they have drained."""
        group = find(backend, name)
        states = members(group, idents, "InService", "Standby")
        in_service = sum(one.lifecycle_state == "InService" for one in states)
        if should_decrement and in_service:
            self._shrink(group, "detach", in_service)
        return [self._move(group, one, "Detaching", f"Detaching EC2 instance: {one.instance.id}") for one in states]

    def _move(self, group: FakeAutoScalingGroup, state: InstanceState, name: str, what: str) -> dict[str, Any]:
        why = f"instance {state.instance.id} was moved in response to a user request."
        state.activity = self.world.activities.begin(group, what, why, state.instance)
        state.lifecycle_state = name
        self.world.groups.deregister(group, state)
        if name == "Detaching":
            group.ec2_backend.delete_tags([state.instance.id], {ASG_NAME_TAG: group.name})
        return dict(state.activity)

    def enter(
        self,
        backend: AutoScalingBackend,
        name: str,
        idents: list[str],
        should_decrement: bool,
    ) -> list[dict[str, Any]]:
        """Out of the load balancers, and looked after by nobody until they come back."""
        group = find(backend, name)
        states = members(group, idents, "InService")
        if should_decrement:
            self._shrink(group, "place into standby", len(states))
        what = "Moving EC2 instance to Standby: {}"
        return [self._move(group, one, "EnteringStandby", what.format(one.instance.id)) for one in states]

    def exit(self, backend: AutoScalingBackend, name: str, idents: list[str]) -> list[dict[str, Any]]:
        """Back into the load balancers; the group is that much larger."""
        group = find(backend, name)
        states = members(group, idents, "Standby")
        if group.desired_capacity + len(states) > group.max_size:
            raise _sizes(group, "move out of standby", len(states))
        group.desired_capacity += len(states)
        for one in states:
            what = f"Moving EC2 instance out of Standby: {one.instance.id}"
            why = f"instance {one.instance.id} was moved out of standby in response to a user request."
            one.activity = self.world.activities.begin(group, what, why, one.instance)
            one.activity["StatusCode"], one.activity["Progress"] = "PreInService", 30
            one.lifecycle_state = "Pending:Proceed"
        return [dict(one.activity) for one in states]

    def terminate(self, response: AutoScalingResponse) -> ActionResult:
        """TerminateInstanceInAutoScalingGroup, with or without another in its place."""
        ident = response._get_param("InstanceId")
        for group in response.autoscaling_backend.autoscaling_groups.values():
            for state in group.instance_states:
                if state.instance.id == ident:
                    smaller = response._get_bool_param("ShouldDecrementDesiredCapacity")
                    return self._terminate(group, state, smaller=bool(smaller))
        raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {ident}")

    def _terminate(self, group: FakeAutoScalingGroup, state: InstanceState, *, smaller: bool) -> ActionResult:
        again = state.lifecycle_state.startswith("Terminating")
        if smaller and not again:  # of one in standby, too: nothing is said to the contrary
            if group.desired_capacity - 1 < group.min_size:
                raise ValidationError(
                    f"The group is at its min size of {group.min_size}, and nothing would come in its place."
                )
            group.desired_capacity -= 1
        activity = self.world.groups.terminate(group, state, "was taken out of service in response to a user request")
        return ActionResult({"Activity": dict(activity)})

    def health(self, response: AutoScalingResponse) -> ActionResult:
        """A user's word about an instance, which waits for the grace period unless it is told not to.

        https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_SetInstanceHealth.html
        """
        ident, said = response._get_param("InstanceId"), response._get_param("HealthStatus")
        if said not in {"Healthy", "Unhealthy"}:
            raise ValidationError("Valid instance health states are: [Healthy, Unhealthy]")
        for group in response.autoscaling_backend.autoscaling_groups.values():
            for state in group.instance_states:
                if state.instance.id == ident:
                    grace = state.since + (group.health_check_grace_period or 0)
                    respected = response._get_param("ShouldRespectGracePeriod")
                    if respected is False or self.world.now() >= grace or said == "Healthy":
                        state.health_status = said
                    return EmptyResult()
        raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {ident}")

    def balance_on(self, backend: AutoScalingBackend, name: str, arns: list[str]) -> None:
        """More target groups: who is in service is a target of theirs, too."""
        group = find(backend, name)
        group.append_target_groups(arns)
        for state in group.instance_states:
            if state.lifecycle_state == "InService" and state.instance.state == "running":
                self.world.groups.register(group, state)

    def balance_off(self, backend: AutoScalingBackend, name: str, arns: list[str]) -> None:
        """Fewer: its instances drain from them."""
        group = find(backend, name)
        for arn in arns:
            if target_group := backend.elbv2_backend.target_groups.get(arn):
                target_group.deregister([{"Id": one.instance.id} for one in group.instance_states])
        group.target_group_arns = [one for one in group.target_group_arns if one not in arns]


def _set_size(group: FakeAutoScalingGroup, wanted: int | None) -> None:
    group.desired_capacity = group.min_size if wanted is None else wanted


def patch(world: World) -> None:
    """Groups do as they are told, one tick later."""
    ours = Scaling(world)
    for name, work in (
        ("create_auto_scaling_group", ours.create),
        ("update_auto_scaling_group", ours.update),
        ("set_desired_capacity", ours.size),
        ("attach_instances", ours.attach),
        ("detach_instances", ours.detach),
        ("enter_standby_instances", ours.enter),
        ("exit_standby_instances", ours.exit),
        ("attach_load_balancer_target_groups", ours.balance_on),
        ("detach_load_balancer_target_groups", ours.balance_off),
    ):
        setattr(AutoScalingBackend, name, method(work))
    AutoScalingResponse.delete_auto_scaling_group = method(ours.delete)
    AutoScalingResponse.terminate_instance_in_auto_scaling_group = method(ours.terminate)
    AutoScalingResponse.set_instance_health = method(ours.health)
    # What these do in moto at once, groups.py does at the next tick.
    FakeAutoScalingGroup.set_desired_capacity = _set_size
    AutoScalingBackend.update_attached_target_groups = lambda *_: None
    AutoScalingBackend.notify_terminate_instances = lambda *_: None
