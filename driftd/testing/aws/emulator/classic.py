"""Classic Load Balancers: instances are looked at before they are in service, and drain before they are gone.

https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_InstanceState.html
https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DescribeInstanceHealth.html
https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_RegisterInstancesWithLoadBalancer.html
https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DeregisterInstancesFromLoadBalancer.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/config-conn-drain.html
"""

from __future__ import annotations

import contextlib
from typing import Any

from common import KNOBS, ApiError, bind
from matter import MatterAway
from moto.autoscaling.models import AutoScalingBackend
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.elb.models import ELBBackend, LoadBalancer, elb_backends
from moto.elb.responses import ELBResponse
from traffic import ENDING, Member
from world import World, existing, method

DEFAULT_DRAIN_S, LONGEST_DRAIN_S = 300, 3600
Said = tuple[str, str, str]
REGISTERING: Said = ("OutOfService", "ELB", "Instance registration is still in progress.")
FAILED: Said = (
    "OutOfService",
    "Instance",
    "Instance has failed at least the UnhealthyThreshold number of health checks consecutively.",
)
DRAINING: Said = ("InService", "N/A", "Instance deregistration currently in progress.")
STRANGE: Said = ("OutOfService", "Instance", "Instance is not currently registered with the LoadBalancer.")
NO_ZONE: Said = (
    "OutOfService",
    "ELB",
    "Instance is in the EC2 Availability Zone for which LoadBalancer is not configured to route traffic to.",
)


class Classic:
    """The instances of every classic load balancer, and what the matter was last told of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.members: dict[tuple[str, str], dict[str, Member]] = {}
        self.told: dict[tuple[str, str], list[dict[str, Any]]] = {}
        world.resets += [self.members.clear, self.told.clear]

    def of(self, balancer: LoadBalancer) -> dict[str, Member]:
        """Those of one load balancer, those that drain among them."""
        return self.members.setdefault(self._key(balancer), {})

    def _key(self, balancer: LoadBalancer) -> tuple[str, str]:
        return str(balancer.vpc_id or balancer.account_id), balancer.name

    def _ec2(self, balancer: LoadBalancer) -> Any:
        return ec2_backends[balancer.account_id][balancer.driftd_region]

    def _instance(self, balancer: LoadBalancer, ident: str) -> Any:
        return self._ec2(balancer).get_instance_by_id(ident)

    def register(self, balancer: LoadBalancer, idents: list[str]) -> None:
        """All or none. One that drains is in service again, and is looked at anew."""
        for ident in idents:
            instance = self._instance(balancer, ident)
            if instance is None or instance.state in ENDING:
                raise ApiError("InvalidInstance", f'Could not find EC2 instance "{ident}".')
            if balancer.vpc_id and instance.vpc_id != balancer.vpc_id:
                raise ApiError("InvalidInstance", f"EC2 instance {ident} is not in VPC {balancer.vpc_id}.")
        for ident in idents:
            member = self.of(balancer).get(ident)
            if member is None or member.until is not None:
                self.of(balancer)[ident] = Member(ident, self._port(balancer))
        self.tell(balancer)

    def deregister(self, balancer: LoadBalancer, idents: list[str]) -> None:
        """It drains where connection draining is enabled, and is cut off at once where it is not."""
        for ident in idents:
            if self._instance(balancer, ident) is None:
                raise ApiError("InvalidInstance", f'Could not find EC2 instance "{ident}".')
        for ident in idents:
            member = self.of(balancer).get(ident)
            if member is not None and member.until is None:
                member.until = self.world.now() + self._delay(balancer)
        self._leave(balancer)
        self.tell(balancer)

    def _delay(self, balancer: LoadBalancer) -> float:
        draining = balancer.attributes["connection_draining"]
        on = str(draining.get("Enabled", draining.get("enabled", False))).lower() == "true"
        told = draining.get("Timeout", draining.get("timeout", DEFAULT_DRAIN_S))
        return float(told) if on else 0.0

    def _leave(self, balancer: LoadBalancer) -> bool:
        now, here = self.world.now(), self.of(balancer)
        done = [ident for ident, one in here.items() if one.until is not None and one.until <= now]
        for ident in done:
            del here[ident]
        return bool(done)

    def _port(self, balancer: LoadBalancer) -> int:
        return int(balancer.listeners[0].instance_port) if balancer.listeners else 0

    # --- health ---

    def shown(self, balancer: LoadBalancer, member: Member) -> Said:
        """State, reason and description, without looking."""
        if member.until is not None:
            return DRAINING
        instance = self._instance(balancer, member.id)
        state = instance.state if instance is not None else "terminated"
        if state != "running":
            said = state if state in {"pending", "stopped"} else "stopped" if state == "stopping" else "terminated"
            return "OutOfService", "Instance", f"Instance is in {said} state."
        if not self._routed(balancer, instance):
            return NO_ZONE
        if member.state == "initial":
            return REGISTERING
        return FAILED if member.state == "unhealthy" else ("InService", "N/A", "N/A")

    def _routed(self, balancer: LoadBalancer, instance: Any) -> bool:
        subnets = [self._ec2(balancer).get_subnet(one).availability_zone for one in balancer.subnets]
        return instance.availability_zone in {*balancer.availability_zones, *subnets}

    def look(self, balancer: LoadBalancer, member: Member) -> None:
        """One health check, where there is something to check."""
        said = self.shown(balancer, member)
        if said in {REGISTERING, FAILED} or (said[0] == "InService" and member.until is None):
            instance = self._instance(balancer, member.id)
            found = self.world.ask(
                "health", group=balancer.name, id=member.id, address=instance.private_ip, port=member.port
            )
            why = str(found.get("why") or "")
            member.hear(healthy=bool(found.get("healthy")), why=why, checks=self.world.knobs.checks)
        elif member.until is None:
            member.state, member.streak = "initial", 0

    def health(self, balancer: LoadBalancer, idents: list[str]) -> list[dict[str, str]]:
        """Of those that are named, or of all that are registered; the knob says whether those are among them that
        drain, which AWS leaves open.
        """
        here = self.of(balancer)
        listed = [ident for ident, one in here.items() if one.until is None or KNOBS["classic_lists_draining"]]
        found = []
        for ident in idents or listed:
            if self._instance(balancer, ident) is None:
                raise ApiError("InvalidInstance", f'Could not find EC2 instance "{ident}".')
            member = here.get(ident)
            if member is not None:
                self.look(balancer, member)
            state, reason, said = STRANGE if member is None else self.shown(balancer, member)
            found.append({"InstanceId": ident, "State": state, "ReasonCode": reason, "Description": said})
        self.tell(balancer)
        return found

    def tell(self, balancer: LoadBalancer) -> None:
        """The matter hears who is behind it whenever that has changed, as of a target group."""
        now = [
            {
                "id": one.id,
                "address": instance.private_ip if (instance := self._instance(balancer, one.id)) else None,
                "port": one.port,
                "state": "draining" if one.until is not None else one.state,
            }
            for one in self.of(balancer).values()
        ]
        if now != self.told.get(self._key(balancer), []):
            self.world.ask("targets", group=balancer.name, port=self._port(balancer), targets=now)
            self.told[self._key(balancer)] = now

    def tick(self) -> bool:
        """Who has ended is behind nothing any more, nor who has drained."""
        changed = False
        for balancer in [one for backend in existing(elb_backends) for one in backend.load_balancers.values()]:
            here = self.of(balancer)
            for ident in [ident for ident in here if self._ended(balancer, ident)]:
                del here[ident]
                changed = True
            changed = self._leave(balancer) or changed
            with contextlib.suppress(MatterAway):  # told again at the next tick: nobody asked for this one
                self.tell(balancer)
        return changed

    def _ended(self, balancer: LoadBalancer, ident: str) -> bool:
        instance = self._instance(balancer, ident)
        return instance is None or instance.state in ENDING


def _found(response: ELBResponse) -> LoadBalancer:
    name = response._get_param("LoadBalancerName")
    found = response.elb_backend.load_balancers.get(name)
    if found is None:
        raise ApiError("LoadBalancerNotFound", f"There is no ACTIVE Load Balancer named '{name}'")
    return found


def _draining(said: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_ConnectionDraining.html"""
    timeout = said.get("Timeout")
    if timeout is not None and not 1 <= int(timeout) <= LONGEST_DRAIN_S:
        raise ApiError("ValidationError", f"ConnectionDraining timeout must be between 1 and {LONGEST_DRAIN_S} seconds")


def patch(world: World) -> None:
    """Registration, draining and health; groups attach and detach load balancers by name."""
    bind(world)
    world.classic = ours = Classic(world)
    create, modify = ELBBackend.create_load_balancer, ELBResponse.modify_load_balancer_attributes
    describe = ELBResponse.describe_load_balancer_attributes

    def created(self: ELBBackend, *said: Any, **more: Any) -> LoadBalancer:
        made = create(self, *said, **more)
        made.driftd_region = self.region_name
        return made

    def listed(response: ELBResponse, work: Any) -> ActionResult:
        balancer = _found(response)
        work(balancer, [one["InstanceId"] for one in response._get_param("Instances", [])])
        return ActionResult({"Instances": [{"InstanceId": one} for one in balancer.instance_ids]})

    def modified(self: ELBResponse) -> ActionResult:
        _found(self)
        _draining(self._get_param("LoadBalancerAttributes.ConnectionDraining", {}))
        return modify(self)

    def attributes(self: ELBResponse) -> ActionResult:
        _found(self)
        return describe(self)

    def health(self: ELBResponse) -> ActionResult:
        balancer, named = _found(self), self._get_param("Instances", [])
        return ActionResult({"InstanceStates": ours.health(balancer, [one["InstanceId"] for one in named])})

    ELBBackend.create_load_balancer = created
    LoadBalancer.instance_ids = property(lambda self: [one.id for one in ours.of(self).values() if one.until is None])
    ELBResponse.register_instances_with_load_balancer = lambda self: listed(self, ours.register)
    ELBResponse.deregister_instances_from_load_balancer = lambda self: listed(self, ours.deregister)
    ELBResponse.modify_load_balancer_attributes = modified
    ELBResponse.describe_load_balancer_attributes = attributes
    ELBResponse.describe_instance_health = health
    AutoScalingBackend.update_attached_elbs = lambda *_: None  # groups.py does that
    AutoScalingBackend.attach_load_balancers = method(_attach(world))
    AutoScalingBackend.detach_load_balancers = method(_detach(world))
    world.ticks.append(ours.tick)


def _attach(world: World) -> Any:
    def attach(backend: AutoScalingBackend, name: str, balancers: list[str]) -> None:
        """Who is in service is behind them, too.

        https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_AttachLoadBalancers.html
        """
        group = backend.autoscaling_groups[name]
        group.load_balancer_names += [one for one in balancers if one not in group.load_balancer_names]
        for state in group.instance_states:
            if state.lifecycle_state == "InService" and state.instance.state == "running":
                world.groups.register(group, state)

    return attach


def _detach(world: World) -> Any:
    def detach(backend: AutoScalingBackend, name: str, balancers: list[str]) -> None:
        """Its instances drain from them.

        https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DetachLoadBalancers.html
        """
        group = backend.autoscaling_groups[name]
        for one in world.groups.classic_of(group):
            if one.name in balancers:
                world.classic.deregister(one, [state.instance.id for state in group.instance_states])
        group.load_balancer_names = [one for one in group.load_balancer_names if one not in balancers]

    return detach
