"""A survey: what a provider says of one group, read once and used for all of its replacements that are due.

A thousand replacements that wait must not ask a provider a thousand times. Whoever is about to change something surveys
anew, right before: what is acted on is never older than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from driftd.core.errors import NotFound, ProviderError, Unavailable
from driftd.core.facts import Instance
from driftd.core.ports import Address, Compute, Target, Traffic, Volume
from driftd.core.world import TAG_RID
from driftd.flows.groups import Group


@dataclass(frozen=True, slots=True)
class Survey:
    """Instances of the whole deployment by id, and the group's targets, volumes and addresses by theirs.

    ``marked`` are the instances that carry a replacement's mark, by its id.
    """

    instances: Mapping[str, Instance]
    targets: Mapping[str, Target] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    addresses: Mapping[str, Address] = field(default_factory=dict)
    marked: Mapping[str, Sequence[Instance]] = field(default_factory=dict)


def survey(group: Group) -> Survey:
    """Ask the provider. Raises ``ProviderError`` when it cannot be asked, and when it answers what cannot be true."""
    compute, traffic = edges_of(group)
    volumes, addresses = group.provider.volumes, group.provider.addresses
    instances = {instance.id: instance for instance in compute.list({})}
    found = Survey(
        instances,
        {target.instance_id: target for target in traffic.targets(group.name)},
        {volume.id: volume for volume in volumes.list()} if volumes else {},
        {address.address: address for address in addresses.list()} if addresses else {},
        _marked(instances.values()),
    )
    if not found.instances and found.targets:
        raise Unavailable(
            f"the provider lists no instance at all, and the load balancer of {group.name} has {len(found.targets)}",
            "nothing is changed by an empty answer",
        )
    return found


def _marked(instances: Iterable[Instance]) -> Mapping[str, Sequence[Instance]]:
    marked: dict[str, list[Instance]] = {}
    for one in instances:
        if rid := one.tags.get(TAG_RID):
            marked.setdefault(rid, []).append(one)
    return marked


class Surveys:
    """The surveys of one round, each made when it is first wanted."""

    def __init__(self) -> None:
        self._made: dict[str, Survey | ProviderError] = {}

    def of(self, group: Group) -> tuple[Survey, bool]:
        """The group's survey, and whether it was made just now. Who could not be asked is not asked again at once."""
        known = self._made.get(group.name)
        if isinstance(known, ProviderError):
            raise known
        if known is not None:
            return known, False
        try:
            made = self._made[group.name] = survey(group)
        except ProviderError as error:
            self._made[group.name] = error
            raise
        return made, True

    def anew(self, group: Group) -> Survey:
        """A survey of this moment."""
        self.forget(group)
        return self.of(group)[0]

    def forget(self, group: Group) -> None:
        """Something was changed in the group."""
        self._made.pop(group.name, None)


def edges_of(group: Group) -> tuple[Compute, Traffic]:
    """The two ports that a replacement works through."""
    compute, traffic = group.provider.compute, group.provider.traffic
    if compute is None or traffic is None:
        raise NotFound(group.cannot_replace())
    return compute, traffic


def described(group: Group, seen: Survey, instance_id: str) -> Instance | None:
    """The instance, None where the provider has none of that name. One that the list left out is asked for by it."""
    compute, _ = edges_of(group)
    instance = seen.instances.get(instance_id)
    if instance is None:
        try:
            instance = compute.describe(instance_id)
        except NotFound:
            return None
    return instance
