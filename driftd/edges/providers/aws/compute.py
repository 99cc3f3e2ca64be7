"""Instances that are launched, stopped, started, tagged and ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from driftd.core.errors import NotFound, Refused, Unavailable
from driftd.core.facts import Instance
from driftd.core.ports import LaunchRequest
from driftd.edges.providers.aws import names
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.errors import code_of
from driftd.edges.providers.aws.instances import Instances
from driftd.edges.providers.aws.launching import Launching
from driftd.edges.providers.aws.scaling import Scaling
from driftd.edges.providers.aws.traffic import AwsTraffic
from driftd.edges.providers.aws.volumes import AwsVolumes

_ENDED = frozenset({"shutting-down", "terminated"})


class AwsCompute:
    """Implements ``Compute`` and ``Inventory``."""

    def __init__(
        self,
        cloud: Cloud,
        instances: Instances,
        launching: Launching,
        scaling: Scaling,
        volumes: AwsVolumes,
        traffic: AwsTraffic,
    ) -> None:
        self._cloud = cloud
        self._instances = instances
        self._launching = launching
        self._scaling = scaling
        self._volumes = volumes
        self._traffic = traffic

    def find(self, group: str) -> Sequence[Instance]:
        """See ``Inventory.find``."""
        return self._instances.of(group)

    def list(self, tags: Mapping[str, str]) -> Sequence[Instance]:
        """See ``Compute.list``."""
        return self._instances.all(tags)

    def describe(self, instance_id: str) -> Instance:
        """See ``Compute.describe``."""
        return self._known(self._instances.raw(instance_id))

    def _known(self, raw: Mapping[str, Any]) -> Instance:
        one = self._instances.seen(raw)
        if one is None:
            raise NotFound(f"{raw['InstanceId']} is in none of the groups of this driftd")
        return one

    # --- launch ---

    def launch(self, request: LaunchRequest) -> Instance:
        """See ``Compute.launch``: looked for by its token first, then asked for with AWS's own client token."""
        known = self._instances.by_token(request.token)
        if known:
            return self._adopted(request, known)
        try:
            answer = self._cloud.do("ec2", "run_instances", **self._launching.parameters(request))
        except NotFound as error:  # an image, a template or a subnet: asking again will not bring it back
            raise Refused(str(error), "name one that is there, in the group or its launch template") from error
        except Refused as error:
            if code_of(error) == "IdempotentParameterMismatch":
                known = self._instances.by_token(request.token)
                if known:
                    return self._adopted(request, known)
            raise
        return self._known(answer["Instances"][0])

    def _adopted(self, request: LaunchRequest, known: Sequence[Mapping[str, Any]]) -> Instance:
        first = min(known, key=lambda raw: (raw["LaunchTime"], raw["InstanceId"]))
        if names.tags_of(first.get("Tags", ())).get(names.TAG_REQUEST) != names.digest(request):
            raise Refused(f"token {request.token} was used for another launch, of {first['InstanceId']}")
        return self._known(first)

    def preflight(self, request: LaunchRequest) -> str:
        """See ``Compute.preflight``: EC2's own dry run, and what it does not look at."""
        try:
            parameters = self._launching.parameters(request)
            self._cloud.do("ec2", "run_instances", **parameters, DryRun=True)
        except Refused as error:
            if code_of(error) != "DryRunOperation":
                return str(error)
        except NotFound as error:
            return str(error)
        name = self._scaling.named(request.group)
        full = self._scaling.full(name) if name else ""
        return full or self._traffic.unfit(request.group) or self._protected(request)

    def _protected(self, request: LaunchRequest) -> str:
        """Whoever has the slot could not be ended afterwards: better said before anything is changed."""
        old = self._launching.like(request.group, request.slot)
        return "" if old is None else self._protection(old["InstanceId"])

    def _protection(self, instance_id: str) -> str:
        answer = self._cloud.ask(
            "ec2", "describe_instance_attribute", InstanceId=instance_id, Attribute="disableApiTermination"
        )
        if not answer.get("DisableApiTermination", {}).get("Value"):
            return ""
        return f"{instance_id} has termination protection, so it could not be ended; whoever set it can take it away"

    # --- what is there ---

    def stop(self, instance_id: str) -> None:
        """See ``Compute.stop``. A member of an Auto Scaling group leaves service first: else it would be replaced."""
        raw = self._present(instance_id)
        if raw["State"]["Name"] in {"stopping", "stopped"}:
            return
        if name := self._member(raw):
            self._scaling.stand_by(name, instance_id)
        self._cloud.do("ec2", "stop_instances", InstanceIds=[instance_id])

    def start(self, instance_id: str) -> None:
        """See ``Compute.start``."""
        raw = self._present(instance_id)
        state = raw["State"]["Name"]
        if state in {"pending", "running"}:
            return
        if state == "stopping":
            raise Unavailable(f"{instance_id} is stopping", "ask again when it has stopped")
        self._cloud.do("ec2", "start_instances", InstanceIds=[instance_id])

    def terminate(self, instance_id: str) -> None:
        """See ``Compute.terminate``. Refused where it would take a data volume with it."""
        try:
            raw = self._instances.raw(instance_id)
        except NotFound:
            return
        if raw["State"]["Name"] in _ENDED:
            return
        if self._instances.seen(raw) is None:  # not "gone": it runs on, and nobody would know of it any more
            raise Refused(
                f"{instance_id} is in none of the groups of this driftd any more, so it is not ended",
                "give it back the tags by which its group selects it, or end it by hand",
            )
        self._volumes.spare(raw)
        if name := self._member(raw):
            if why := self._protection(instance_id):  # which does not bind its Auto Scaling group
                raise Refused(why)
            if self._scaling.end(name, instance_id):
                return
        self._cloud.do("ec2", "terminate_instances", InstanceIds=[instance_id])

    def tag(self, instance_id: str, tags: Mapping[str, str]) -> None:
        """See ``Compute.tag``."""
        self._present(instance_id)
        kept = {key: value for key, value in tags.items() if value}
        if kept:
            self._cloud.do("ec2", "create_tags", Resources=[instance_id], Tags=names.as_tags(kept))
        gone = [{"Key": key} for key, value in tags.items() if not value]
        if gone:
            self._cloud.do("ec2", "delete_tags", Resources=[instance_id], Tags=gone)

    def _present(self, instance_id: str) -> dict[str, Any]:
        raw = self._instances.raw(instance_id)
        self._known(raw)
        if raw["State"]["Name"] in _ENDED:
            raise NotFound(f"{instance_id} is {raw['State']['Name']}")
        return raw

    def _member(self, raw: Mapping[str, Any]) -> str:
        """The Auto Scaling group that it is in; "" where its group has none."""
        return self._scaling.named(self._known(raw).group)
