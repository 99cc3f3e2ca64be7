"""The emulator as a process, plain boto3 before it, and a matter of the tests' own behind it."""

from __future__ import annotations

import contextlib
import http.server
import json
import subprocess
import threading
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-moto/bin/python"
EMULATOR = ROOT / "driftd/testing/aws/emulator"
REGION, ZONE, OTHER_ZONE, ACCOUNT = "us-east-1", "us-east-1a", "us-east-1b", "123456789012"
ONE_TRY = {"total_max_attempts": 1, "mode": "standard"}


class FakeMatter:
    """What stands behind the records: hears every order, and answers as a test tells it to."""

    def __init__(self):
        self.orders, self.answers = [], {}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.orders.append(said)
                answer = outer.answers.get(said["do"])
                status, found = answer(said) if answer else (200, {"healthy": True})
                body = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def said(self, do):
        return [one for one in self.orders if one["do"] == do]

    def forget(self):
        self.orders.clear()
        self.answers.clear()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Emulator:
    """One process; `reset` makes it as new."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [PYTHON, EMULATOR, "--listen", "127.0.0.1:0", "--account", ACCOUNT, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.clients = {}
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), "the emulator did not start"

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def control(self, what, said=None, verb=None):
        body = None if said is None else json.dumps(said).encode()
        request = urllib.request.Request(f"{self.url}/_driftd/{what}", body, method=verb)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=20) as answer:
            return json.loads(answer.read())

    def knobs(self, **said):
        return self.control("knobs", said)

    def forward(self, seconds):
        return self.control("clock", {"forward": seconds})

    def fault(self, operation, kind, times=1):
        return self.control("faults", {"operation": operation, "kind": kind, "times": times})

    def calls(self):
        return self.control("calls")

    def forget_calls(self):
        self.control("calls", verb="DELETE")

    def reset(self):
        self.control("reset", {})

    def client(self, service, **settings):
        """A plain client, which tries once unless it is told otherwise."""
        if settings:
            return self._client(service, **settings)
        if service not in self.clients:
            self.clients[service] = self._client(service)
        return self.clients[service]

    def _client(self, service, **settings):
        settings.setdefault("retries", ONE_TRY)
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="secret",
            config=Config(read_timeout=30, **settings),
        )


class Cloud:
    """Clients, and the little that most tests need: an image, subnets in two zones, instances."""

    def __init__(self, emulator):
        self.emulator = emulator
        self.ec2, self.elb, self.asg = (emulator.client(one) for one in ("ec2", "elbv2", "autoscaling"))
        self.image = self.ec2.register_image(Name="web", RootDeviceName="/dev/sda1")["ImageId"]
        subnets = self.ec2.describe_subnets()["Subnets"]
        self.subnets = {one["AvailabilityZone"]: one["SubnetId"] for one in subnets}
        self.vpc = subnets[0]["VpcId"]

    def run(self, count=1, **said):
        said.setdefault("ImageId", self.image)
        said.setdefault("InstanceType", "t3.micro")
        if not said.keys() & {"NetworkInterfaces", "LaunchTemplate", "SubnetId"}:
            said["SubnetId"] = self.subnets[ZONE]
        made = self.ec2.run_instances(MinCount=count, MaxCount=count, **said)["Instances"]
        return [one["InstanceId"] for one in made]

    def instance(self, ident):
        return self.ec2.describe_instances(InstanceIds=[ident])["Reservations"][0]["Instances"][0]

    def state(self, ident):
        return self.instance(ident)["State"]["Name"]

    def volume(self, ident):
        return self.ec2.describe_volumes(VolumeIds=[ident])["Volumes"][0]

    def group(self, name="web", *, listener=True, delay=30):
        """A target group, used by a load balancer unless it is told not to be."""
        arn = self.elb.create_target_group(Name=name, Protocol="HTTP", Port=8080, VpcId=self.vpc, TargetType="instance")
        arn = arn["TargetGroups"][0]["TargetGroupArn"]
        self.elb.modify_target_group_attributes(
            TargetGroupArn=arn, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(delay)}]
        )
        if listener:
            made = self.elb.create_load_balancer(Name=f"lb-{name}", Subnets=list(self.subnets.values())[:2])
            self.elb.create_listener(
                LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"],
                Protocol="HTTP",
                Port=80,
                DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
            )
        return arn

    def health(self, arn, *targets):
        """What is said of each target: its state and the reason code."""
        asked = {"Targets": [{"Id": one} for one in targets]} if targets else {}
        found = self.elb.describe_target_health(TargetGroupArn=arn, **asked)["TargetHealthDescriptions"]
        return {one["Target"]["Id"]: (one["TargetHealth"]["State"], one["TargetHealth"].get("Reason")) for one in found}


@contextlib.contextmanager
def refused(code):
    with pytest.raises(ClientError) as caught:
        yield caught
    assert caught.value.response["Error"]["Code"] == code, caught.value
