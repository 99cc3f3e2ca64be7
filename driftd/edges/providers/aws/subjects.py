"""What a group has that calls can be tried on (``trials``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from driftd.core.errors import ProviderError
from driftd.core.ports import LaunchRequest
from driftd.edges.providers.aws.addresses import AwsAddresses
from driftd.edges.providers.aws.instances import Instances
from driftd.edges.providers.aws.launching import Launching
from driftd.edges.providers.aws.roots import AwsRoots
from driftd.edges.providers.aws.scaling import Scaling
from driftd.edges.providers.aws.settings import AwsSettings, Served
from driftd.edges.providers.aws.traffic import AwsTraffic
from driftd.edges.providers.aws.trials import Parameters, Subject
from driftd.edges.providers.aws.volumes import AwsVolumes

Found = TypeVar("Found")
_TOKEN = "driftd-doctor"  # noqa: S105  # a client token, which a dry run does not use up


class Subjects:
    """Looks for them."""

    def __init__(
        self,
        groups: Mapping[str, Served],
        instances: Instances,
        launching: Launching,
        scaling: Scaling,
        traffic: AwsTraffic,
        volumes: AwsVolumes,
        addresses: AwsAddresses,
        roots: AwsRoots,
        settings: AwsSettings,
    ) -> None:
        self._settings = settings
        self._groups = groups
        self._instances = instances
        self._launching = launching
        self._scaling = scaling
        self._traffic = traffic
        self._volumes = volumes
        self._addresses = addresses
        self._roots = roots

    def of(self, group: str, *, changing: bool) -> Subject:
        """What of ``group`` calls can be tried on. Whoever may not even be listed is left out: the call that lists
        them is tried, too, and says so. Raises ``ProviderError`` where the instances cannot be listed.
        """
        members = self._instances.of(group)
        if not members:
            return Subject()
        first = members[0]
        scaling = self._scaling.named(group)
        described = _listed(lambda: [self._scaling.described(scaling)]) if scaling else []
        behind = self._groups[group].traffic
        named = behind.all[0] if behind.all else ""
        arns = _listed(lambda: [self._traffic.target_group(named).arn]) if named else []
        plain = Subject(
            raw=self._instances.raw(first.id),
            scaling=scaling,
            scaling_arn=str(described[0]["AutoScalingGroupARN"]) if described else "",
            bucket=self._bucket(group),
            disks=self._groups[group].out_of_band,
            pushed=self._pushed(group),
            queue=self._settings.queue_arn,
            target_group=arns[0] if arns else "",
            classic=behind.classic[0] if behind.classic else "",
            region=self._settings.region,
            zone=next((one.zone for one in self._settings.records), ""),
        )
        if not changing:
            return plain
        volumes, copies = _listed(self._volumes.list), _listed(self._roots.root_copies)
        addresses, interfaces = _listed(self._addresses.owned), _listed(self._addresses.interfaces.owned)
        return replace(
            plain,
            launch=self._launch(LaunchRequest(group, first.slot, first.image, _TOKEN, {})),
            volume=volumes[0].id if volumes else "",
            snapshot=copies[0].id if copies else "",
            address=addresses[0] if addresses else {},
            interface=interfaces[0] if interfaces else {},
        )

    def _bucket(self, group: str) -> str:
        ssm = self._groups[group].reach.ssm
        if ssm is None:
            return ""
        return "/".join(part for part in (ssm.bucket, ssm.prefix, "*") if part)

    def _pushed(self, group: str) -> str:
        reach = self._groups[group].reach
        return reach.user if reach.instance_connect else ""

    def _launch(self, request: LaunchRequest) -> Parameters:
        try:
            return self._launching.parameters(request)
        except ProviderError:
            return {}


def _listed(them: Callable[[], Sequence[Found]]) -> Sequence[Found]:
    try:
        return them()
    except ProviderError:
        return ()
