"""A group on the emulator without servers, and the shipped controller that replaces its instances, with faults at will.

Time is the emulator's, put forward with each beat of the controller: nothing is waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from emulated import ZONE, Cloud

from driftd.core.facts import Instance
from driftd.core.findings import Action, Judgement, Verdict
from driftd.core.guards.calendar import ALWAYS
from driftd.core.guards.case import UNPACED, GroupRules
from driftd.core.leftovers import MARKS
from driftd.core.looks import Look
from driftd.core.replacement import TERMINAL, Record, State
from driftd.core.world import Limits
from driftd.edges.providers.aws import instances, interfaces, scaling, volumes
from driftd.edges.providers.aws.cloud import action_of
from driftd.edges.providers.aws.names import TAG_DEPLOYMENT, TAG_SLOT, TAG_TOKEN
from driftd.edges.providers.aws.provider import create
from driftd.edges.store import open_store
from driftd.flows.groups import Group
from driftd.flows.replace import Replacer
from driftd.rehearsal.ground import empty

BEAT_S = 10
READ_TRIES = 4  # botocore's: so many must fail before driftd hears of it
RETRIED = {"throttle", "500", "timeout-before", "timeout-after"}
LIMITS = Limits(
    dwell=timedelta(0),
    soak=timedelta(seconds=BEAT_S),
    canary_soak=timedelta(seconds=BEAT_S),
    park=timedelta(seconds=2 * BEAT_S),
    poll=timedelta(seconds=BEAT_S),
    plan_again=timedelta(seconds=BEAT_S),
    longest_pause=timedelta(seconds=BEAT_S),
    healthy_reads=2,
)
ENDS = {"terminate_instances", "terminate_instance_in_auto_scaling_group"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One call that the provider made: ``nth`` among those that change something, or that read, from 0."""

    how: str
    operation: str
    nth: int
    state: State | None
    said: str

    @property
    def name(self) -> str:
        """As AWS and the emulator call it."""
        return action_of("", self.operation).partition(":")[2]


@dataclass
class Wire:
    """Stands between the provider and boto3: sees every call, and has the emulator fail those that ``choose`` names."""

    cloud: Any
    emulator: Any
    state: Callable[[], State | None]
    before: Callable[[str, dict[str, Any]], None]
    choose: Callable[[Asked], str] = lambda _: ""
    asked: list[Asked] = field(default_factory=list)
    failed: list[tuple[str, Asked]] = field(default_factory=list)

    def __post_init__(self) -> None:
        plain_ask, plain_do, plain_pages = self.cloud.ask, self.cloud.do, self.cloud.pages

        def ask(service: str, operation: str, **said: Any) -> Any:
            with self._about("read", operation, said):
                return plain_ask(service, operation, **said)

        def do(service: str, operation: str, **said: Any) -> Any:
            self.before(operation, said)
            with self._about("change", operation, said):
                return plain_do(service, operation, **said)

        def pages(service: str, operation: str, key: str, **said: Any) -> Iterator[Any]:
            with self._about("read", operation, said):
                yield from plain_pages(service, operation, key, **said)

        self.cloud.ask, self.cloud.do, self.cloud.pages = ask, do, pages

    @contextmanager
    def _about(self, how: str, operation: str, said: dict[str, Any]) -> Iterator[None]:
        nth = sum(one.how == how for one in self.asked)
        asked = Asked(how, operation, nth, self.state(), repr(sorted(said.items(), key=lambda one: one[0])))
        self.asked.append(asked)
        kind = self.choose(asked)
        if not kind:
            yield
            return
        self.failed.append((kind, asked))
        times = READ_TRIES if how == "read" and kind in RETRIED else 1
        self.emulator.fault(asked.name, kind, times)
        try:
            yield
        finally:
            left = self.emulator.control("faults")
            assert not left or left[0]["times"] < times, f"{kind} did not meet {asked}"
            if left:  # botocore gave up early: it has a quota of retries
                self.emulator.control("faults", verb="DELETE")

    def forget(self) -> None:
        """As if nothing had been asked."""
        self.choose = lambda _: ""
        self.asked.clear()
        self.failed.clear()


class Story:
    """A group of three in service: on their own, or of an Auto Scaling group; with ``owning`` each has a volume and
    an address.
    """

    def __init__(
        self,
        cloud: Cloud,
        monkeypatch: Any,
        home: Path,
        *,
        scaled: bool = False,
        owning: bool = False,
        limits: Limits = LIMITS,
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "driftd")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        self.cloud, self.emulator, self.scaled, self.owning = cloud, cloud.emulator, scaled, owning
        self.ahead = 0.0
        self._no_waiting(monkeypatch)
        self.target_group = cloud.group(delay=2 * BEAT_S)
        self.things: dict[str, str] = {}
        self._made()
        self.provider = create(self.options())
        self.drifted: set[str] = set()
        file = home / "driftd.db"
        file.write_bytes(empty())
        self.store = open_store(f"sqlite:///{file}")
        rules = GroupRules("web", min_healthy=2, enforce=Action.REPLACE, min_percent=0, pace=UNPACED, calendar=ALWAYS)
        group = Group("web", self.provider, rules, limits)
        self.replacer = Replacer(self.store, {"web": group}, self._look, clock=self.now)
        self.rid = ""
        self.broken: list[str] = []
        self.wire = Wire(self.provider.cloud, self.emulator, self._state, self._before)
        self.before = self.members()

    def close(self) -> None:
        """Give everything back but the account."""
        self.provider.close()
        self.store.close()

    # --- time ---

    def now(self) -> datetime:
        """The emulator's time."""
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def forward(self, seconds: float) -> None:
        """Let it pass."""
        self.emulator.forward(seconds)
        self.ahead += seconds

    def _no_waiting(self, monkeypatch: Any) -> None:
        passing = SimpleNamespace(sleep=self.forward, monotonic=lambda: self.now().timestamp())
        for module in (instances, interfaces, scaling, volumes):
            monkeypatch.setattr(module, "time", passing)
        still = SimpleNamespace(sleep=lambda _: None)
        monkeypatch.setattr("botocore.endpoint.time", still)

    # --- the account ---

    def _made(self) -> None:
        ec2 = self.cloud.ec2
        data = {"ImageId": self.cloud.image, "InstanceType": "t3.micro"}
        ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)
        if self.scaled:
            self.cloud.asg.create_auto_scaling_group(
                AutoScalingGroupName="web",
                MinSize=1,
                MaxSize=4,
                DesiredCapacity=3,
                LaunchTemplate={"LaunchTemplateName": "web", "Version": "$Latest"},
                TargetGroupARNs=[self.target_group],
                VPCZoneIdentifier=self.cloud.subnets[ZONE],
            )
        else:
            tags = [{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "web"}]}]
            made = self.cloud.run(3, LaunchTemplate={"LaunchTemplateName": "web"}, TagSpecifications=tags)
            self.cloud.state(made[0])
            self.cloud.elb.register_targets(TargetGroupArn=self.target_group, Targets=[{"Id": one} for one in made])
        self.forward(1)
        for instance in self.members() if self.owning else ():
            self._owns(instance)

    def _owns(self, instance: str) -> None:
        ec2, tags = self.cloud.ec2, [{"Key": TAG_DEPLOYMENT, "Value": "driftd"}]
        tags.append({"Key": TAG_SLOT, "Value": f"web/{instance}"})
        volume = ec2.create_volume(
            AvailabilityZone=ZONE, Size=1, TagSpecifications=[{"ResourceType": "volume", "Tags": tags}]
        )["VolumeId"]
        self.cloud.volume(volume)
        ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
        address = ec2.allocate_address(Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": tags}])[
            "PublicIp"
        ]
        ec2.associate_address(PublicIp=address, InstanceId=instance)
        self.things |= {volume: f"web/{instance}", address: f"web/{instance}"}

    def options(self) -> dict[str, Any]:
        """What the provider is made from."""
        how: dict[str, Any] = {"launch": {"template": "web", "subnets": [self.cloud.subnets[ZONE]]}}
        group: dict[str, Any] = {"select": {"tag:role": "web"}, "traffic": {"target_group": "web"}}
        if self.scaled:
            how, group["select"] = {"auto_scaling_group": "web"}, {}
        settings = {
            "region": "us-east-1",
            "endpoint": self.emulator.url,
            "host_keys": "known_hosts",
            "groups": {"web": how},
        }
        return {"settings": settings, "groups": {"web": group}}

    # --- the controller ---

    def _look(self, instance: Instance) -> Look:
        judgement = Judgement(Verdict.CLEAN, "nothing differs from its image")
        if instance.id in self.drifted:
            judgement = Judgement(Verdict.DRIFTED, "1 finding, worst: high", action=Action.REPLACE)
        return Look(instance, self.now(), 0.1, judgement)

    def _state(self) -> State | None:
        with self.store.read() as tx:
            found = tx.replacement(self.rid)
        return found.state if found is not None else None

    def record(self) -> Record:
        """The replacement as the store has it."""
        with self.store.read() as tx:
            found = tx.replacement(self.rid)
        assert found is not None
        return found

    def ask(self, choose: Callable[[Asked], str] = lambda _: "") -> None:
        """Ask for the replacement of the oldest of the group, with faults as ``choose`` says."""
        self.wire.forget()
        self.known, self.before = set(self.everybody()), self.members()
        self.old = min(self.before)
        self.drifted = {self.old}
        old = self.provider.compute.describe(self.old)
        self.slot = old.slot
        self.rid = self.replacer.request(old, "drift was found")
        self.wire.forget()
        self.wire.choose = choose

    def beat(self) -> None:
        """One beat of the controller."""
        said = self.replacer.tick()
        assert not [line for line in said if "it is tried again" in line], said
        self.forward(BEAT_S)

    def over(self, beats: int = 400) -> Record:
        """Go on until it is over; its record."""
        for _ in range(beats):
            self.beat()
            if self.record().state in TERMINAL:
                self.wire.choose = lambda _: ""
                return self.record()
        raise AssertionError(f"it does not end: {self.record()}")

    def replace(self, choose: Callable[[Asked], str] = lambda _: "") -> Record:
        """Both."""
        self.ask(choose)
        return self.over()

    def _before(self, operation: str, said: dict[str, Any]) -> None:
        """What may never be: one that serves, or is still busy, is ended."""
        ended = said.get("InstanceIds") or [said.get("InstanceId")]
        if operation in ENDS:
            found = self.cloud.health(self.target_group)
            self.broken += [f"{one} was ended as {found[one]}" for one in ended if one in found]

    def end_by_hand(self) -> None:
        """What a person does whom driftd asks to: end the old one, and take its marks off the newcomer."""
        if self.scaled:
            self.cloud.asg.terminate_instance_in_auto_scaling_group(
                InstanceId=self.old, ShouldDecrementDesiredCapacity=False
            )
        else:
            self.cloud.ec2.terminate_instances(InstanceIds=[self.old])
        self.cloud.ec2.delete_tags(Resources=[self.record().new_id], Tags=[{"Key": key} for key in MARKS])
        self.forward(3 * BEAT_S)
        self.members()

    # --- the truth, by plain boto3 ---

    def everybody(self) -> dict[str, dict[str, Any]]:
        """All instances that EC2 tells of, ended ones too."""
        pages = self.cloud.ec2.describe_instances()["Reservations"]
        return {one["InstanceId"]: one for page in pages for one in page["Instances"]}

    def members(self) -> set[str]:
        """Those that are not gone."""
        return {name for name, one in self.everybody().items() if one["State"]["Name"] == "running"}

    def launched(self) -> int:
        """How many instances were made since it was asked for, those that have ended, too."""
        return len(set(self.everybody()) - self.known)

    def check(self, *, replaced: bool) -> None:
        """As it must be at rest: with a newcomer in the old one's place, or exactly as before."""
        assert self.broken == []
        now = self.members()
        if replaced:
            assert self.before - now == {self.old}
            (new,) = now - self.before
        else:
            assert now == self.before
            new = self.old
        tags = {one["Key"]: one["Value"] for one in self.everybody()[new].get("Tags", ())}
        assert not MARKS & tags.keys(), "our marks are left"
        assert not replaced or tags[TAG_SLOT] == self.slot
        assert {name: state for name, (state, _) in self.cloud.health(self.target_group).items()} == dict.fromkeys(
            now, "healthy"
        )
        if self.scaled:
            (group,) = self.cloud.asg.describe_auto_scaling_groups(AutoScalingGroupNames=["web"])["AutoScalingGroups"]
            assert {one["InstanceId"]: one["LifecycleState"] for one in group["Instances"]} == dict.fromkeys(
                now, "InService"
            )
            assert group["DesiredCapacity"] == 3
        for volume in self.cloud.ec2.describe_volumes()["Volumes"]:
            if self.things.get(volume["VolumeId"]) == self.slot:
                assert [one["InstanceId"] for one in volume["Attachments"]] == [new]
                assert not volume["Attachments"][0]["DeleteOnTermination"]
        found = self.cloud.ec2.describe_snapshots(Filters=[{"Name": "tag-key", "Values": [TAG_TOKEN]}])["Snapshots"]
        tokens = [one["Value"] for each in found for one in each["Tags"] if one["Key"] == TAG_TOKEN]
        assert len(tokens) == len(set(tokens)), "one snapshot was taken twice"
        for address in self.cloud.ec2.describe_addresses()["Addresses"]:
            if self.things.get(address["PublicIp"]) == self.slot:
                assert address["InstanceId"] == new
