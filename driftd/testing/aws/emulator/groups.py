"""Auto Scaling groups keep themselves: they launch, look, replace, drain and end, one step at a tick.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-health-checks.html
https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any

from launches import _plain, _with_root
from lives import ENDING
from matter import MatterAway
from moto.autoscaling.models import ASG_NAME_TAG, FakeAutoScalingGroup, InstanceState, autoscaling_backends
from moto.core.exceptions import ServiceException
from moto.elb.models import LoadBalancer, elb_backends
from moto.elbv2.models import FakeTargetGroup, elbv2_backends
from world import World, existing

RETRY_S = 5.0
UNCOUNTED = ("Standby", "EnteringStandby", "Detaching", "Terminating")
Step = Callable[[FakeAutoScalingGroup, InstanceState], bool]


def suspended(group: FakeAutoScalingGroup, process: str) -> bool:
    """Whether somebody told the group to leave this be."""
    return process in group._suspended_processes


def counted(group: FakeAutoScalingGroup) -> list[InstanceState]:
    """Those that count for the desired capacity."""
    return [one for one in group.instance_states if not one.lifecycle_state.startswith(UNCOUNTED)]


class Groups:
    """The life of every group."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.steps: dict[str, Step] = {
            "Pending": self._pending,
            "Pending:Wait": self._waiting,
            "Pending:Proceed": self._serve,
            "InService": self._serving,
            "EnteringStandby": self._standby,
            "Detaching": self._detach,
            "Terminating": self._terminating,
            "Terminating:Wait": self._waiting,
            "Terminating:Proceed": self._end,
        }

    def tick(self) -> bool:
        """One step of every instance of every group, then as many as are missing or too many."""
        changed = False
        for backend in existing(autoscaling_backends):
            for group in list(backend.autoscaling_groups.values()):
                for state in list(group.instance_states):
                    with contextlib.suppress(MatterAway):  # tried again at the next tick: nobody waits for this one
                        step = self.steps.get(state.lifecycle_state)
                        changed = bool(step and step(group, state)) or changed
                with contextlib.suppress(MatterAway):
                    changed = self.world.refreshes.step(group) or changed
                    changed = self.balance(group) or changed
        return changed

    def _to(self, state: InstanceState, name: str) -> bool:
        state.lifecycle_state = name
        return True

    def _pending(self, group: FakeAutoScalingGroup, state: InstanceState) -> bool:
        if state.instance.state in ENDING:
            return self._drop(group, state, "The instance ended before it was in service.")
        if state.instance.state == "pending":
            return False
        waits = self.world.hooks.begin(group, state, "Pending")
        return self._to(state, "Pending:Wait" if waits else "Pending:Proceed")

    def _waiting(self, group: FakeAutoScalingGroup, state: InstanceState) -> bool:
        if not self.world.hooks.over(group, state):
            return False
        phase = state.lifecycle_state.partition(":")[0]
        if phase == "Pending" and state.wait.abandoned:
            self.world.activities.finish(state.activity, "The lifecycle action was abandoned.")
            self.terminate(group, state, "was abandoned by a lifecycle action")
            return True
        return self._to(state, f"{phase}:Proceed")

    def _serve(self, group: FakeAutoScalingGroup, state: InstanceState) -> bool:
        if not suspended(group, "AddToLoadBalancer") and state.instance.state == "running":
            self.register(group, state)
        self.world.activities.finish(state.activity)
        state.since = self.world.now()
        return self._to(state, "InService")

    def _serving(self, group: FakeAutoScalingGroup, state: InstanceState) -> bool:
        looks = state.health_status == "Healthy" and not suspended(group, "HealthCheck")
        if looks and (why := self._sick(group, state)):
            state.health_status, state.sick = "Unhealthy", why
            return True
        held = suspended(group, "ReplaceUnhealthy") or suspended(group, "Terminate")
        if state.health_status == "Healthy" or held:
            return False
        why = getattr(state, "sick", "a user health-check")
        self.terminate(group, state, f"was taken out of service in response to {why}")
        return True

    def _sick(self, group: FakeAutoScalingGroup, state: InstanceState) -> str | None:
        """EC2's checks count at once, a load balancer's after the grace period."""
        if state.instance.state not in {"pending", "running"}:
            return "an EC2 health check indicating it has been terminated or stopped"
        if group.health_check_type != "ELB" or self.world.now() < state.since + (group.health_check_grace_period or 0):
            return None
        sick = any(one.state == "unhealthy" for one in self._behind(group, state))
        return "an ELB system health check failure" if sick else None

    def _target_groups(self, group: FakeAutoScalingGroup) -> list[FakeTargetGroup]:
        known = elbv2_backends[group.account_id][group.region].target_groups
        return [known[arn] for arn in group.target_group_arns if arn in known]

    def _members(self, target_group: FakeTargetGroup, state: InstanceState) -> list[Any]:
        return [one for one in self.world.traffic.of(target_group).values() if one.id == state.instance.id]

    def classic_of(self, group: FakeAutoScalingGroup) -> list[LoadBalancer]:
        """The group's classic load balancers."""
        known = elb_backends[group.account_id][group.region].load_balancers
        return [known[name] for name in group.load_balancer_names if name in known]

    def _behind(self, group: FakeAutoScalingGroup, state: InstanceState) -> list[Any]:
        """What its instance is, of each target group and load balancer that it is behind."""
        found = [one for each in self._target_groups(group) for one in self._members(each, state)]
        classic = [self.world.classic.of(one).get(state.instance.id) for one in self.classic_of(group)]
        return [*found, *(one for one in classic if one is not None)]

    def _drains(self, group: FakeAutoScalingGroup, state: InstanceState) -> bool:
        return any(one.until is not None for one in self._behind(group, state))

    def register(self, group: FakeAutoScalingGroup, state: InstanceState) -> None:
        """Its instance becomes a target of all the group's target groups."""
        for one in self._target_groups(group):
            one.register([{"Id": state.instance.id}])
        for balancer in self.classic_of(group):
            self.world.classic.register(balancer, [state.instance.id])

    def deregister(self, group: FakeAutoScalingGroup, state: InstanceState) -> None:
        """It is no target any more, once it has drained."""
        for one in self._target_groups(group):
            one.deregister([{"Id": state.instance.id}])
        for balancer in self.classic_of(group):
            self.world.classic.deregister(balancer, [state.instance.id])

    def _standby(self, group: FakeAutoScalingGroup, state: InstanceState) -> bool:
        if self._drains(group, state):
            return False
        self.world.activities.finish(state.activity)
        return self._to(state, "Standby")

    def _detach(self, group: FakeAutoScalingGroup, state: InstanceState) -> bool:
        if self._drains(group, state):
            return False
        state.instance.autoscaling_group = None
        return self._drop(group, state)

    def _drop(self, group: FakeAutoScalingGroup, state: InstanceState, why_not: str | None = None) -> bool:
        group.instance_states = [one for one in group.instance_states if one is not state]
        self.world.activities.finish(state.activity, why_not)
        return True

    def terminate(self, group: FakeAutoScalingGroup, state: InstanceState, why: str) -> dict[str, Any]:
        """Begin to end one: out of the load balancer first, and then what hooks there are."""
        if not state.lifecycle_state.startswith("Terminating"):
            what = f"Terminating EC2 instance: {state.instance.id}"
            state.activity = self.world.activities.begin(group, what, f"an instance {why}.", state.instance)
            state.lifecycle_state = "Terminating"
            self.deregister(group, state)
        return state.activity

    def _terminating(self, group: FakeAutoScalingGroup, state: InstanceState) -> bool:
        if state.instance.state in ENDING:
            return self._to(state, "Terminating:Proceed")
        if self._drains(group, state):
            return False
        waits = self.world.hooks.begin(group, state, "Terminating")
        return self._to(state, "Terminating:Wait" if waits else "Terminating:Proceed")

    def _end(self, group: FakeAutoScalingGroup, state: InstanceState) -> bool:
        if state.instance.state == "terminated":
            return self._drop(group, state)
        if state.instance.state == "shutting-down":
            return False
        state.instance.terminate()  # protection from termination does not bind its group
        return True

    def balance(self, group: FakeAutoScalingGroup) -> bool:
        """Launch what is missing, end what is too many: the oldest that nothing protects."""
        there = counted(group)
        missing = (group.desired_capacity or 0) - len(there)
        if missing > 0 and not suspended(group, "Launch"):
            return self._launch(group, missing)
        if missing >= 0 or suspended(group, "Terminate"):
            return False
        free = [one for one in there if one.lifecycle_state == "InService" and not one.protected_from_scale_in]
        for one in free[:-missing]:
            why = f"was taken out of service as the capacity of the group is {group.desired_capacity}"
            self.terminate(group, one, why)
        return bool(free)

    def _launch(self, group: FakeAutoScalingGroup, count: int) -> bool:
        if getattr(group, "retry_at", 0.0) > self.world.now():
            return False
        for _ in range(count):
            try:
                made = self._run(group)
            except (ServiceException, MatterAway) as error:
                what = "Launching a new EC2 instance.  Status Reason: " + str(error)
                begun = self.world.activities.begin(group, what, "the group had fewer instances than it should have.")
                self.world.activities.finish(begun, str(error))
                group.retry_at = self.world.now() + RETRY_S
                return False
            self.join(group, made, f"Launching a new EC2 instance: {made.id}", "an instance was started.")
        return True

    def join(self, group: FakeAutoScalingGroup, instance: Any, what: str, why: str) -> InstanceState:
        """An instance is the group's, from now on."""
        instance.autoscaling_group = group
        state = InstanceState(
            instance,
            lifecycle_state="Pending",
            protected_from_scale_in=group.new_instances_protected_from_scale_in,
            autoscaling_group=group,
        )
        state.since = self.world.now()
        state.activity = self.world.activities.begin(group, what, why, instance)
        state.version = version_of(group)
        group.instance_states.append(state)
        return state

    def _run(self, group: FakeAutoScalingGroup) -> Any:
        config, template = group.launch_config, group.ec2_launch_template
        data: dict[str, Any] = {}
        said: dict[str, Any] = {"launch_config": config}
        if template:
            version = template.get_version(group.launch_template_version)
            data = _plain(version.data)
            said["launch_template"] = {"LaunchTemplateId": template.id, "Version": str(version.number)}
            said["disable_api_termination"] = bool(data.get("DisableApiTermination"))
            said["metadata_options"] = data.get("MetadataOptions") or {}
        groups = list(data.get("SecurityGroupIds") or [])
        for nic in data.get("NetworkInterfaces") or []:
            groups += nic.get("Groups") or []
        params = {
            "ImageId": group.image_id,
            "BlockDeviceMappings": data.get("BlockDeviceMappings")
            or (config.block_device_mapping_dict if config else None),
        }
        if group.image_id in group.ec2_backend.amis:
            _with_root(group.ec2_backend, params)
        zone, subnet = self._place(group)
        made = group.ec2_backend.run_instances(
            group.image_id,
            1,
            group.user_data,
            group.security_groups,
            instance_type=group.instance_type,
            is_instance_type_default=False,
            key_name=data.get("KeyName"),
            security_group_ids=groups,
            block_device_mappings=params["BlockDeviceMappings"],
            placement=None if subnet else zone,
            subnet_id=subnet,
            associate_public_ip=config.associate_public_ip_address if config else None,
            tags={"instance": {**group.instance_tags, **group.get_propagated_tags(), ASG_NAME_TAG: group.name}},
            **said,
        )
        return made.instances[0]

    def _place(self, group: FakeAutoScalingGroup) -> tuple[str, str | None]:
        """Where it has the fewest."""
        have = Counter(one.instance.availability_zone for one in counted(group))
        subnets = [one.strip() for one in (group.vpc_zone_identifier or "").split(",") if one.strip()]
        places = [(group.ec2_backend.get_subnet(one).availability_zone, one) for one in subnets]
        found: list[tuple[str, str | None]] = [*places] or [(one, None) for one in group.availability_zones]
        fewest = min(have[zone] for zone, _ in found)
        return next(one for one in found if have[one[0]] == fewest)


def version_of(group: FakeAutoScalingGroup) -> tuple[str, int] | None:
    """What the group launches now: its template and the number of the version."""
    template = group.ec2_launch_template
    return (template.id, template.get_version(group.launch_template_version).number) if template else None


def shown_template(state: InstanceState) -> dict[str, str] | None:
    """The template that an instance was launched from, and not what the group has now."""
    if getattr(state, "version", None) is None:
        return None
    template = state.instance.ec2_backend.launch_templates.get(state.version[0])
    name = template.name if template else ""
    return {"LaunchTemplateId": state.version[0], "LaunchTemplateName": name, "Version": str(state.version[1])}


def patch(world: World) -> None:
    """Groups live; scaling.py is what people say to them."""
    world.groups = groups = Groups(world)
    InstanceState.launch_template = property(shown_template)
    world.ticks.append(groups.tick)
