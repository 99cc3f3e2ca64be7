"""The demo's stage on AWS's API: the emulator, real servers behind its records, and an operator with boto3.

Nothing of it goes to AWS: the endpoint is the emulator's, and so are the credentials.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3

from driftd.edges.providers.local import image as images
from driftd.edges.stage import moto, running
from driftd.wiring.stage.base import SERVERS, FleetStage
from driftd.wiring.stage.cloud import REQUIREMENTS, url_file
from driftd.wiring.stage.places import CLOUD, wait
from driftd.wiring.stage.texts import AWS_CONFIG

REGION, ZONE = "eu-central-1", "eu-central-1a"
DRAIN_S = 3  # the target group's deregistration delay
NAME = "web"
DRIFTD = {"AWS_ACCESS_KEY_ID": "driftd", "AWS_SECRET_ACCESS_KEY": "emulated"}
# A person's own profile, region or session has no say here.
_PRIVATE = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE")
_NO_FILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


def emulator(say: Callable[[str], None]) -> Path:
    """The emulator's Python, fetched when it is not there."""
    return moto.ensure(images.default_cache().with_name("moto"), REQUIREMENTS, say)


class AwsStage(FleetStage):
    """Three instances of EC2 behind a target group, as the emulator has them."""

    template = AWS_CONFIG
    environment = DRIFTD
    _beside: running.Running | None = None

    def clean(self) -> list[str]:
        if self._beside is not None:
            self._beside.stop()
        return super().clean()

    def _open(self, golden: images.ImageInfo, say: Callable[[str], None]) -> None:
        """Start the emulator, and make there what an operator of AWS has before driftd comes."""
        python = emulator(say)
        for name in _PRIVATE:
            os.environ.pop(name, None)
        os.environ.update({**DRIFTD, **_NO_FILES, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"})
        self._url = self._cloud(golden, python)
        ec2 = self._operator("ec2")
        self._image_id = ec2.register_image(Name=golden.id, RootDeviceName="/dev/xvda")["ImageId"]
        network = ec2.create_vpc(CidrBlock="10.213.0.0/16")["Vpc"]["VpcId"]
        self._subnets = [
            ec2.create_subnet(VpcId=network, CidrBlock=block, AvailabilityZone=ZONE)["Subnet"]["SubnetId"]
            for block in ("10.213.1.0/24", "10.213.2.0/24")
        ]
        data = {"InstanceType": "t3.small", "ImageId": self._image_id}
        ec2.create_launch_template(LaunchTemplateName=NAME, LaunchTemplateData=data)
        self._target_group = self._balanced(network)

    def _cloud(self, golden: images.ImageInfo, python: Path) -> str:
        """Start it; its URL."""
        settings = self._home / f"{CLOUD}.json"
        options = {
            "settings": {
                "dir": str(self._home / "fleet"),
                "images": str(self._images),
                "authorized_keys": [self._public()],
            },
            "groups": {
                NAME: {
                    "image": golden.id,
                    "reach": {"ssh": {"user": "root", "key": str(self._home / "keys" / "driftd")}},
                    "traffic": {"listen": self._listen},
                }
            },
        }
        said = {"python": str(python), "image": golden.id, "options": options}
        settings.write_text(json.dumps(said), encoding="utf-8")
        words = [sys.executable, "-m", "driftd.wiring.stage.cloud", str(settings)]
        self._beside = cloud = running.Running(words, self._home / f"{CLOUD}.log", self._home / f"{CLOUD}.pid")
        file = url_file(settings)
        wait(lambda: file.exists() or bool(cloud.ended()), 60, "the emulator of AWS answers")
        cloud.check()
        return file.read_text(encoding="ascii")

    def _operator(self, service: str) -> Any:
        """A client of somebody's who is not driftd."""
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self._url,
            aws_access_key_id="operator",
            aws_secret_access_key="emulated",  # noqa: S106  # the emulator takes any
        )

    def _balanced(self, network: str) -> str:
        """A load balancer that sends to a target group, as new; the group's ARN."""
        elb = self._operator("elbv2")
        made = elb.create_target_group(Name=NAME, Protocol="HTTP", Port=8080, VpcId=network, TargetType="instance")
        arn: str = made["TargetGroups"][0]["TargetGroupArn"]
        delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": str(DRAIN_S)}]
        elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=delay)
        balancer = elb.create_load_balancer(Name=NAME, Subnets=self._subnets)["LoadBalancers"][0]
        forward = [{"Type": "forward", "TargetGroupArn": arn}]
        elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=forward
        )
        return arn

    def _values(self) -> Mapping[str, object]:
        return {**super()._values(), "region": REGION, "url": self._url, "subnet": self._subnets[0]}

    def launch(self) -> str:
        began = time.monotonic()
        made = self._operator("ec2").run_instances(
            LaunchTemplate={"LaunchTemplateName": NAME},
            SubnetId=self._subnets[0],
            MinCount=SERVERS,
            MaxCount=SERVERS,
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": NAME}]}],
        )
        ids = {one["InstanceId"] for one in made["Instances"]}
        elb = self._operator("elbv2")
        wait(lambda: self._running() == ids, 60, f"{SERVERS} instances running")
        elb.register_targets(TargetGroupArn=self._target_group, Targets=[{"Id": one} for one in sorted(ids)])
        wait(lambda: self._healthy() == ids, 60, f"{SERVERS} targets healthy")
        there = ", ".join(f"{one.id} {one.address}" for one in self._instances())
        took = time.monotonic() - began
        return (
            f"RunInstances and RegisterTargets, by an operator: {there}; healthy after {took:.1f} s\n"
            f"EC2 and its load balancer are an emulator's at {self._url} (moto), not AWS: behind each record is\n"
            f"a real server of this machine, and behind the target group HAProxy on {self._listen}"
        )

    def _running(self) -> set[str]:
        filters = [{"Name": "instance-state-name", "Values": ["running"]}]
        found = self._operator("ec2").describe_instances(Filters=filters)["Reservations"]
        return {one["InstanceId"] for many in found for one in many["Instances"]}

    def _healthy(self) -> set[str]:
        found = self._operator("elbv2").describe_target_health(TargetGroupArn=self._target_group)
        states = found["TargetHealthDescriptions"]
        return {one["Target"]["Id"] for one in states if one["TargetHealth"]["State"] == "healthy"}
