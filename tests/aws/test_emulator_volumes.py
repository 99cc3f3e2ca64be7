"""Volumes and snapshots: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AttachVolume.html"""

import pytest
from emulated import OTHER_ZONE, ZONE, refused

DATA = [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 2}}]


def new(cloud, zone=ZONE):
    return cloud.ec2.create_volume(Size=1, AvailabilityZone=zone)["VolumeId"]


def put(cloud, volume, instance, device="/dev/sdf"):
    return cloud.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)


def attachment(cloud, volume):
    found = cloud.volume(volume)["Attachments"]
    return (found[0]["InstanceId"], found[0]["State"]) if found else None


def test_a_volume_has_one_instance(cloud):
    """errors-overview.html, VolumeInUse"""
    one, other = cloud.run(count=2)
    volume = new(cloud)
    put(cloud, volume, one)
    for again in (one, other):
        with refused("VolumeInUse"):
            put(cloud, volume, again, "/dev/sdg")
    assert attachment(cloud, volume) == (one, "attached")
    cloud.ec2.detach_volume(VolumeId=volume)
    put(cloud, volume, other)
    assert attachment(cloud, volume) == (other, "attached")


def test_a_volume_stays_in_its_zone(cloud):
    """errors-overview.html, InvalidVolume.ZoneMismatch"""
    (one,), volume = cloud.run(), new(cloud, OTHER_ZONE)
    with refused("InvalidVolume.ZoneMismatch"):
        put(cloud, volume, one)
    assert attachment(cloud, volume) is None


def test_a_device_is_taken_once(cloud):
    (one,), first, second = cloud.run(), new(cloud), new(cloud)
    put(cloud, first, one)
    with refused("InvalidParameterValue"):
        put(cloud, second, one)


def test_creating_attaching_and_detaching_take_their_time(cloud, emulator):
    """https://docs.aws.amazon.com/ebs/latest/userguide/ebs-describing-volumes.html and API_VolumeAttachment.html"""
    (one,) = cloud.run()
    cloud.state(one)
    emulator.knobs(settle=60)
    volume = new(cloud)
    assert cloud.volume(volume)["State"] == "creating"
    with refused("IncorrectState"):
        put(cloud, volume, one)
    emulator.forward(61)
    assert cloud.volume(volume)["State"] == "available"
    assert put(cloud, volume, one)["State"] == "attaching"
    assert (cloud.volume(volume)["State"], attachment(cloud, volume)) == ("in-use", (one, "attaching"))
    emulator.forward(61)
    assert attachment(cloud, volume) == (one, "attached")
    assert cloud.ec2.detach_volume(VolumeId=volume)["State"] == "detaching"
    with refused("VolumeInUse"):
        put(cloud, volume, one, "/dev/sdg")
    emulator.forward(61)
    assert (cloud.volume(volume)["State"], attachment(cloud, volume)) == ("available", None)


def test_a_volume_of_an_ending_instance_is_free_when_it_has_ended_and_not_before(cloud, emulator):
    one, other = cloud.run(count=2)
    volume = new(cloud)
    put(cloud, volume, one)
    attachment(cloud, volume)
    emulator.knobs(settle=60)
    cloud.ec2.terminate_instances(InstanceIds=[one])
    with refused("VolumeInUse"):
        put(cloud, volume, other)
    emulator.forward(61)
    put(cloud, volume, other)


def test_what_is_not_attached_cannot_be_detached(cloud):
    """errors-overview.html: IncorrectState, InvalidAttachment.NotFound"""
    one, other = cloud.run(count=2)
    volume = new(cloud)
    with refused("IncorrectState"):
        cloud.ec2.detach_volume(VolumeId=volume)
    put(cloud, volume, one)
    with refused("InvalidAttachment.NotFound"):
        cloud.ec2.detach_volume(VolumeId=volume, InstanceId=other)
    root = cloud.instance(one)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    with refused("OperationNotPermitted"):
        cloud.ec2.detach_volume(VolumeId=root)


@pytest.mark.parametrize("kept", [True, False])
def test_delete_on_termination_is_shown_everywhere_and_honoured(cloud, kept):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-storage.html"""
    (one,) = cloud.run(BlockDeviceMappings=DATA)
    said = [{"DeviceName": "/dev/sdf", "Ebs": {"DeleteOnTermination": not kept}}]
    cloud.ec2.modify_instance_attribute(InstanceId=one, BlockDeviceMappings=said)
    found = {each["DeviceName"]: each["Ebs"] for each in cloud.instance(one)["BlockDeviceMappings"]}
    assert {name: each["DeleteOnTermination"] for name, each in found.items()} == {
        "/dev/sda1": True,
        "/dev/sdf": not kept,
    }
    attribute = cloud.ec2.describe_instance_attribute(InstanceId=one, Attribute="blockDeviceMapping")
    assert {each["DeviceName"] for each in attribute["BlockDeviceMappings"]} == {"/dev/sda1", "/dev/sdf"}
    data = found["/dev/sdf"]["VolumeId"]
    assert cloud.volume(data)["Attachments"][0]["DeleteOnTermination"] is not kept
    cloud.ec2.terminate_instances(InstanceIds=[one])
    left = {each["VolumeId"]: each["State"] for each in cloud.ec2.describe_volumes()["Volumes"]}
    assert left.get(data) == ("available" if kept else None)
    assert found["/dev/sda1"]["VolumeId"] not in left


def test_the_root_volume_goes_and_another_stays_unless_that_is_said(cloud):
    (one,) = cloud.run(BlockDeviceMappings=DATA)
    found = {
        each["DeviceName"]: each["Ebs"]["DeleteOnTermination"] for each in cloud.instance(one)["BlockDeviceMappings"]
    }
    assert found == {"/dev/sda1": True, "/dev/sdf": False}


def test_a_snapshot_makes_progress(cloud, emulator):
    """API_DescribeSnapshots.html"""
    volume = new(cloud)
    emulator.knobs(settle=100)
    made = cloud.ec2.create_snapshot(VolumeId=volume)
    assert made["State"] == "pending"

    def seen():
        found = cloud.ec2.describe_snapshots(SnapshotIds=[made["SnapshotId"]])["Snapshots"][0]
        return found["State"], int(found["Progress"].rstrip("%"))

    emulator.forward(50)
    state, percent = seen()
    assert state == "pending"
    assert 45 <= percent <= 60
    with refused("IncorrectState"):
        cloud.ec2.create_volume(SnapshotId=made["SnapshotId"], AvailabilityZone=ZONE)
    emulator.forward(51)
    assert seen() == ("completed", 100)
    cloud.ec2.create_volume(SnapshotId=made["SnapshotId"], AvailabilityZone=ZONE)


def test_a_volume_whose_file_system_is_in_use_stays_attached_and_shows_as_busy(matter, backed, matter_process):
    """API_DetachVolume.html: it can be stuck in the busy state until it is unmounted or detached by force."""
    (one,), volume = backed.run(), new(backed)
    put(backed, volume, one)
    matter.answers["detach"] = lambda said: (200, {}) if said["force"] else (409, {"why": "mounted on /srv"})
    backed.ec2.detach_volume(VolumeId=volume)
    assert (backed.volume(volume)["State"], attachment(backed, volume)) == ("in-use", (one, "busy"))
    matter_process[1].forward(5)
    assert attachment(backed, volume) == (one, "busy")
    backed.ec2.detach_volume(VolumeId=volume, Force=True)
    assert attachment(backed, volume) is None


def test_a_busy_volume_leaves_by_itself_when_it_is_unmounted(matter, backed, matter_process):
    (one,), volume = backed.run(), new(backed)
    put(backed, volume, one)
    matter.answers["detach"] = lambda _: (409, {"why": "mounted"})
    backed.ec2.detach_volume(VolumeId=volume)
    assert attachment(backed, volume) == (one, "busy")
    matter.answers.clear()
    matter_process[1].forward(5)
    assert attachment(backed, volume) is None


def test_the_matter_hears_of_attachments_and_not_of_what_ends_with_its_instance(matter, backed):
    (one,) = backed.run(BlockDeviceMappings=DATA)
    data = backed.instance(one)["BlockDeviceMappings"][1]["Ebs"]["VolumeId"]
    volume = new(backed)
    put(backed, volume, one, "/dev/sdg")
    backed.ec2.detach_volume(VolumeId=volume)
    backed.ec2.terminate_instances(InstanceIds=[one])
    assert backed.state(one) == "terminated"
    heard = [(each["do"], each.get("volume"), each.get("device")) for each in matter.orders]
    assert heard == [
        ("launch", None, None),
        ("attach", data, "/dev/sdf"),
        ("attach", volume, "/dev/sdg"),
        ("detach", volume, "/dev/sdg"),
        ("terminate", None, None),
    ]
