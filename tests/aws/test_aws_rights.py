"""Whether driftd's credentials may do what it needs: tried at the emulator, and nothing is changed by it."""

import json
import subprocess
import sys
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from emulated import ACCOUNT

from driftd.core.errors import Refused, Unavailable
from driftd.edges.providers.aws import permissions, trials
from driftd.edges.providers.aws.cloud import Cloud, action_of
from driftd.edges.providers.aws.names import TAG_DEPLOYMENT, TAG_SLOT
from driftd.edges.providers.aws.provider import create
from driftd.edges.providers.aws.settings import AwsSettings
from driftd.edges.providers.aws.trials import Subject

REGION = "us-east-1"


class Place:
    """A group behind a target group, and one that is an Auto Scaling group, with a volume and an address."""

    def __init__(self, cloud, **settings):
        self.cloud, self.emulator = cloud, cloud.emulator
        self.settings = {"region": REGION, "endpoint": cloud.emulator.url, "host_keys": "known_hosts", **settings}
        cloud.group("web")
        cloud.run(2, TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "web"}]}])
        cloud.ec2.create_launch_template(
            LaunchTemplateName="api", LaunchTemplateData={"ImageId": cloud.image, "InstanceType": "t3.micro"}
        )
        cloud.asg.create_auto_scaling_group(
            AutoScalingGroupName="api",
            LaunchTemplate={"LaunchTemplateName": "api", "Version": "$Latest"},
            MinSize=1,
            MaxSize=3,
            DesiredCapacity=1,
            VPCZoneIdentifier=next(iter(cloud.subnets.values())),
        )

    def own(self):
        tags = [{"Key": TAG_DEPLOYMENT, "Value": "driftd"}, {"Key": TAG_SLOT, "Value": "web/0"}]
        volume = [{"ResourceType": "volume", "Tags": tags}]
        self.cloud.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=volume)
        address = [{"ResourceType": "elastic-ip", "Tags": tags}]
        self.cloud.ec2.allocate_address(Domain="vpc", TagSpecifications=address)

    def rights(self, group="web", *, changing=True, reach=None, out_of_band=False):
        web = {"select": {"tag:role": "web"}, "traffic": {"target_group": "web"}, "reach": reach or {}}
        web["out_of_band"] = out_of_band
        groups = {"web": web, "api": {}}
        settings = {**self.settings, "groups": {"api": {"auto_scaling_group": "api"}}}
        provider = create({"settings": settings, "groups": groups})
        try:
            return provider.rights(group, changing=changing)
        finally:
            provider.close()

    def world(self):
        """All that a call could have changed."""
        asked = (
            (self.cloud.ec2, ("instances", "volumes", "addresses", "snapshots", "security_groups", "tags")),
            (self.cloud.asg, ("auto_scaling_groups", "scaling_activities")),
            (self.cloud.elb, ("target_groups",)),
        )
        found = {what: getattr(client, f"describe_{what}")() for client, whats in asked for what in whats}
        return json.dumps([{**one, "ResponseMetadata": None} for one in found.values()], default=str, sort_keys=True)


@pytest.fixture
def place(cloud, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "driftd")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    iam = cloud.emulator.client("iam")
    iam.create_user(UserName="driftd")
    key = iam.create_access_key(UserName="driftd")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    return Place(cloud)


def test_there_is_a_way_to_know_of_every_call_in_the_policy():
    whole = Subject(
        raw={"InstanceId": "i-1", "NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "OwnerId": "1"}]},
        volume="vol-1",
        address={"AllocationId": "a"},
        interface={"NetworkInterfaceId": "eni-2"},
        scaling_arn="arn",
        target_group="arn",
        classic="web",
        zone="Z1",
        bucket="arn",
        disks=True,
    )
    asked = [*trials.asked(whole), *trials.looking(whole), *trials.looking(replace(whole, pushed="admin", queue="arn"))]
    known = {*trials.reading(whole), *trials.changing(whole)}.union(*(one.calls for one in asked))
    assert known | set(permissions.CHECK) == set().union(*permissions.MODES.values())
    assert set(trials.reading(whole)) == set(permissions.READ)


def allows(document, question, action):
    """Whether a policy document permits it, as far as its statements have conditions of these kinds."""
    for one in document["Statement"]:
        resources = [one["Resource"]] if isinstance(one["Resource"], str) else one["Resource"]
        conditions = [pair for kind in one.get("Condition", {}).values() for pair in kind.items()]
        if (
            action in one["Action"]
            and any(fnmatchcase(question.resource, pattern) for pattern in resources)
            and all(fnmatchcase(question.context.get(key, ""), value or "-") for key, value in conditions)
            and all(question.context.get(key) for key, _ in conditions)
        ):
            return True
    return False


@pytest.mark.parametrize(
    ("mode", "subject"),
    [
        ("out-of-band", Subject(disks=True, region=REGION)),
        ("out-of-band", Subject(disks=True, region=REGION, raw={"InstanceId": "i-1"})),
        ("hear-by-sqs", Subject(queue="QUEUE_ARN", region=REGION)),
        ("look-by-ssm", Subject(bucket="BUCKET/PREFIX/*", region=REGION)),
        ("look-by-instance-connect", Subject(pushed="OSUSER", region=REGION)),
    ],
)
def test_who_has_the_shipped_policy_is_told_of_no_right_that_is_missing(mode, subject):
    document = json.loads((Path(__file__).parents[2] / "docs" / "aws" / f"{mode}.json").read_text())
    questions = trials.looking(subject)
    assert {call for one in questions for call in one.calls} == set(permissions.MODES[mode])
    refused = [(action_of(*call), one) for one in questions for call in one.calls]
    assert [each for each in refused if not allows(document, each[1], each[0])] == []


def test_iam_is_asked_with_what_the_conditions_of_the_policy_look_at(place, monkeypatch):
    plain, sent = Cloud.pages, []

    def pages(self, service, operation, what, **more):
        if operation == "simulate_principal_policy":
            context = {one["ContextKeyName"]: one["ContextKeyValues"] for one in more["ContextEntries"]}
            sent.extend((name, *more["ResourceArns"], context) for name in more["ActionNames"])
        return plain(self, service, operation, what, **more)

    monkeypatch.setattr(Cloud, "pages", pages)
    found = place.rights(changing=False, out_of_band=True)
    assert (found.missing, found.unknown) == ((), ())
    snapshots = f"arn:aws:ec2:{REGION}::snapshot/*"
    assert ("ebs:GetSnapshotBlock", snapshots, {}) in sent
    assert ("ec2:CreateTags", snapshots, {"ec2:CreateAction": ["CreateSnapshot"]}) in sent
    ((where, context),) = [(where, context) for name, where, context in sent if name == "ec2:DeleteSnapshot"]
    assert (where, list(context)) == (snapshots, ["aws:ResourceTag/driftd:read"])
    assert {where for name, where, _ in sent if name in {"ec2:CreateSnapshot", "ec2:DescribeImages"}} == {"*"}


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_what_is_asked_of_is_in_the_regions_partition(region, partition):
    queue = f"https://sqs.{region}.amazonaws.com/{ACCOUNT}/who"
    settings = AwsSettings(region=region, events={"queue": queue})
    raw = {"InstanceId": "i-1", "NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "OwnerId": ACCOUNT}]}
    whole = Subject(raw=raw, disks=True, pushed="admin", bucket="looks/*", classic="c", zone="Z1", region=region)
    asked = [*trials.looking(replace(whole, queue=settings.queue_arn)), *trials.asked(whole)]
    resources = {one.resource for one in asked} - {"*"}
    assert len(resources) == 8
    assert {one.split(":")[1] for one in resources} == {partition}


def test_what_changes_something_is_never_tried_where_there_is_no_dry_run():
    cloud = Cloud(AwsSettings(region=REGION))
    with pytest.raises(ValueError, match="no dry run"):
        cloud.try_out("autoscaling", "enter_standby", {"AutoScalingGroupName": "x"})


def test_where_a_dry_run_is_not_taken_for_one_nothing_that_changes_something_is_tried(place, monkeypatch):
    plain, sent = Cloud._call, []

    def deaf(self, service, operation, parameters, *, once):
        sent.append(operation)
        heard = {key: value for key, value in parameters.items() if key != "DryRun"}
        return plain(self, service, operation, heard, once=once)

    monkeypatch.setattr(Cloud, "_call", deaf)
    with pytest.raises(Refused, match="a dry run was not taken for one"):
        place.rights("web")
    assert not {operation for _, operation in permissions.CHANGE} & set(sent)


def test_all_that_is_needed_is_there_and_nothing_was_changed(place):
    place.own()
    before = place.world()
    for group in ("web", "api"):
        found = place.rights(group)
        assert (found.missing, found.unknown, found.unknown_why) == ((), (), "")
        assert {"ec2:RunInstances", "ec2:AttachVolume", "ec2:TerminateInstances"} <= set(found.held)
    assert place.world() == before
    assert "autoscaling:EnterStandby" in place.rights("api").held
    assert "elasticloadbalancing:DeregisterTargets" in place.rights("web").held


def test_what_a_group_does_not_have_needs_no_right(place):
    place.emulator.knobs(denied=["ec2:AttachVolume", "ec2:AssociateAddress", "autoscaling:EnterStandby"])
    assert place.rights("web").missing == ()
    place.own()
    assert place.rights("web").missing == ("ec2:AssociateAddress", "ec2:AttachVolume")
    assert "autoscaling:EnterStandby" in place.rights("api").missing


def test_whoever_only_observes_needs_no_right_to_change(place):
    changing = {action_of(*call) for call in (*permissions.CHANGE, *permissions.CHECK)}
    place.emulator.knobs(denied=sorted(changing))
    found = place.rights(changing=False)
    assert (found.missing, found.unknown) == ((), ())
    assert not changing & set(found.held)


def test_the_rights_that_are_missing_are_named_with_the_statement_that_gives_them(place):
    lacking = [
        "ec2:RunInstances",
        "ec2:TerminateInstances",
        "elasticloadbalancing:RegisterTargets",
        "ssm:DescribeSessions",
    ]
    place.emulator.knobs(denied=lacking)
    found = place.rights()
    assert list(found.missing) == lacking
    statement = json.loads(found.missing_hint.partition("policy: ")[2])
    assert statement == {"Effect": "Allow", "Action": lacking, "Resource": "*"}


def test_looks_by_run_command_need_rights_of_their_own(place):
    lacking = ["s3:GetObject", "ssm:SendCommand"]
    place.emulator.knobs(denied=lacking)
    assert place.rights(changing=False).missing == ()
    found = place.rights(changing=False, reach={"ssm": {"bucket": "looks", "prefix": "driftd"}})
    assert list(found.missing) == lacking
    assert {"s3:DeleteObject", "ssm:GetCommandInvocation"} <= set(found.held)


def test_looks_by_pushed_keys_need_a_right_of_their_own(place):
    action = "ec2-instance-connect:SendSSHPublicKey"
    reach = {"ssh": {"user": "admin", "instance_connect": True}}
    assert action in place.rights(changing=False, reach=reach).held
    place.emulator.knobs(denied=[action])
    assert place.rights(changing=False).missing == ()
    assert place.rights(changing=False, reach=reach).missing == (action,)


def test_a_queue_that_tells_of_sessions_needs_rights_of_its_own(place):
    lacking = ["sqs:DeleteMessage", "sqs:ReceiveMessage"]
    place.emulator.knobs(denied=lacking)
    assert place.rights(changing=False).missing == ()
    place.settings["events"] = {"queue": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/who"}
    assert list(place.rights(changing=False).missing) == lacking


def test_where_iam_may_not_be_asked_what_knows_no_dry_run_is_unknown(place):
    place.emulator.knobs(denied=["iam:SimulatePrincipalPolicy"])
    found = place.rights("web")
    assert found.missing == ()
    assert {"elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:RegisterTargets"} <= set(found.unknown)
    assert "IAM does not say" in found.unknown_why
    assert "iam:SimulatePrincipalPolicy" in found.unknown_hint


def test_a_role_is_asked_about_by_its_own_name(place):
    iam = place.emulator.client("iam")
    iam.create_role(RoleName="driftd", Path="/ops/", AssumeRolePolicyDocument="{}")
    place.settings["role"] = f"arn:aws:iam::{ACCOUNT}:role/ops/driftd"
    found = place.rights("web")
    assert (found.missing, found.unknown) == ((), ()), found.unknown_why


def test_an_answer_that_says_nothing_of_rights_leaves_them_unknown(place):
    place.emulator.fault("StopInstances", "500")
    found = place.rights("web")
    assert (found.missing, found.unknown) == ((), ("ec2:StopInstances",))


def test_nothing_is_known_where_the_instances_cannot_be_listed(place):
    place.emulator.fault("DescribeInstances", "500", times=9)
    with pytest.raises(Unavailable):
        place.rights("web")


DEPLOYED = """\
store: sqlite:///driftd.db
manifests: .
trust: {{unsigned: look}}
metrics: {{listen: "127.0.0.1:0"}}
providers: {{aws: {{region: {region}, endpoint: "{url}", host_keys: known_hosts}}}}
groups:
  web:
    provider: aws
    image: {image}
    select: {{"tag:role": web}}
    traffic: {{target_group: web}}
    enforce: {enforce}
"""


def doctor(place, home, enforce):
    """What ``driftd doctor`` says of the rights: its marks and sentences."""
    said = DEPLOYED.format(region=REGION, url=place.emulator.url, image=place.cloud.image, enforce=enforce)
    (home / "driftd.yaml").write_text(said)
    command = [sys.executable, "-m", "driftd", "--config", str(home / "driftd.yaml"), "doctor", "--no-login", "--json"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    points = json.loads(found.stdout)["points"]
    return [(one["mark"], one["says"], one["hint"]) for one in points if one["area"] == "rights"]


def test_the_doctor_tells_rights_that_are_missing_before_they_are_needed(place, tmp_path):
    place.emulator.knobs(denied=["ec2:TerminateInstances"])
    ((mark, says, hint),) = doctor(place, tmp_path, "replace")
    assert mark == "wrong"
    assert "ec2:TerminateInstances" in says
    assert json.dumps({"Effect": "Allow", "Action": "ec2:TerminateInstances", "Resource": "*"}) in hint
    ((mark, says, _),) = doctor(place, tmp_path, "observe")
    assert (mark, "every right" in says) == ("good", True)
    place.emulator.knobs(denied=["iam:SimulatePrincipalPolicy"])
    ((mark, says, hint),) = doctor(place, tmp_path, "replace")
    assert (mark, "could not be tried" in says, "iam:GetRole" in hint) == ("note", True, True), says
