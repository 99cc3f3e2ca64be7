"""An emulator with a matter behind it, as the tests of commands, blocks, events and the trail use it."""

from __future__ import annotations

import boto3
from botocore.config import Config
from emulated import ONE_TRY

IMAGE = "ami-12c6146b"  # one of those that moto brings
REGION, ZONE = "eu-central-1", "eu-central-1a"


class Behind:
    """What the matter is asked and answers: `answers` has a function for each kind of question."""

    def __init__(self, matter):
        self.matter = matter

    def answer(self, do, function):
        self.matter.answers[do] = lambda said: (200, function(said))

    def away(self, do):
        self.matter.answers[do] = lambda said: (500, {"why": "gone"})

    def heard(self, do):
        return self.matter.said(do)


class Standing:
    """Clients with whatever credentials and region a test wants, and instances that run."""

    def __init__(self, matter, emulator):
        self.emulator, self.world, self.url = emulator, Behind(matter), emulator.url
        self.knobs, self.forward = emulator.knobs, emulator.forward

    def client(self, service, key="AKIAIOSFODNN7EXAMPLE", region=REGION, token=None):
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=key,
            aws_secret_access_key="not-secret",
            aws_session_token=token,
            config=Config(retries=ONE_TRY, read_timeout=30),
        )

    def launch(self, count=1, **more):
        ec2 = self.client("ec2")
        made = ec2.run_instances(**{"ImageId": IMAGE, "MinCount": count, "MaxCount": count, **more})["Instances"]
        ids = [one["InstanceId"] for one in made]
        ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        return ids
