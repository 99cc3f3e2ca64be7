"""What a user writes for the ``aws`` provider, checked: a mistake is one sentence that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from driftd.core.errors import BadInput
from driftd.edges.providers.aws.names import partition
from driftd.edges.providers.options import Strict, checked

_SELECTORS = ("vpc", "image", "subnet")
PAGE = "docs/aws.md"
_CLASSIC = r"^$|^[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?$"  # a name; of other kinds the target groups are named


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
    """What a group has on AWS: ``groups.NAME`` of the section. With ``auto_scaling_group`` its members are this
    group's instances, those of them that ``select`` fits if there is one, and newcomers join it. ``gate`` is the name
    of a launch hook of it that driftd completes, once an instance is seen to be as baked.
    """

    launch: Launch = Launch()
    auto_scaling_group: str = Field(default="", max_length=255)
    gate: str = Field(default="", max_length=255)

    @model_validator(mode="after")
    def _gate_of_a_group(self) -> Self:
        if self.gate and not self.auto_scaling_group:
            raise ValueError("gate is a lifecycle hook of an Auto Scaling group: say auto_scaling_group, too")
        return self


class RecordSettings(Strict):
    """A record of Route 53 that points at a slot's instance: of type A, with one private address.

    ``set`` is its SetIdentifier, where it is one of several of its name. ``ttl`` counts where it has to be made.
    """

    zone: str = Field(pattern=r"^Z[A-Z0-9]{1,31}$")
    name: str = Field(max_length=253, pattern=r"^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+$")
    slot: str = Field(pattern=r"^[^/\s]+/\S+$")
    set: str = Field(default="", max_length=128)
    ttl: int = Field(default=60, ge=1, le=86400)

    @property
    def title(self) -> str:
        """What a person calls it: the name, and which of several."""
        return f"{self.name} {self.set}".strip()


class Events(Strict):
    """A queue of SQS to which a rule of EventBridge sends who was let in, as CloudTrail saw it. ``account`` is the
    fleet's, where neither ``role`` nor the queue is of that account.
    """

    queue: str = Field(pattern=r"^https?://[^\s/]+/\d{12}/[A-Za-z0-9_-]{1,80}$")
    account: str = Field(default="", pattern=r"^$|^\d{12}$")


class BaseDisks(Strict):
    """Where disks of images are kept, so that of an instance's disk only what differs is read; at most ``gib`` of them.
    Without a ``dir`` none are kept.
    """

    dir: str = ""
    gib: int = Field(default=32, ge=1, le=65536)


class AwsSettings(Strict):
    """A section of ``providers`` for one account and region.

    ``role`` is an ARN that is assumed, ``external_id`` what its trust policy wants; ``profile`` is one of the AWS
    configuration files. ``deployment`` tells this driftd's instances from another one's in the same account.
    ``endpoint`` is another URL for all services: an emulator's. ``address`` says which one an
    instance is reached at, ``host_keys`` where its host keys are known from. ``events`` is where AWS says who came.
    ``image_tag`` is the tag by which an AMI says which image it is; without one an image is its AMI's id.
    ``records`` of Route 53 move with their slots.
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
    image_tag: str = Field(default="", max_length=128)
    events: Events | None = None
    quarantine_group: str = Field(default="", pattern=r"^$|^sg-[0-9a-f]+$")
    records: tuple[RecordSettings, ...] = ()
    base_disks: BaseDisks = BaseDisks()
    groups: dict[str, AwsGroup] = Field(default_factory=dict)

    @property
    def queue_arn(self) -> str:
        """Of the queue in ``events``; "" without one."""
        if self.events is None:
            return ""
        account, name = self.events.queue.split("/")[3:5]
        return f"arn:{partition(self.region)}:sqs:{self.region}:{account}:{name}"

    @property
    def account(self) -> str:
        """The fleet's, as far as these say; "" where they do not."""
        if self.events is None:
            return ""
        of_role = self.role.split(":")[4] if self.role else ""
        return self.events.account or of_role or self.events.queue.split("/")[3]


class Traffic(Strict):
    """A group's ``traffic``: what its instances serve behind. Target groups by name or ARN, classic load balancers by
    name.
    """

    target_group: str = ""
    target_groups: tuple[str, ...] = ()
    load_balancer: str = Field(default="", pattern=_CLASSIC)
    load_balancers: tuple[Annotated[str, Field(pattern=_CLASSIC)], ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """All target groups."""
        return ((self.target_group,) if self.target_group else ()) + self.target_groups

    @property
    def classic(self) -> tuple[str, ...]:
        """All classic load balancers."""
        return ((self.load_balancer,) if self.load_balancer else ()) + self.load_balancers


class Ssm(Strict):
    """Run Command: the bucket that answers go through, and the folder in it."""

    bucket: str
    prefix: str = ""


class Reach(Strict):
    """How a group's instances are reached: over SSH, with ``instance_connect`` by keys that are pushed for it, or with
    ``ssm`` by Run Command.
    """

    user: str = "root"
    port: int = 22
    key: str = ""
    instance_connect: bool = False
    ssm: Ssm | None = None


class Served(Strict):
    """One group as the provider sees it."""

    name: str
    select: dict[str, str] = Field(default_factory=dict)
    traffic: Traffic = Traffic()
    reach: Reach = Reach()
    launch: Launch = Launch()
    auto_scaling_group: str = ""
    gate: str = ""
    out_of_band: bool = False

    @field_validator("select")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for key in value:
            if key not in _SELECTORS and not (key.startswith("tag:") and key != "tag:"):
                raise ValueError(f"{key!r} selects nothing; known are tag:NAME, vpc, subnet and image")
        return value


def served(
    settings: AwsSettings, groups: Mapping[str, Mapping[str, Any]], section: str = "providers.aws"
) -> dict[str, Served]:
    """The groups of the configuration, each with what ``section`` says of it under ``groups``."""
    for name in settings.groups:
        if name not in groups:
            raise BadInput(
                f"{section}.groups.{name} is no group of this provider", f"its groups are: {', '.join(groups)}"
            )
    _own_records(settings, groups, section)
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
                instance_connect=bool(ssh.get("instance_connect")),
                ssm=checked(Ssm, ssm, f"groups.{name}.reach.ssm", PAGE) if ssm else None,
            ),
            "launch": mine.launch,
            "auto_scaling_group": mine.auto_scaling_group,
            "gate": mine.gate,
            "out_of_band": bool(group.get("out_of_band")),
        }
        found[name] = checked(Served, value, f"groups.{name}", PAGE)
        if not found[name].select and not mine.auto_scaling_group:
            raise BadInput(
                f"groups.{name} does not say which instances it has",
                f"select: {{tag:NAME: VALUE}}, or {section}.groups.{name}.auto_scaling_group",
            )
    return found


def _own_records(settings: AwsSettings, groups: Mapping[str, Mapping[str, Any]], section: str) -> None:
    """Each is of a slot here, and of one slot."""
    seen: dict[tuple[str, str, str], int] = {}
    titles: set[str] = set()
    for number, one in enumerate(settings.records):
        where = f"{section}.records[{number}]"
        if one.slot.partition("/")[0] not in groups:
            raise BadInput(f"{where}: {one.slot} is a slot of no group of this provider", f"see {PAGE}")
        if (other := seen.setdefault((one.zone, one.name, one.set), number)) != number:
            raise BadInput(f"{where} is {section}.records[{other}] once more", "a record belongs to one slot")
        if one.title in titles:
            raise BadInput(f"{where}: there is another {one.title} in another zone", "let driftd move one of them")
        titles.add(one.title)
