"""Client tokens: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html"""

import threading

from emulated import ZONE, refused


def listed(cloud):
    found = cloud.ec2.describe_instances()["Reservations"]
    return {one["InstanceId"] for each in found for one in each["Instances"]}


def test_the_same_launch_with_the_same_token_is_one_launch(cloud):
    first = cloud.run(count=2, ClientToken="one")
    assert cloud.run(count=2, ClientToken="one") == first
    assert listed(cloud) == set(first)
    assert cloud.instance(first[0])["ClientToken"] == "one"


def test_another_launch_with_the_same_token_is_refused(cloud):
    (first,) = cloud.run(ClientToken="one")
    with refused("IdempotentParameterMismatch"):
        cloud.run(ClientToken="one", InstanceType="m5.large")
    assert listed(cloud) == {first}


def test_other_tokens_and_no_tokens_are_other_launches(cloud):
    made = [*cloud.run(ClientToken="one"), *cloud.run(ClientToken="two"), *cloud.run(), *cloud.run()]
    assert len(set(made)) == 4


def test_a_token_of_an_ended_instance_gives_the_ended_instance_for_a_day(cloud, emulator):
    """The page: a token is valid for at least 24 hours after the termination of the instance."""
    (first,) = cloud.run(ClientToken="one")
    cloud.ec2.terminate_instances(InstanceIds=[first])
    answer = cloud.ec2.run_instances(
        ImageId=cloud.image,
        InstanceType="t3.micro",
        SubnetId=cloud.subnets[ZONE],
        MinCount=1,
        MaxCount=1,
        ClientToken="one",
    )["Instances"][0]
    assert (answer["InstanceId"], answer["State"]["Name"]) == (first, "terminated")
    emulator.forward(2 * 3600)
    assert listed(cloud) == set()
    assert cloud.run(ClientToken="one") == [first]
    emulator.forward(24 * 3600)
    assert cloud.run(ClientToken="one") != [first]


def test_a_repeated_answer_tells_the_state_of_now(cloud, emulator):
    """The page: the only information that might vary in the response is the state of the instance."""
    said = {"ImageId": cloud.image, "MinCount": 1, "MaxCount": 1, "ClientToken": "one"}
    first = cloud.ec2.run_instances(**said)
    again = cloud.ec2.run_instances(**said)
    assert first["Instances"][0]["State"]["Name"] == "pending"
    assert again["Instances"][0]["State"]["Name"] == "running"
    assert again["ReservationId"] == first["ReservationId"]


def test_a_launch_that_failed_has_not_spent_its_token(cloud):
    with refused("InvalidAMIID.NotFound"):
        cloud.run(ClientToken="one", ImageId="ami-0123456789abcdef0")
    assert len(cloud.run(ClientToken="one")) == 1


def test_two_launches_with_one_token_at_the_same_time_are_one_launch(cloud):
    found = []
    threads = [threading.Thread(target=lambda: found.append(cloud.run(ClientToken="one"))) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 4
    assert len({one for (one,) in found}) == 1


def test_interfaces_and_copies_of_images_have_tokens_too(cloud):
    said = {"SubnetId": cloud.subnets[ZONE], "ClientToken": "one"}
    made = {cloud.ec2.create_network_interface(**said)["NetworkInterface"]["NetworkInterfaceId"] for _ in range(2)}
    assert len(made) == 1
    said = {"SourceImageId": cloud.image, "SourceRegion": "us-east-1", "Name": "copy", "ClientToken": "one"}
    assert len({cloud.ec2.copy_image(**said)["ImageId"] for _ in range(2)}) == 1


def test_volumes_and_templates_have_tokens_too(cloud):
    said = {"Size": 3, "AvailabilityZone": ZONE, "ClientToken": "one"}
    first = cloud.ec2.create_volume(**said)["VolumeId"]
    assert cloud.ec2.create_volume(**said)["VolumeId"] == first
    with refused("IdempotentParameterMismatch"):
        cloud.ec2.create_volume(**{**said, "Size": 4})
    said = {"LaunchTemplateName": "web", "LaunchTemplateData": {"ImageId": cloud.image}, "ClientToken": "one"}
    first = cloud.ec2.create_launch_template(**said)["LaunchTemplate"]["LaunchTemplateId"]
    assert cloud.ec2.create_launch_template(**said)["LaunchTemplate"]["LaunchTemplateId"] == first
    with refused("InvalidLaunchTemplateName.AlreadyExistsException"):
        cloud.ec2.create_launch_template(**{**said, "ClientToken": "two"})
    said = {"LaunchTemplateName": "web", "LaunchTemplateData": {"InstanceType": "t3.small"}, "ClientToken": "three"}
    for _ in range(2):
        assert cloud.ec2.create_launch_template_version(**said)["LaunchTemplateVersion"]["VersionNumber"] == 2


def test_a_token_longer_than_64_characters_is_refused(cloud):
    with refused("InvalidParameterValue"):
        cloud.ec2.create_volume(Size=1, AvailabilityZone=ZONE, ClientToken="x" * 65)
