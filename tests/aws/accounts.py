"""One account of the emulator with all that a group needs, and real servers behind its records."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
from behind import Behind, listening
from emulated import Emulator
from servers import LocalDeployment, wait_until

from driftd.edges.providers.aws.names import TAG_DEPLOYMENT, TAG_SLOT
from driftd.edges.providers.local.image import ImageInfo

DELAY_S = 3


class Account:
    """One account of the emulator, with all that a group needs, and its servers."""

    def __init__(self, url: str, behind: Behind, volumes: int = 0, *, classic: bool = False) -> None:
        self.url, self.classic = url, classic
        self.emulator: Emulator | None = None
        self.asg = None
        self.behind = behind
        self.ec2, self.elb = self.client("ec2"), self.client("elbv2")
        network = self.ec2.create_vpc(CidrBlock="10.213.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            self.ec2.create_subnet(VpcId=network, CidrBlock=f"10.213.{number}.0/24", AvailabilityZone=zone)["Subnet"][
                "SubnetId"
            ]
            for number, zone in ((1, "eu-central-1a"), (2, "eu-central-1a"))
        ]
        self.image = self.ec2.register_image(Name="golden", RootDeviceName="/dev/xvda")["ImageId"]
        data = {"InstanceType": "t3.small", "ImageId": self.image}
        self.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)
        self.target_group = "" if classic else self._balanced(network)
        self.old_elb = self.client("elb")
        if classic:
            self._balanced_the_old_way()
        tags = [{"Key": TAG_DEPLOYMENT, "Value": "driftd"}]
        for number in range(volumes):
            own = [
                *tags,
                {"Key": TAG_SLOT, "Value": f"web/{number}"},
                {"Key": "driftd:filesystem", "Value": str(uuid4())},
            ]
            self.ec2.create_volume(
                AvailabilityZone="eu-central-1a", Size=1, TagSpecifications=[{"ResourceType": "volume", "Tags": own}]
            )
        own = [*tags, {"Key": TAG_SLOT, "Value": "web/0"}]
        self.ec2.allocate_address(Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": own}])

    def client(self, service: str, who: str = "somebody"):
        """Plain boto3, as somebody else than driftd."""
        return boto3.client(
            service,
            region_name="eu-central-1",
            endpoint_url=self.url,
            aws_access_key_id=who,
            aws_secret_access_key="secret",
        )

    def _balanced(self, network: str) -> str:
        made = self.elb.create_target_group(
            Name="web", Protocol="HTTP", Port=8080, VpcId=network, TargetType="instance"
        )
        arn = made["TargetGroups"][0]["TargetGroupArn"]
        delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": str(DELAY_S)}]
        self.elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=delay)
        balancer = self.elb.create_load_balancer(Name="web", Subnets=self.subnets)["LoadBalancers"][0]
        self.elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
        )
        return arn

    def _balanced_the_old_way(self) -> None:
        """By a classic load balancer that is called ``web``."""
        listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 8080}
        self.old_elb.create_load_balancer(LoadBalancerName="web", Listeners=[listener], Subnets=self.subnets)
        draining = {"ConnectionDraining": {"Enabled": True, "Timeout": DELAY_S}}
        self.old_elb.modify_load_balancer_attributes(LoadBalancerName="web", LoadBalancerAttributes=draining)

    def scaled(self, most: int = 8) -> None:
        """An Auto Scaling group ``web`` with nobody in it and room for a few, behind the load balancer."""
        self.asg = self.client("autoscaling")
        self.asg.create_auto_scaling_group(
            AutoScalingGroupName="web",
            MinSize=0,
            MaxSize=most,
            DesiredCapacity=0,
            LaunchTemplate={"LaunchTemplateName": "web", "Version": "$Latest"},
            **({"LoadBalancerNames": ["web"]} if self.classic else {"TargetGroupARNs": [self.target_group]}),
            VPCZoneIdentifier=",".join(self.subnets),
        )

    def members(self) -> dict[str, str]:
        """The lifecycle states of the Auto Scaling group's members, by instance."""
        (group,) = self.asg.describe_auto_scaling_groups(AutoScalingGroupNames=["web"])["AutoScalingGroups"]
        return {one["InstanceId"]: one["LifecycleState"] for one in group["Instances"]}

    def desired(self) -> int:
        """How many the Auto Scaling group wants."""
        (group,) = self.asg.describe_auto_scaling_groups(AutoScalingGroupNames=["web"])["AutoScalingGroups"]
        return group["DesiredCapacity"]

    def credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """driftd's own, in the environment."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "driftd")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    def launched(self, number: int) -> list[str]:
        """As an operator has them: launched and registered by other means than driftd's; their ids."""
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "web"}]}]
        made = self.ec2.run_instances(
            LaunchTemplate={"LaunchTemplateName": "web"},
            ImageId=self.image,
            SubnetId=self.subnets[0],
            MinCount=number,
            MaxCount=number,
            TagSpecifications=tags,
        )
        ids = [one["InstanceId"] for one in made["Instances"]]
        self.ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig={"Delay": 1})
        if self.classic:
            these = [{"InstanceId": one} for one in ids]
            self.old_elb.register_instances_with_load_balancer(LoadBalancerName="web", Instances=these)
        else:
            self.elb.register_targets(TargetGroupArn=self.target_group, Targets=[{"Id": one} for one in ids])
        wait_until(lambda: self.healthy() == set(ids), "healthy targets", 60)
        return ids

    def healthy(self) -> set[str]:
        """Who gets requests."""
        if self.classic:
            told = self.old_elb.describe_instance_health(LoadBalancerName="web")["InstanceStates"]
            return {one["InstanceId"] for one in told if (one["State"], one["Description"]) == ("InService", "N/A")}
        found = self.elb.describe_target_health(TargetGroupArn=self.target_group)["TargetHealthDescriptions"]
        return {one["Target"]["Id"] for one in found if one["TargetHealth"]["State"] == "healthy"}

    def running(self) -> set[str]:
        """Who has not ended."""
        filters = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
        pages = self.ec2.describe_instances(Filters=filters)["Reservations"]
        return {one["InstanceId"] for page in pages for one in page["Instances"]}

    def options(self) -> dict[str, object]:
        deployment = self.behind.deployment
        group = {
            "image": self.image,
            "select": {"tag:role": "web"},
            "traffic": {"load_balancer" if self.classic else "target_group": "web"},
            "reach": {"ssh": {"user": "root", "key": str(deployment.key)}},
        }
        how = {"launch": {"template": "web", "subnets": self.subnets}}
        if self.asg is not None:
            how, group["select"] = {"auto_scaling_group": "web"}, {}
        settings = {"region": "eu-central-1", "endpoint": self.url, "groups": {"web": how}}
        return {"settings": settings, "groups": {"web": group}}


@contextmanager
def opened(golden: ImageInfo, images: Path, key: Path, *, volumes: int = 0, classic: bool = False) -> Iterator[Account]:
    """The account, and at the end nothing of it."""
    root = Path(tempfile.mkdtemp(prefix="da-"))
    deployment = LocalDeployment(root, images, golden, key)
    disks = {f"data-{number}": {"slot": f"web/{number}", "size_mb": 16} for number in range(volumes)}
    deployment.make(traffic=True, volumes=disks, stop_grace_s=3)
    behind = Behind(deployment)
    try:
        with ExitStack() as stack:
            emulator = Emulator("--matter", stack.enter_context(listening(behind)), "--settle", "0.2")
            stack.callback(emulator.close)
            account = Account(emulator.url, behind, volumes, classic=classic)
            account.emulator = emulator
            yield account
    finally:
        deployment.clean()
        shutil.rmtree(root)
