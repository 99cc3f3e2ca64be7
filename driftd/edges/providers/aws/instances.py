"""Instances as EC2 tells of them, and which group each belongs to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from driftd.core.errors import NotFound, Refused
from driftd.core.facts import Instance, InstanceState, Reach
from driftd.edges.providers.aws import names
from driftd.edges.providers.aws.admitting import Pushing
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.hostkeys import HostKeys, tagged
from driftd.edges.providers.aws.images import Images
from driftd.edges.providers.aws.settings import Served

_STATES = {
    "pending": InstanceState.PENDING,
    "running": InstanceState.RUNNING,
    "stopping": InstanceState.STOPPING,
    "stopped": InstanceState.STOPPED,
    "shutting-down": InstanceState.SHUTTING_DOWN,
    "terminated": InstanceState.TERMINATED,
}
PRESENT = ("pending", "running", "stopping", "stopped", "shutting-down")
_PAGE = 1000  # the most that DescribeInstances gives at once
_MOMENT_S = 2.0
_PASS_S = 60.0
_EC2_BEGAN = datetime(2006, 8, 25, tzinfo=UTC)
SSM = "ssm"  # what ``Reach.means`` calls Run Command
MEMBER_OF = "aws:autoscaling:groupName"


@dataclass(frozen=True, slots=True)
class _Pass:
    """One reading of all instances: when it was over, how many changes there had been, which groups have had it."""

    changes: int
    at: float
    found: list[Instance]
    had: set[str] = field(default_factory=set)

    def serves(self, group: str, changes: int) -> bool:
        """Whether it is good enough for the group now."""
        return self.holds(changes, _MOMENT_S if group in self.had else _PASS_S)

    def holds(self, changes: int, within_s: float = _PASS_S) -> bool:
        """Whether it is that new, and nothing was changed since."""
        return self.changes == changes and time.monotonic() - self.at <= within_s


class Instances:
    """Reads instances; says of each which of the groups it is in."""

    def __init__(self, cloud: Cloud, groups: Mapping[str, Served]) -> None:
        self.host_keys = HostKeys(cloud)
        self.images = Images(cloud)
        self._pushing = Pushing(cloud)
        self._cloud = cloud
        self._groups = groups
        self._lock = threading.Lock()
        self._pass: _Pass | None = None

    def all(self, tags: Mapping[str, str]) -> list[Instance]:
        """Every one of these groups that is not gone and carries all of ``tags``."""
        filters = [{"Name": "instance-state-name", "Values": list(PRESENT)}, *names.wanted(tags)]
        told = list(self.described(filters))
        mine = (one for one in told if self._group(one, names.tags_of(one.get("Tags", ()))))
        self.images.learn(str(one.get("ImageId") or "") for one in mine)  # nobody else's AMIs
        found = [self.seen(one) for one in told]
        return [one for one in found if one is not None and _carries(one, tags)]

    def of(self, group: str) -> list[Instance]:
        """All of one group. A pass over all groups asks AWS once, however long it takes: a reading is given to each
        group once, and for a moment to whoever asks; anew where driftd changed something since.
        """
        with self._lock:
            known, changes = self._pass, self._cloud.changes
            if known is None or not known.serves(group, changes):
                found = self.all({})
                known = self._pass = _Pass(changes, time.monotonic(), found)
            known.had.add(group)
        return sorted((one for one in known.found if one.group == group), key=lambda one: (one.slot, one.id))

    def lately(self, group: str) -> list[Instance]:
        """The same as of the last pass, where that is not old and driftd has changed nothing since."""
        with self._lock:
            known = self._pass
            if known is not None and known.holds(self._cloud.changes):
                return [one for one in known.found if one.group == group]
        return self.of(group)

    def known(self) -> Mapping[str, str]:
        """The addresses of those that were read last, by their ids. AWS is not asked."""
        known = self._pass
        return {one.id: one.address for one in known.found} if known is not None else {}

    def raw(self, instance_id: str) -> dict[str, Any]:
        """What EC2 tells of one. Raises ``NotFound``."""
        answer = self._cloud.ask("ec2", "describe_instances", InstanceIds=[instance_id])
        for reservation in answer["Reservations"]:
            for one in reservation["Instances"]:
                found: dict[str, Any] = one
                return found
        raise NotFound(f"there is no instance {instance_id}")

    def by_token(self, token: str) -> list[dict[str, Any]]:
        """Those that were launched with it, gone ones included as long as EC2 tells of them."""
        return list(self.described(names.wanted({names.TAG_TOKEN: token})))

    def described(self, filters: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """What EC2 tells of all that these filters let through, gone ones included."""
        pages = self._cloud.pages(
            "ec2", "describe_instances", "Reservations", Filters=list(filters), PaginationConfig={"PageSize": _PAGE}
        )
        for reservation in pages:
            yield from reservation["Instances"]

    # --- what it is ---

    def seen(self, raw: Mapping[str, Any]) -> Instance | None:
        """One as driftd knows it; None where it is in none of the groups, or another deployment's."""
        tags = names.tags_of(raw.get("Tags", ()))
        group = self._group(raw, tags)
        return None if group is None else self._made(raw, tags, group)

    def _group(self, raw: Mapping[str, Any], tags: Mapping[str, str]) -> Served | None:
        deployment = tags.get(names.TAG_DEPLOYMENT)
        if deployment is not None and deployment != self._cloud.settings.deployment:
            return None
        if deployment is not None and names.TAG_GROUP in tags:
            return self._groups.get(tags[names.TAG_GROUP])
        fitting = [served for served in self._groups.values() if _selects(served, raw, tags)]
        if len(fitting) > 1:
            both = " and ".join(served.name for served in fitting[:2])
            raise Refused(
                f"{raw['InstanceId']} is selected by the groups {both}, and an instance is in one",
                "make the select of one of them narrower",
            )
        return fitting[0] if fitting else None

    def _made(self, raw: Mapping[str, Any], tags: Mapping[str, str], group: Served) -> Instance:
        settings = self._cloud.settings
        key = "PrivateIpAddress" if settings.address == "private" else "PublicIpAddress"
        address = str(raw.get(key) or "")
        state = _STATES.get(raw["State"]["Name"], InstanceState.PENDING)
        return Instance(
            id=raw["InstanceId"],
            group=group.name,
            image=self.images.name(str(raw.get("ImageId") or "")),
            state=state,
            slot=tags.get(names.TAG_SLOT) or f"{group.name}/{raw['InstanceId']}",
            address=address,
            launched_at=_launched(raw),
            tags=tags,
            reach=self._reach(raw, tags, group, address),
            zone=_zone(raw),
            isolated=self._isolated(raw),
        )

    def _reach(self, raw: Mapping[str, Any], tags: Mapping[str, str], group: Served, address: str) -> Reach:
        if group.reach.ssm is not None:
            return Reach(host=address, means=SSM)
        console = self._cloud.settings.host_keys == "console"
        asked = console and raw["State"]["Name"] == "running"
        user, pushed = group.reach.user, group.reach.instance_connect
        return Reach(
            host=address,
            port=group.reach.port,
            user=user,
            key_file="" if pushed else group.reach.key,
            host_keys=tagged(tags) if console else (),
            vouching=partial(self.host_keys.of, raw["InstanceId"]) if asked else None,
            admission=self._pushing.admission(raw["InstanceId"], user, _zone(raw)) if pushed else None,
        )

    def _isolated(self, raw: Mapping[str, Any]) -> bool:
        """Whether each of its interfaces is in a quarantine group and in no other."""
        interfaces = raw.get("NetworkInterfaces", ())
        return bool(interfaces) and all(_shut(one.get("Groups", ()), self._cloud) for one in interfaces)


def _zone(raw: Mapping[str, Any]) -> str:
    return str(raw.get("Placement", {}).get("AvailabilityZone") or "")


def quarantine_name(cloud: Cloud) -> str:
    """What the security group is called that driftd makes where none is configured."""
    return f"{cloud.settings.deployment}-quarantine"


def _shut(groups: Sequence[Mapping[str, str]], cloud: Cloud) -> bool:
    named = cloud.settings.quarantine_group
    return bool(groups) and all(
        one["GroupId"] == named if named else one.get("GroupName") == quarantine_name(cloud) for one in groups
    )


def _launched(raw: Mapping[str, Any]) -> datetime | None:
    """When it was launched. ``LaunchTime`` moves with each start; its first interface is attached once."""
    told = [raw.get("LaunchTime")]
    told += [one.get("Attachment", {}).get("AttachTime") for one in raw.get("NetworkInterfaces", ())]
    known = [at for at in told if at is not None and at > _EC2_BEGAN]
    return min(known, default=None)


def _carries(instance: Instance, tags: Mapping[str, str]) -> bool:
    return all(instance.tags.get(key) == value for key, value in tags.items())


def _selects(served: Served, raw: Mapping[str, Any], tags: Mapping[str, str]) -> bool:
    if served.auto_scaling_group and tags.get(MEMBER_OF) != served.auto_scaling_group:
        return False
    told = {"vpc": raw.get("VpcId"), "subnet": raw.get("SubnetId"), "image": raw.get("ImageId")}
    return all(
        (tags.get(key[4:]) if key.startswith("tag:") else told[key]) == value for key, value in served.select.items()
    )
