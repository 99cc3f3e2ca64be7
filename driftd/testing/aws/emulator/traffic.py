"""Target groups: targets are looked at before they are healthy, and drain before they are gone.

https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RegisterTargets.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeregisterTargets.html
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from matter import MatterAway
from moto.elbv2.exceptions import ELBClientError, TargetGroupNotFoundError, TargetNotRunning
from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeTargetGroup, elbv2_backends
from world import World, existing, method

MISSING = "The following targets do not exist or are not in the group's VPC: '{}'"
DELAY = "deregistration_delay.timeout_seconds"
ENDING = {"shutting-down", "terminated"}
Key = tuple[str, int]


@dataclass
class Member:
    """One target of one group: an instance or an address, at a port."""

    id: str
    port: int
    state: str = "initial"
    streak: int = 0
    until: float | None = None
    why: str = ""

    def hear(self, *, healthy: bool, why: str, checks: int) -> None:
        """One more health check: as many equal ones as ``checks`` change what is said of it."""
        says = "healthy" if healthy else "unhealthy"
        self.streak = 0 if says == self.state else self.streak + 1
        if self.state == "initial" and not healthy:
            self.why = why
        if self.streak >= checks:
            self.state, self.streak, self.why = says, 0, why


class Traffic:
    """The members of every target group, and what the matter was last told of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.members: dict[str, dict[Key, Member]] = {}
        self.told: dict[str, list[dict[str, Any]]] = {}
        world.resets += [self.members.clear, self.told.clear]

    def of(self, group: FakeTargetGroup) -> dict[Key, Member]:
        """The members of one group, those that drain among them."""
        return self.members.setdefault(group.arn, {})

    def register(self, group: FakeTargetGroup, targets: list[dict[str, Any]]) -> None:
        """All or none; one that drains is a target again, and is looked at anew."""
        wanted = [(one["Id"], int(one.get("Port") or group.port)) for one in targets]
        for ident, _ in wanted:
            if group.target_type == "instance":
                self._check(group, ident)
        for key in wanted:
            member = self.of(group).get(key)
            if member is None or member.until is not None:
                self.of(group)[key] = Member(*key)
        self.tell(group)

    def _check(self, group: FakeTargetGroup, ident: str) -> None:
        instance = group.ec2_backend.get_instance_by_id(ident)
        if instance is None or (group.vpc_id and instance.vpc_id and instance.vpc_id != group.vpc_id):
            raise ELBClientError("InvalidTarget", MISSING.format(ident))
        if instance.state != "running":
            raise TargetNotRunning(ident)

    def deregister(self, group: FakeTargetGroup, targets: list[dict[str, Any]]) -> None:
        """It drains for as long as its group says; a target that is none is no error."""
        for one in targets:
            member = self.of(group).get((one["Id"], int(one.get("Port") or group.port)))
            if member is not None and member.until is None:
                self._drain(group, member)
        self._leave(group)
        self.tell(group)

    def _drain(self, group: FakeTargetGroup, member: Member) -> None:
        delay = float(group.attributes.get(DELAY, 300)) if self._used(group) else 0.0
        member.until = self.world.now() + delay

    def _leave(self, group: FakeTargetGroup) -> bool:
        done = [key for key, one in self.of(group).items() if one.until is not None and one.until <= self.world.now()]
        for key in done:
            del self.of(group)[key]
        return bool(done)

    def _used(self, group: FakeTargetGroup) -> bool:
        return bool(elbv2_backends[group.account_id][group.region_name]._any_listener_using(group.arn))

    def shown(self, group: FakeTargetGroup, member: Member) -> tuple[str, str | None, str | None]:
        """State, reason and description, without looking."""
        if member.until is not None:
            return "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"
        if not self._used(group):
            return "unused", "Target.NotInUse", "Target group is not configured to receive traffic from a load balancer"
        if group.target_type == "instance":
            instance = group.ec2_backend.get_instance_by_id(member.id)
            if instance is not None and instance.state in {"stopped", "stopping"}:
                return "unused", "Target.InvalidState", "Target is in the stopped state"
        if member.state == "initial":
            return "initial", "Elb.InitialHealthChecking", "Initial health checks in progress"
        if member.state == "unhealthy":
            return "unhealthy", "Target.FailedHealthChecks", member.why or "Health checks failed"
        return "healthy", None, None

    def look(self, group: FakeTargetGroup, member: Member) -> None:
        """One health check, where there is something to check."""
        if self.shown(group, member)[0] in {"initial", "healthy", "unhealthy"}:
            found = self.world.ask(
                "health", group=group.arn, id=member.id, address=self._address(group, member), port=member.port
            )
            why = str(found.get("why") or "")
            member.hear(healthy=bool(found.get("healthy")), why=why, checks=self.world.knobs.checks)
        elif member.until is None:
            member.state, member.streak = "initial", 0  # it begins anew when it comes back

    def _address(self, group: FakeTargetGroup, member: Member) -> str | None:
        if group.target_type != "instance":
            return member.id
        instance = group.ec2_backend.get_instance_by_id(member.id)
        return instance.private_ip if instance is not None else None

    def describe(self, backend: ELBv2Backend, arn: str, targets: list[dict[str, Any]]) -> list[FakeHealthStatus]:
        """Every target, or those that are named; each is looked at."""
        group = backend.target_groups.get(arn)
        if group is None:
            raise TargetGroupNotFoundError
        keys = [(one["Id"], int(one.get("Port") or group.port)) for one in targets] or list(self.of(group))
        found = []
        for ident, port in keys:
            member = self.of(group).get((ident, port))
            said: tuple[str, str | None, str | None]
            if member is None:
                said = "unused", "Target.NotRegistered", "Target is not registered to the target group"
            else:
                self.look(group, member)
                said = self.shown(group, member)
            found.append(FakeHealthStatus(ident, str(port), group.health_check_port, *said))
        self.tell(group)
        return found

    def tell(self, group: FakeTargetGroup) -> None:
        """The matter hears who its targets are whenever that has changed."""
        now = [
            {
                "id": one.id,
                "address": self._address(group, one),
                "port": one.port,
                "state": self.shown(group, one)[0],
            }
            for one in self.of(group).values()
        ]
        if now != self.told.get(group.arn, []):
            self.world.ask("targets", group=group.arn, port=int(group.port or 0), targets=now)
            self.told[group.arn] = now

    def tick(self) -> bool:
        """Who has ended is deregistered, who has drained is gone."""
        changed = False
        groups = [one for backend in existing(elbv2_backends) for one in backend.target_groups.values()]
        for group in groups:
            for member in self.of(group).values():
                if member.until is None and self._ended(group, member):
                    self._drain(group, member)
                    changed = True
            changed = self._leave(group) or changed
            self._try_tell(group)
        self._forget({one.arn for one in groups})
        return changed

    def _try_tell(self, group: FakeTargetGroup) -> None:
        with contextlib.suppress(MatterAway):  # told again at the next tick: nobody asked for this one
            self.tell(group)

    def _forget(self, arns: set[str]) -> None:
        for arn in set(self.members) - arns:
            self.members.pop(arn)
            if self.told.pop(arn, []):
                with contextlib.suppress(MatterAway):
                    self.world.ask("targets", group=arn, port=0, targets=[])

    def _ended(self, group: FakeTargetGroup, member: Member) -> bool:
        if group.target_type != "instance":
            return False
        instance = group.ec2_backend.get_instance_by_id(member.id)
        return instance is None or instance.state in ENDING


def patch(world: World) -> None:
    """Registration, draining and health."""
    world.traffic = traffic = Traffic(world)
    FakeTargetGroup.register = method(traffic.register)
    FakeTargetGroup.deregister = method(traffic.deregister)
    FakeTargetGroup.deregister_terminated_instances = lambda *_: None  # the next tick sees it
    ELBv2Backend.describe_target_health = method(traffic.describe)
    world.ticks.append(traffic.tick)
