"""A group's load balancers: target groups and classic ones.

Elastic Load Balancing does not say how many connections a target has. So a target in service counts as busy, and one
that drains as busy until AWS shows it as no target any more: that is after the deregistration delay (of a classic load
balancer, connection draining's timeout), or at once where nothing was in flight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from driftd.core.errors import Refused
from driftd.core.facts import Instance
from driftd.core.ports import Target, TargetState
from driftd.edges.providers.aws.classic import ClassicBalancer
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.instances import Instances
from driftd.edges.providers.aws.scaling import STANDING_BY, Scaling
from driftd.edges.providers.aws.settings import Served
from driftd.edges.providers.aws.targetgroups import TargetGroup, TargetGroups

# Behind several the worst counts.
_ORDER = (
    TargetState.DRAINING,
    TargetState.UNHEALTHY,
    TargetState.MAINTENANCE,
    TargetState.INITIAL,
    TargetState.HEALTHY,
)
_BUSY = frozenset({TargetState.HEALTHY, TargetState.DRAINING})


class Behind(Protocol):
    """One thing that a group's instances serve behind; ``title`` is what a person calls it."""

    title: str

    def health(self, group: str) -> dict[str, TargetState]:
        """Who is behind it, by instance, those of ``group`` that drain among them. Raises ``ProviderError``."""
        ...

    def put(self, instance_id: str) -> None:
        """Register it; one that drains is taken back."""
        ...

    def out(self, instance_id: str) -> None:
        """Deregister it; it drains. One that is not there is success."""
        ...

    def unfit(self) -> str:
        """Why nobody could be replaced behind it, as it is now; "" when nothing speaks against it."""
        ...


class AwsTraffic:
    """Implements ``Traffic``."""

    def __init__(self, cloud: Cloud, groups: Mapping[str, Served], instances: Instances, scaling: Scaling) -> None:
        self._cloud = cloud
        self._groups = groups
        self._instances = instances
        self._scaling = scaling
        self._target_groups = TargetGroups(cloud, instances)

    def targets(self, group: str) -> Sequence[Target]:
        """See ``Traffic.targets``."""
        states: dict[str, list[TargetState]] = {}
        for one in self.behind(group):
            for name, state in one.health(group).items():
                states.setdefault(name, []).append(state)
        found = {name: min(several, key=_ORDER.index) for name, several in states.items()}
        members = self._members(group) if found else {}
        return [
            Target(name, _as_member(state, members.get(name, "")), int(state in _BUSY))
            for name, state in sorted(found.items())
        ]

    def _members(self, group: str) -> Mapping[str, str]:
        """The lifecycle states of its Auto Scaling group's members; empty where it has none."""
        name = self._scaling.named(group)
        return self._scaling.states(name) if name else {}

    def register(self, group: str, instance: Instance) -> None:
        """See ``Traffic.register``. Into an Auto Scaling group it is attached, or comes back from standby, and so into
        what AWS has tied to it.
        """
        self._instances.host_keys.keep(instance)
        if name := self._scaling.named(group):
            if self._scaling.leaving_service(name, instance.id):
                self._put(group, instance.id)  # nothing is left to wait for then, and it can be had back
            self._scaling.enter(name, instance.id)
        self._put(group, instance.id)

    def _put(self, group: str, instance_id: str) -> None:
        for one in self.behind(group):
            state = one.health(group).get(instance_id)
            if state is None or state is TargetState.DRAINING:
                one.put(instance_id)

    def drain(self, group: str, instance_id: str) -> None:
        """See ``Traffic.drain``. A member of an Auto Scaling group goes into standby: nobody fills its place."""
        if name := self._scaling.named(group):
            self._scaling.stand_by(name, instance_id)
        for one in self.behind(group):
            state = one.health(group).get(instance_id)
            if state is not None and state is not TargetState.DRAINING:
                one.out(instance_id)

    def deregister(self, group: str, instance_id: str) -> None:
        """See ``Traffic.deregister``: AWS removes what has drained by itself."""
        for one in self.behind(group):
            state = one.health(group).get(instance_id)
            if state is not None and state in _BUSY:
                raise Refused(
                    f"{instance_id} is {state.value} in {one.title}",
                    "AWS removes it when it has drained",
                )
            if state is not None:
                one.out(instance_id)

    def unfit(self, group: str) -> str:
        """Why nobody could be replaced in the group, as its load balancers are. Raises ``ProviderError``."""
        return next((why for one in self.behind(group) if (why := one.unfit())), "")

    def behind(self, group: str) -> list[Behind]:
        """What a group's instances serve behind. Raises ``ProviderError``."""
        served = self._groups.get(group)
        if served is None:
            return []
        classic: list[Behind] = [ClassicBalancer(self._cloud, self._instances, name) for name in served.traffic.classic]
        return [*(self.target_group(name) for name in served.traffic.all), *classic]

    def target_group(self, name: str) -> TargetGroup:
        """The one of this name or ARN. Raises ``ProviderError``."""
        return self._target_groups.of(name)


def _as_member(state: TargetState, lifecycle: str) -> TargetState:
    """A member is in service once its Auto Scaling group says so, too: until then it may be taken out again, and what
    is desired of the group is not yet as it will be. One that stands by, and is a target all the same, is to be put
    back whole.
    """
    if lifecycle in STANDING_BY and state is not TargetState.DRAINING:
        return TargetState.MAINTENANCE
    joining = state is TargetState.HEALTHY and lifecycle not in {"", "InService"}
    return TargetState.INITIAL if joining else state
