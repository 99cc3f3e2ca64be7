"""What a user writes for the ``aws`` provider, checked: a mistake is one sentence that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from driftd.core.errors import BadInput
from driftd.edges.providers.options import Strict, checked

_SELECTORS = ("vpc", "image", "subnet")
PAGE = "docs/aws.md"


class Launch(Strict):
    """How a newcomer is launched. ``template`` is a launch template's id or name, ``version`` a number, ``$Default`` or
    ``$Latest``; without one a newcomer is launched like the instance whose slot it takes. ``subnets`` are where it may
    be, one of each zone; without any, where the group's instances are.
    """

    template: str = ""
    version: str = Field(default="$Default", pattern=r"^(\$Default|\$Latest|\d{1,10})$")
    subnets: tuple[str, ...] = ()

    @field_validator("version", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class AwsGroup(Strict):
    """What a group has on AWS: ``providers.aws.groups.NAME``. With ``auto_scaling_group`` its members are this
    group's instances, those of them that ``select`` fits if there is one, and newcomers join it.
    """

    launch: Launch = Launch()
    auto_scaling_group: str = Field(default="", max_length=255)


class BaseDisks(Strict):
    """Where disks of images are kept, so that of an instance's disk only what differs is read; at most ``gib`` of them.
    Without a ``dir`` none are kept.
    """

    dir: str = ""
    gib: int = Field(default=32, ge=1, le=65536)


class AwsSettings(Strict):
    """The section ``providers.aws``.

    ``role`` is an ARN that is assumed, ``external_id`` what its trust policy wants; ``profile`` is one of the AWS
    configuration files. ``deployment`` tells this driftd's instances from another one's in the same account.
    ``endpoint`` is another URL for all services: an emulator's. ``address`` says which one an
    instance is reached at, ``host_keys`` where its host keys are known from.
    ``quarantine_group`` is the security group that lets nothing through; without one driftd makes one in each VPC.
    ``base_disks`` is where disks of images are kept for looks out of band.
    """

    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    profile: str = ""
    role: str = Field(default="", pattern=r"^$|^arn:aws[a-z-]*:iam::\d{12}:role/.+$")
    external_id: str = ""
    endpoint: str = Field(default="", pattern=r"^$|^https?://\S+$")
    deployment: str = Field(default="driftd", pattern=r"^[A-Za-z0-9._-]{1,63}$")
    address: Literal["private", "public"] = "private"
    host_keys: Literal["console", "known_hosts"] = "console"
    quarantine_group: str = Field(default="", pattern=r"^$|^sg-[0-9a-f]+$")
    base_disks: BaseDisks = BaseDisks()
    groups: dict[str, AwsGroup] = Field(default_factory=dict)


class Traffic(Strict):
    """A group's ``traffic``: the target groups, by name or ARN, that its instances serve behind."""

    target_group: str = ""
    target_groups: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """All of them."""
        return ((self.target_group,) if self.target_group else ()) + self.target_groups


class Ssm(Strict):
    """Run Command: the bucket that answers go through, and the folder in it."""

    bucket: str
    prefix: str = ""


class Reach(Strict):
    """How a group's instances are reached: over SSH, or with ``ssm`` by Run Command."""

    user: str = "root"
    port: int = 22
    key: str = ""
    ssm: Ssm | None = None


class Served(Strict):
    """One group as the provider sees it."""

    name: str
    select: dict[str, str] = Field(default_factory=dict)
    traffic: Traffic = Traffic()
    reach: Reach = Reach()
    launch: Launch = Launch()
    auto_scaling_group: str = ""
    out_of_band: bool = False

    @field_validator("select")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for key in value:
            if key not in _SELECTORS and not (key.startswith("tag:") and key != "tag:"):
                raise ValueError(f"{key!r} selects nothing; known are tag:NAME, vpc, subnet and image")
        return value


def served(settings: AwsSettings, groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Served]:
    """The groups of the configuration, each with what ``providers.aws.groups`` says of it."""
    for name in settings.groups:
        if name not in groups:
            raise BadInput(
                f"providers.aws.groups.{name} is no group of this provider", f"its groups are: {', '.join(groups)}"
            )
    found = {}
    for name, group in groups.items():
        mine = settings.groups.get(name, AwsGroup())
        reach = group.get("reach") or {}
        ssh, ssm = reach.get("ssh") or {}, reach.get("ssm")
        value = {
            "name": name,
            "select": group.get("select") or {},
            "traffic": checked(Traffic, group.get("traffic") or {}, f"groups.{name}.traffic", PAGE),
            "reach": Reach(
                user=str(ssh.get("user") or "root"),
                port=int(ssh.get("port") or 22),
                key=str(ssh.get("key") or ""),
                ssm=checked(Ssm, ssm, f"groups.{name}.reach.ssm", PAGE) if ssm else None,
            ),
            "launch": mine.launch,
            "auto_scaling_group": mine.auto_scaling_group,
            "out_of_band": bool(group.get("out_of_band")),
        }
        found[name] = checked(Served, value, f"groups.{name}", PAGE)
        if not found[name].select and not mine.auto_scaling_group:
            raise BadInput(
                f"groups.{name} does not say which instances it has",
                f"select: {{tag:NAME: VALUE}}, or providers.aws.groups.{name}.auto_scaling_group",
            )
    return found
