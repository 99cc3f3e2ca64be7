"""The emulator's EBS direct APIs: each test says what AWS documents."""

import base64
import datetime as dt
import hashlib
import os

import pytest
from botocore.exceptions import ClientError
from standing import ZONE, Standing

BLOCK = 512 * 1024


@pytest.fixture
def aws(matter, matter_process):
    return Standing(matter, matter_process[1])


@pytest.fixture
def ec2(aws):
    return aws.client("ec2")


@pytest.fixture
def ebs(aws):
    return aws.client("ebs")


@pytest.fixture
def disk(aws, tmp_path):
    """A volume's bytes behind the emulator: write blocks to it, by index."""
    path = tmp_path / "disk"
    path.touch()
    os.truncate(path, 1 << 30)
    aws.world.answer("image", lambda _: {"file": str(path)})

    def write(index, data):
        with path.open("r+b") as file:
            file.seek(index * BLOCK)
            file.write(data)

    return write


def refused(call, **asked):
    with pytest.raises(ClientError) as caught:
        call(**asked)
    said = caught.value.response
    return said["Error"]["Code"], said.get("Reason")


@pytest.fixture
def volume(ec2):
    return ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]


@pytest.fixture
def shoot(ec2):
    def taken(volume):
        made = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[made], WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        return made

    return taken


def changed(ebs, first, second):
    return {
        one["BlockIndex"]: ("FirstBlockToken" in one, "SecondBlockToken" in one)
        for one in ebs.list_changed_blocks(FirstSnapshotId=first, SecondSnapshotId=second)["ChangedBlocks"]
    }


def test_a_snapshot_lists_the_blocks_that_were_written_and_no_others(disk, volume, shoot, ebs, aws):
    disk(0, b"boot")
    disk(5, bytes(BLOCK))
    disk(7, b"a" * BLOCK + b"b")
    one = shoot(volume)
    got = ebs.list_snapshot_blocks(SnapshotId=one)
    assert [block["BlockIndex"] for block in got["Blocks"]] == [0, 7, 8]
    assert (got["BlockSize"], got["VolumeSize"]) == (BLOCK, 1)
    assert aws.world.heard("image") == [{"do": "image", "volume": volume, "id": one}]


def test_a_block_is_512_kib_with_its_sha256(disk, volume, shoot, ebs):
    disk(3, b"hello")
    one = shoot(volume)
    [block] = ebs.list_snapshot_blocks(SnapshotId=one)["Blocks"]
    got = ebs.get_snapshot_block(SnapshotId=one, BlockIndex=3, BlockToken=block["BlockToken"])
    data = got["BlockData"].read()
    assert data == b"hello".ljust(BLOCK, b"\0")
    assert (got["DataLength"], got["ChecksumAlgorithm"]) == (BLOCK, "SHA256")
    assert got["Checksum"] == base64.b64encode(hashlib.sha256(data).digest()).decode()


def test_a_snapshot_is_of_the_moment_it_was_taken(disk, volume, shoot, ebs):
    disk(0, b"before")
    one = shoot(volume)
    disk(0, b"after!")
    disk(1, b"later")
    [block] = ebs.list_snapshot_blocks(SnapshotId=one)["Blocks"]
    got = ebs.get_snapshot_block(SnapshotId=one, BlockIndex=0, BlockToken=block["BlockToken"])
    assert got["BlockData"].read(6) == b"before"


def test_what_changed_between_two_has_a_token_for_each_that_has_it(disk, volume, shoot, ebs):
    disk(0, b"same")
    disk(1, b"old")
    disk(2, b"goes")
    first = shoot(volume)
    disk(1, b"new")
    disk(2, bytes(4))
    disk(9, b"comes")
    second = shoot(volume)
    assert changed(ebs, first, second) == {1: (True, True), 2: (True, False), 9: (False, True)}
    [block] = [
        it
        for it in ebs.list_changed_blocks(FirstSnapshotId=first, SecondSnapshotId=second)["ChangedBlocks"]
        if it["BlockIndex"] == 1
    ]
    for snapshot, token, data in ((first, "FirstBlockToken", b"old"), (second, "SecondBlockToken", b"new")):
        got = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=1, BlockToken=block[token])
        assert got["BlockData"].read(3) == data


def test_nothing_changed_is_an_empty_list_and_without_a_first_all_is_new(disk, volume, shoot, ebs):
    disk(4, b"still")
    first, second = shoot(volume), shoot(volume)
    assert changed(ebs, first, second) == {}
    rows = ebs.list_changed_blocks(SecondSnapshotId=second)["ChangedBlocks"]
    assert [(row["BlockIndex"], "FirstBlockToken" in row, "SecondBlockToken" in row) for row in rows] == [
        (4, False, True)
    ]


def test_only_snapshots_of_one_line_are_compared(disk, volume, shoot, ebs, ec2):
    disk(0, b"x")
    first = shoot(volume)
    stranger = shoot(ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"])
    asked = {"FirstSnapshotId": first, "SecondSnapshotId": stranger}
    assert refused(ebs.list_changed_blocks, **asked) == ("ValidationException", "UNRELATED_SNAPSHOTS")
    child = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=first)["VolumeId"]
    disk(5, b"y")
    assert changed(ebs, first, shoot(child)) == {5: (False, True)}
    copied = ec2.copy_snapshot(SourceSnapshotId=first, SourceRegion="eu-central-1")["SnapshotId"]
    asked = {"FirstSnapshotId": first, "SecondSnapshotId": copied}
    assert refused(ebs.list_changed_blocks, **asked) == ("ValidationException", "UNRELATED_SNAPSHOTS")
    assert [one["BlockIndex"] for one in ebs.list_snapshot_blocks(SnapshotId=copied)["Blocks"]] == [0]


def test_a_root_disk_is_of_the_line_of_the_image_it_came_from(disk, aws, ec2, shoot, ebs):
    disk(0, b"baked")
    [golden] = aws.launch()
    image = ec2.create_image(InstanceId=golden, Name="golden")["ImageId"]
    [described] = ec2.describe_images(ImageIds=[image])["Images"]
    baked = described["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    [seen] = ec2.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"]
    disk(1, b"drift")
    after = shoot(seen["BlockDeviceMappings"][0]["Ebs"]["VolumeId"])
    assert changed(ebs, baked, after) == {1: (False, True)}


def test_pages_are_of_100_at_least_and_their_token_says_where_to_go_on(disk, volume, shoot, ebs):
    for index in range(0, 500, 2):
        disk(index, b"%d" % index)
    one = shoot(volume)
    seen, more = [], {}
    while True:
        got = ebs.list_snapshot_blocks(SnapshotId=one, MaxResults=100, **more)
        assert len(got["Blocks"]) <= 100
        seen += [block["BlockIndex"] for block in got["Blocks"]]
        if "NextToken" not in got:
            break
        more = {"NextToken": got["NextToken"]}
    assert seen == list(range(0, 500, 2))
    from_here = ebs.list_snapshot_blocks(SnapshotId=one, StartingBlockIndex=497)["Blocks"]
    assert [block["BlockIndex"] for block in from_here] == [498]
    bad = {"SnapshotId": one, "NextToken": "bm9uc2Vuc2U="}
    assert refused(ebs.list_snapshot_blocks, **bad) == ("ValidationException", "INVALID_PAGE_TOKEN")


def test_tokens_are_for_one_block_and_expire(disk, volume, shoot, ebs, aws):
    disk(0, b"x")
    disk(1, b"y")
    one = shoot(volume)
    got = ebs.list_snapshot_blocks(SnapshotId=one)
    tokens = [block["BlockToken"] for block in got["Blocks"]]
    again = [block["BlockToken"] for block in ebs.list_snapshot_blocks(SnapshotId=one)["Blocks"]]
    assert not set(tokens) & set(again)
    left = got["ExpiryTime"] - dt.datetime.now(dt.UTC)
    assert dt.timedelta(days=6, hours=23) < left < dt.timedelta(days=7, minutes=1)
    invalid = ("ValidationException", "INVALID_BLOCK_TOKEN")
    assert refused(ebs.get_snapshot_block, SnapshotId=one, BlockIndex=0, BlockToken=tokens[1]) == invalid
    assert ebs.get_snapshot_block(SnapshotId=one, BlockIndex=0, BlockToken=tokens[0])
    aws.forward(7 * 86400 + 1)
    assert refused(ebs.get_snapshot_block, SnapshotId=one, BlockIndex=0, BlockToken=tokens[0]) == invalid


def test_a_page_token_is_good_for_an_hour(disk, volume, shoot, ebs, aws):
    for index in range(120):
        disk(index, b"x")
    one = shoot(volume)
    token = ebs.list_snapshot_blocks(SnapshotId=one, MaxResults=100)["NextToken"]
    assert len(ebs.list_snapshot_blocks(SnapshotId=one, NextToken=token)["Blocks"]) == 20
    aws.forward(3601)
    asked = {"SnapshotId": one, "NextToken": token}
    assert refused(ebs.list_snapshot_blocks, **asked) == ("ValidationException", "INVALID_PAGE_TOKEN")


def test_a_snapshot_that_is_not_there(disk, volume, shoot, ebs, ec2):
    missing = ("ResourceNotFoundException", "SNAPSHOT_NOT_FOUND")
    assert refused(ebs.list_snapshot_blocks, SnapshotId="snap-0123456789abcdef0") == missing
    one = shoot(volume)
    ec2.delete_snapshot(SnapshotId=one)
    assert refused(ebs.list_snapshot_blocks, SnapshotId=one) == missing


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttle", "RequestThrottledException", 400),
        ("500", "InternalServerException", 500),
        ("denied", "AccessDeniedException", 403),
    ],
)
def test_it_fails_as_its_page_of_errors_says(volume, shoot, ebs, aws, kind, code, status):
    """https://docs.aws.amazon.com/ebs/latest/APIReference/API_ListSnapshotBlocks.html: Errors."""
    one = shoot(volume)
    aws.emulator.fault("ebs.GET", kind)
    with pytest.raises(ClientError) as caught:
        ebs.list_snapshot_blocks(SnapshotId=one)
    said = caught.value.response
    assert (said["Error"]["Code"], said["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    ebs.list_snapshot_blocks(SnapshotId=one)


def test_what_is_denied_is_denied_here_too(volume, shoot, ebs, aws):
    """https://docs.aws.amazon.com/ebs/latest/userguide/ebsapi-permissions.html"""
    one = shoot(volume)
    aws.knobs(denied=["ebs:ListSnapshotBlocks"])
    with pytest.raises(ClientError) as caught:
        ebs.list_snapshot_blocks(SnapshotId=one)
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    aws.knobs(denied=[])


def test_without_bytes_behind_it_a_volume_is_empty(volume, shoot, ebs):
    got = ebs.list_snapshot_blocks(SnapshotId=shoot(volume))
    assert (got["Blocks"], got["VolumeSize"]) == ([], 1)


def test_a_knob_may_name_the_file(aws, volume, shoot, ebs, tmp_path):
    (tmp_path / "image").write_bytes(bytes(BLOCK) + b"second")
    aws.knobs(block_images={volume: str(tmp_path / "image")})
    assert [one["BlockIndex"] for one in ebs.list_snapshot_blocks(SnapshotId=shoot(volume))["Blocks"]] == [1]
    assert aws.world.heard("image") == []


def test_what_is_written_directly_can_be_read(ebs):
    one = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    data = b"z" * BLOCK
    checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
    common = {"DataLength": BLOCK, "Checksum": checksum, "ChecksumAlgorithm": "SHA256"}
    ebs.put_snapshot_block(SnapshotId=one, BlockIndex=2, BlockData=data, **common)
    ebs.complete_snapshot(SnapshotId=one, ChangedBlocksCount=1)
    [block] = ebs.list_snapshot_blocks(SnapshotId=one)["Blocks"]
    got = ebs.get_snapshot_block(SnapshotId=one, BlockIndex=2, BlockToken=block["BlockToken"])
    assert got["BlockData"].read() == data
    assert got["Checksum"] == checksum
