"""Instances: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html"""

import base64

import pytest
from emulated import OTHER_ZONE, ZONE, refused

API = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/"
MISSING = "ami-0123456789abcdef0"


def ids(page):
    return [one["InstanceId"] for each in page["Reservations"] for one in each["Instances"]]


def test_every_change_takes_its_time(cloud, emulator):
    emulator.knobs(settle=60)
    (one,) = cloud.run()
    assert cloud.state(one) == "pending"
    emulator.forward(61)
    assert cloud.state(one) == "running"
    for call, during, after in (
        (cloud.ec2.stop_instances, "stopping", "stopped"),
        (cloud.ec2.start_instances, "pending", "running"),
        (cloud.ec2.terminate_instances, "shutting-down", "terminated"),
    ):
        call(InstanceIds=[one])
        assert cloud.state(one) == during
        emulator.forward(61)
        assert cloud.state(one) == after


def test_without_the_knob_an_answer_says_on_its_way_and_the_next_look_says_there(cloud):
    (one,) = cloud.run()
    assert cloud.state(one) == "running"
    said = cloud.ec2.stop_instances(InstanceIds=[one])["StoppingInstances"][0]
    assert (said["PreviousState"]["Name"], said["CurrentState"]["Name"]) == ("running", "stopping")
    assert cloud.state(one) == "stopped"


def test_what_is_on_its_way_takes_no_other_way_but_the_end(cloud, emulator):
    """IncorrectInstanceState: errors-overview.html"""
    emulator.knobs(settle=60)
    (one,) = cloud.run()
    with refused("IncorrectInstanceState"):
        cloud.ec2.stop_instances(InstanceIds=[one])
    emulator.forward(61)
    cloud.ec2.stop_instances(InstanceIds=[one])
    with refused("IncorrectInstanceState"):
        cloud.ec2.start_instances(InstanceIds=[one])
    cloud.ec2.terminate_instances(InstanceIds=[one])
    with refused("IncorrectInstanceState"):
        cloud.ec2.start_instances(InstanceIds=[one])
    emulator.forward(61)
    with refused("IncorrectInstanceState"):
        cloud.ec2.stop_instances(InstanceIds=[one])
    again = cloud.ec2.terminate_instances(InstanceIds=[one])["TerminatingInstances"][0]
    assert again["CurrentState"]["Name"] == again["PreviousState"]["Name"] == "terminated"


def test_an_ended_instance_is_listed_for_about_an_hour(cloud, emulator):
    """API_TerminateInstances.html: terminated instances remain visible for approximately one hour."""
    first, second = cloud.run(count=2)
    cloud.ec2.terminate_instances(InstanceIds=[first])
    emulator.forward(3000)
    assert cloud.state(first) == "terminated"
    emulator.forward(700)
    with refused("InvalidInstanceID.NotFound"):
        cloud.instance(first)
    assert ids(cloud.ec2.describe_instances()) == [second]


def test_an_ended_instance_has_no_address_and_its_address_is_free(cloud):
    (one,) = cloud.run(PrivateIpAddress="172.31.0.50")
    with refused("InvalidIPAddress.InUse"):
        cloud.run(PrivateIpAddress="172.31.0.50")
    cloud.ec2.stop_instances(InstanceIds=[one])
    with refused("InvalidIPAddress.InUse"):
        cloud.run(PrivateIpAddress="172.31.0.50")
    cloud.ec2.terminate_instances(InstanceIds=[one])
    assert "PrivateIpAddress" not in cloud.instance(one)
    (two,) = cloud.run(PrivateIpAddress="172.31.0.50")
    assert cloud.instance(two)["PrivateIpAddress"] == "172.31.0.50"
    with refused("InvalidParameterValue"):
        cloud.run(PrivateIpAddress="10.9.9.9")


def test_a_private_address_is_kept_over_stop_and_start(cloud):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Stop_Start.html"""
    (one,) = cloud.run()
    before = cloud.instance(one)["PrivateIpAddress"]
    cloud.ec2.stop_instances(InstanceIds=[one])
    assert cloud.instance(one)["PrivateIpAddress"] == before
    cloud.ec2.start_instances(InstanceIds=[one])
    assert cloud.instance(one)["PrivateIpAddress"] == before


def test_images_that_are_not_there_are_refused_each_in_its_way(cloud):
    """errors-overview.html: InvalidAMIID.NotFound, InvalidAMIID.Unavailable, InvalidAMIID.Malformed"""
    for image, code in ((MISSING, "NotFound"), ("nonsense", "Malformed")):
        with refused(f"InvalidAMIID.{code}"):
            cloud.run(ImageId=image)
    cloud.ec2.deregister_image(ImageId=cloud.image)
    with refused("InvalidAMIID.Unavailable"):
        cloud.run()


def test_a_dry_run_says_what_the_run_would_say_and_does_nothing(cloud):
    """API_RunInstances.html: DryRunOperation where it would have succeeded, else the error."""
    with refused("DryRunOperation"):
        cloud.run(DryRun=True)
    with refused("InvalidAMIID.NotFound"):
        cloud.run(DryRun=True, ImageId=MISSING)
    with refused("InvalidGroup.NotFound"):
        cloud.run(DryRun=True, SecurityGroupIds=["sg-0123456789abcdef0"])
    with refused("InvalidKeyPair.NotFound"):
        cloud.run(DryRun=True, KeyName="nobodys")
    with refused("DryRunOperation"):
        cloud.ec2.terminate_instances(InstanceIds=cloud.run(), DryRun=True)
    assert [cloud.state(one) for one in ids(cloud.ec2.describe_instances())] == ["running"]


def test_pages_count_instances_and_not_reservations(cloud):
    """API_DescribeInstances.html: MaxResults from 5 to 1000"""
    made = cloud.run(count=12)
    pages = [
        len(ids(one))
        for one in cloud.ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5})
    ]
    assert pages == [5, 5, 2]
    assert sorted(ids(cloud.ec2.describe_instances())) == sorted(made)
    for wrong in (4, 1001):
        with refused("InvalidParameterValue"):
            cloud.ec2.describe_instances(MaxResults=wrong)
    with refused("InvalidParameterCombination"):
        cloud.ec2.describe_instances(InstanceIds=made[:1], MaxResults=5)
    with refused("InvalidNextToken"):
        cloud.ec2.describe_instances(MaxResults=5, NextToken="bm8gd2F5")


def test_an_instance_is_found_by_its_token_its_addresses_and_its_volumes(cloud):
    """API_DescribeInstances.html, Filters"""
    (one,), (_,) = cloud.run(ClientToken="one", PrivateIpAddress="172.31.0.60"), cloud.run(ClientToken="two")
    volume = cloud.instance(one)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    for name, value in (
        ("client-token", "one"),
        ("client-token", "on*"),
        ("network-interface.addresses.private-ip-address", "172.31.0.60"),
        ("private-ip-address", "172.31.0.60"),
        ("block-device-mapping.volume-id", volume),
    ):
        assert ids(cloud.ec2.describe_instances(Filters=[{"Name": name, "Values": [value]}])) == [one], name
    said = [{"Name": "client-token", "Values": ["one"]}, {"Name": "instance-state-name", "Values": ["stopped"]}]
    assert ids(cloud.ec2.describe_instances(Filters=said)) == []


def test_what_happens_at_a_shutdown_from_inside_can_be_said_and_takes_no_group_away(cloud):
    (one,) = cloud.run()
    before = cloud.instance(one)["SecurityGroups"]
    cloud.ec2.modify_instance_attribute(InstanceId=one, InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    said = cloud.ec2.describe_instance_attribute(InstanceId=one, Attribute="instanceInitiatedShutdownBehavior")
    assert said["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    assert cloud.instance(one)["SecurityGroups"] == before


def test_what_was_just_launched_may_not_be_listed_yet(cloud, emulator):
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    emulator.knobs(lag=30)
    (one,) = cloud.run(TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}])
    assert ids(cloud.ec2.describe_instances(Filters=[{"Name": "tag:a", "Values": ["b"]}])) == []
    for ask in (cloud.ec2.describe_instances, cloud.ec2.describe_instance_status):
        with refused("InvalidInstanceID.NotFound"):
            ask(InstanceIds=[one])
    assert cloud.ec2.describe_instance_status()["InstanceStatuses"] == []
    emulator.forward(31)
    assert ids(cloud.ec2.describe_instances(Filters=[{"Name": "tag:a", "Values": ["b"]}])) == [one]


def test_a_protected_instance_saves_those_named_with_it_in_its_zone(cloud):
    """API_TerminateInstances.html"""
    safe, neighbour = cloud.run(), cloud.run()
    afar = cloud.run(SubnetId=cloud.subnets[OTHER_ZONE])
    cloud.ec2.modify_instance_attribute(InstanceId=safe[0], DisableApiTermination={"Value": True})
    with refused("OperationNotPermitted"):
        cloud.ec2.terminate_instances(InstanceIds=[*neighbour, *safe, *afar])
    assert [cloud.state(one) for one in (*neighbour, *safe, *afar)] == ["running", "running", "terminated"]


def test_an_unknown_instance_among_others_ends_none(cloud):
    (one,) = cloud.run()
    with refused("InvalidInstanceID.NotFound"):
        cloud.ec2.terminate_instances(InstanceIds=[one, "i-0123456789abcdef0"])
    assert cloud.state(one) == "running"


def test_templates_give_what_a_launch_does_not_say(cloud):
    """API_RunInstances.html and API_CreateLaunchTemplateVersion.html, SourceVersion"""
    secret = base64.b64encode(b"#!/bin/sh").decode()
    cloud.ec2.create_launch_template(
        LaunchTemplateName="web",
        LaunchTemplateData={"ImageId": cloud.image, "InstanceType": "m5.large", "UserData": secret},
    )
    made = cloud.ec2.create_launch_template_version(
        LaunchTemplateName="web", SourceVersion="1", LaunchTemplateData={"InstanceType": "m5.xlarge"}
    )["LaunchTemplateVersion"]
    assert made["LaunchTemplateData"]["UserData"] == secret
    (one,) = cloud.run(LaunchTemplate={"LaunchTemplateName": "web", "Version": "2"}, ImageId=cloud.image)
    assert cloud.instance(one)["InstanceType"] == "t3.micro"
    made = cloud.ec2.run_instances(
        LaunchTemplate={"LaunchTemplateName": "web", "Version": "$Latest"}, MinCount=1, MaxCount=1
    )["Instances"][0]
    assert (made["InstanceType"], made["ImageId"]) == ("m5.xlarge", cloud.image)
    data = cloud.ec2.describe_instance_attribute(InstanceId=made["InstanceId"], Attribute="userData")
    assert data["UserData"]["Value"] == secret


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"LaunchTemplateName": "web", "Version": "7"}, "InvalidLaunchTemplateId.VersionNotFound"),
        ({"LaunchTemplateName": "web", "Version": "0"}, "InvalidLaunchTemplateId.VersionNotFound"),
        ({"LaunchTemplateName": "none"}, "InvalidLaunchTemplateName.NotFoundException"),
        ({"LaunchTemplateId": "lt-0123456789abcdef0"}, "InvalidLaunchTemplateId.NotFound"),
    ],
)
def test_templates_that_are_not_there_are_refused(cloud, said, code):
    """errors-overview.html"""
    cloud.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": cloud.image})
    with refused(code):
        cloud.run(LaunchTemplate=said)


def test_the_matter_hears_of_every_step_of_a_life(matter, backed):
    group = backed.ec2.create_security_group(GroupName="web", Description="web", VpcId=backed.vpc)["GroupId"]
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "driftd:slot", "Value": "web/1"}]}]
    (one,) = backed.run(PrivateIpAddress="172.31.0.77", TagSpecifications=tags, SecurityGroupIds=[group], UserData="hi")
    (said,) = matter.said("launch")
    assert said["user_data"] == base64.b64encode(b"hi").decode()
    assert {name: said[name] for name in ("id", "image", "address", "zone", "tags", "groups")} == {
        "id": one,
        "image": backed.image,
        "address": "172.31.0.77",
        "zone": ZONE,
        "tags": {"driftd:slot": "web/1"},
        "groups": [group],
    }
    backed.ec2.stop_instances(InstanceIds=[one])
    backed.state(one)
    backed.ec2.start_instances(InstanceIds=[one])
    backed.state(one)
    backed.ec2.terminate_instances(InstanceIds=[one])
    assert [one["do"] for one in matter.orders] == ["launch", "stop", "start", "terminate"]


def test_where_the_matter_cannot_stop_it_the_instance_runs_on(matter, backed):
    (one,) = backed.run()
    matter.answers["stop"] = lambda _: (500, {"why": "hung"})
    with refused("InternalError"):
        backed.ec2.stop_instances(InstanceIds=[one])
    assert backed.state(one) == "running"
