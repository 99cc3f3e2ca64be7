"""Root disks read by the EBS direct APIs: a real file system's blocks behind the emulator's snapshots."""

from __future__ import annotations

import io
import os
import shutil
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from imaging import MIB, disk, file_system, partitioned, seen

from driftd import wiring
from driftd.core.asides import DiskReading, SnapshotReading
from driftd.core.errors import BadInput, NoCapacity, NotFound, Refused, Throttled, Unavailable
from driftd.doors.desks.baking import Source
from driftd.edges.providers.aws import reading
from driftd.edges.providers.aws.basedisks import BaseDisks
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.provider import create

BLOCK = 512 * 1024
LIMIT = 1 << 40
TABLE = "label: gpt\nstart=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649\nstart=4096, size=65536\n"


class Scene:
    """An instance of an image whose disk is a real one, and a provider that reads it."""

    def __init__(self, cloud, home):
        self.cloud, self.home, self.ec2 = cloud, home, cloud.ec2
        self.root = home / "tree"
        for name in ("etc", "usr/bin", "lost+found"):
            (self.root / name).mkdir(parents=True)
        (self.root / "etc/hostname").write_text("golden\n")
        (self.root / "usr/bin/tool").write_bytes(os.urandom(3 * MIB))
        self.disk = home / "disk"
        self.written()
        cloud.emulator.knobs(block_images={"*": str(self.disk)})
        (golden,) = cloud.run()
        self.image = self.ec2.create_image(InstanceId=golden, Name="golden")["ImageId"]
        self.emulator = cloud.emulator
        self.kept = home / "kept"
        self.instance = self.launched(self.image)

    def launched(self, image):
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "web"}]}]
        (made,) = self.cloud.run(ImageId=image, TagSpecifications=tags)
        self.cloud.state(made)
        return made

    def written(self):
        """The disk is as the tree is now."""
        made = file_system(self.home / "fs", self.root, 32 * MIB, "ext4", "-U", "11111111-2222-3333-4444-555555555555")
        partitioned(self.disk, 64 * MIB, TABLE, {2 * MIB: made})

    def provider(self, *, keep=False):
        settings = {"region": "us-east-1", "endpoint": self.emulator.url, "host_keys": "known_hosts"}
        if keep:
            settings["base_disks"] = {"dir": str(self.kept), "gib": 1}
        made = create({"settings": settings, "groups": {"web": {"select": {"tag:role": "web"}}}})
        made._disks.poll_s = 0.05
        return made

    def read(self, name="read", *, keep=False, instance=None, limit=LIMIT):
        provider = self.provider(keep=keep)
        try:
            into = self.home / name
            return provider.read_root(instance or self.instance, name, into, limit), into
        finally:
            provider.close()

    def same(self, into):
        """Whether it is the disk, and zeros behind it."""
        with into.open("rb") as one, self.disk.open("rb") as other:
            while piece := other.read(MIB):
                assert one.read(len(piece)) == piece, f"other bytes before {other.tell()}"
            size = one.seek(0, os.SEEK_END)
        assert size % (1 << 30) == 0
        assert into.stat().st_blocks * 512 <= self.disk.stat().st_size + MIB, "holes stay holes"
        assert into.stat().st_mode & 0o777 == 0o600

    def ours(self):
        """The snapshots that reading made."""
        filters = [{"Name": "tag-key", "Values": ["driftd:read"]}]
        return [one["SnapshotId"] for one in self.ec2.describe_snapshots(Filters=filters)["Snapshots"]]

    def left(self):
        """What a reading that failed left here and there."""
        return self.ours(), [one.name for one in self.home.iterdir() if one.name.startswith("read")]


@pytest.fixture
def scene(cloud, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "driftd")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
    return Scene(cloud, tmp_path)


# --- what is read ----------------------------------------------------------------------------------------------------


def test_the_whole_disk_is_read_and_its_snapshot_deleted(scene):
    assert isinstance(scene.provider(), DiskReading)
    assert isinstance(scene.provider(), SnapshotReading)
    (scene.root / "etc/drift\n[bold]").write_text("x")
    scene.written()
    said, into = scene.read()
    assert said.startswith("all ")
    scene.same(into)
    assert b"/etc/drift\n[bold]" in seen(disk(into))
    assert scene.ours() == []
    assert scene.cloud.state(scene.instance) == "running"


def test_with_its_images_disk_here_only_what_differs_is_read(scene):
    said, into = scene.read(keep=True)
    assert said.startswith("0 blocks of "), said
    scene.same(into)
    (base,) = scene.kept.iterdir()
    assert base.stat().st_mode & 0o777 == 0o600
    (scene.root / "usr/bin/tool").write_bytes(os.urandom(MIB))
    (scene.root / "etc/more").write_text("more")
    scene.written()
    with scene.disk.open("rb+") as stream:  # what the image had and this one has not
        stream.seek(2 * MIB + 16 * MIB)
        stream.write(bytes(8 * MIB))
    scene.emulator.forget_calls()
    said, into = scene.read("read-2", keep=True)
    number = int(said.split()[0])
    assert 0 < number < 60
    scene.same(into)
    assert scene.emulator.calls()["ebs.GET"] <= number + 1
    assert [one.name for one in scene.kept.iterdir()] == [base.name]


def test_where_aws_does_not_compare_all_is_read_and_said(scene):
    (first,) = (one for one in scene.ec2.describe_images(ImageIds=[scene.image])["Images"])
    base = first["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    copied = scene.ec2.copy_snapshot(SourceSnapshotId=base, SourceRegion="us-east-1")["SnapshotId"]
    elsewhere = Cloud.ask

    def claims(self, service, operation, **parameters):
        answer = elsewhere(self, service, operation, **parameters)
        for one in answer.get("Images", ()) if operation == "describe_images" else ():
            one["BlockDeviceMappings"] = [{"DeviceName": one["RootDeviceName"], "Ebs": {"SnapshotId": copied}}]
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cloud, "ask", claims)
        said, into = scene.read(keep=True)
    assert said.startswith("all ")
    assert "are not of the same volume" in said
    scene.same(into)
    scene.ec2.deregister_image(ImageId=scene.image)
    said, into = scene.read("read-2", keep=True)
    assert said.startswith("all ")
    assert "its image has no disk that could be kept" in said
    scene.same(into)


CONFIG = """\
store: sqlite:///driftd.db
manifests: .
providers: {{aws: {{region: us-east-1, endpoint: "{url}", host_keys: known_hosts}}}}
groups:
  web: {{provider: aws, image: {image}, select: {{"tag:role": web}}}}
"""


def test_an_image_is_baked_from_its_own_snapshot_as_from_its_disk(scene):
    home = scene.home / "house"
    home.mkdir()
    (home / "driftd.yaml").write_text(CONFIG.format(url=scene.emulator.url, image=scene.image))
    house = wiring.build(home / "driftd.yaml")
    scene.emulator.forget_calls()
    expected = house.baking().made(Source(disk=scene.disk), "img")
    (described,) = scene.ec2.describe_images(ImageIds=[scene.image])["Images"]
    snapshot = described["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    for name in (scene.image, snapshot):
        assert house.baking().made(Source(snapshot=name, partition=2), "img").text == expected.text
    assert [one.name for one in (home / "disks").iterdir()] == ["lock"]
    assert "CreateSnapshot" not in scene.emulator.calls(), "it is there already"
    for name, said in (
        ("ami-0123456789abcdef0", "no image"),
        ("snap-0123456789abcdef0", "SNAPSHOT_NOT_FOUND|does not"),
    ):
        with pytest.raises(NotFound, match=said):
            house.baking().made(Source(snapshot=name), "img")
    with pytest.raises(BadInput, match="bake reads one thing"):
        house.baking().made(Source(snapshot=snapshot, disk=scene.disk), "img")


# --- what goes wrong -------------------------------------------------------------------------------------------------


def tampered(monkeypatch, change, *, times):
    """Bytes of the first block that comes are changed on their way, so many times."""
    plain, left = Cloud.ask, [times]

    def ask(self, service, operation, **parameters):
        answer = plain(self, service, operation, **parameters)
        if operation == "get_snapshot_block" and parameters["BlockIndex"] == 2 and left[0]:
            left[0] -= 1
            change(answer)
        return answer

    monkeypatch.setattr(Cloud, "ask", ask)


def flipped(answer):
    data = bytearray(answer["BlockData"].read())
    data[-1] ^= 1
    answer["BlockData"] = io.BytesIO(data)


def test_a_block_that_came_otherwise_is_asked_for_again(scene, monkeypatch):
    with scene.disk.open("rb+") as stream:
        stream.seek(2 * BLOCK)
        stream.write(b"x")
    tampered(monkeypatch, flipped, times=2)
    _, into = scene.read()
    scene.same(into)


@pytest.mark.parametrize(
    "change",
    [
        flipped,
        lambda answer: answer.update(BlockData=io.BytesIO(answer["BlockData"].read()[:-1])),
        lambda answer: answer.update(Checksum="not base64"),
        lambda answer: answer.pop("Checksum"),
    ],
    ids=["flipped", "short", "senseless", "without"],
)
def test_a_block_that_is_never_what_its_checksum_says_is_no_disk(scene, monkeypatch, change):
    with scene.disk.open("rb+") as stream:
        stream.seek(2 * BLOCK)
        stream.write(b"x")
    tampered(monkeypatch, change, times=99)
    with pytest.raises(Unavailable, match=r"block 2 of snap-.* otherwise than its checksum says"):
        scene.read()
    assert scene.left() == ([], [])


def answering(monkeypatch, operation, change):
    plain = Cloud.ask

    def ask(self, service, asked, **parameters):
        answer = plain(self, service, asked, **parameters)
        if asked == operation:
            change(answer)
        return answer

    monkeypatch.setattr(Cloud, "ask", ask)


def test_a_snapshot_that_fails_is_said_and_deleted(scene, monkeypatch):
    def failed(answer):
        answer["Snapshots"][0] |= {"State": "error", "StateMessage": "no\nkey"}

    answering(monkeypatch, "describe_snapshots", failed)
    with pytest.raises(Unavailable, match="failed: no"):
        scene.read()
    assert scene.left() == ([], [])


def test_one_that_is_never_whole_is_given_up_and_deleted(scene, monkeypatch):
    answering(monkeypatch, "describe_snapshots", lambda answer: answer["Snapshots"][0].update(State="pending"))
    monkeypatch.setattr(reading, "_WAIT_S", 0.2)
    with pytest.raises(Unavailable, match="was not whole within"):
        scene.read()
    assert scene.left() == ([], [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda answer: answer["Blocks"][0].update(BlockIndex=1 << 40), "lies beyond its end"),
        (lambda answer: answer["Blocks"][0].update(BlockIndex=-1), "lies beyond its end"),
        (lambda answer: answer.update(BlockSize=4096), "have 4096 bytes"),
        (lambda answer: answer.update(VolumeSize=0, Blocks=[]), "how large"),
    ],
)
def test_a_list_that_cannot_be_is_refused(scene, monkeypatch, change, said):
    answering(monkeypatch, "list_snapshot_blocks", change)
    with pytest.raises(Refused, match=said):
        scene.read()
    assert scene.left() == ([], [])


@pytest.mark.parametrize("right", ["ebs:GetSnapshotBlock", "ebs:ListSnapshotBlocks", "ec2:CreateSnapshot"])
def test_a_missing_right_is_named_with_the_statement_that_gives_it(scene, right):
    scene.emulator.knobs(denied=[right])
    with pytest.raises(Refused, match=f"does not permit {right}") as caught:
        scene.read()
    assert right in caught.value.hint
    assert scene.left() == ([], [])


def test_being_throttled_is_waited_out_and_at_last_said(scene):
    scene.emulator.fault("ebs.GET", "throttle", times=3)
    _, into = scene.read()
    scene.same(into)
    into.unlink()
    scene.emulator.fault("ebs.GET", "throttle", times=1000)
    with pytest.raises(Throttled):
        scene.read()
    assert scene.left() == ([], [])


def test_a_snapshot_of_which_nobody_heard_is_deleted_by_its_token(scene):
    scene.emulator.fault("CreateSnapshot", "timeout-after")
    with pytest.raises(Unavailable):
        scene.read()
    assert scene.left() == ([], [])


def test_what_is_too_large_or_has_no_room_is_not_begun(scene, monkeypatch):
    with pytest.raises(Refused, match="are allowed"):
        scene.read(limit=1 << 20)
    assert scene.left() == ([], [])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 30))
    with pytest.raises(NoCapacity, match="MiB and 1024 spare"):
        scene.read()
    assert scene.left() == ([], [])
    with pytest.raises(NotFound):
        scene.read(instance="i-0123456789abcdef0")


def test_what_a_reader_that_was_ended_left_is_swept_once_it_expired_and_nothing_else(scene):
    volume = scene.cloud.instance(scene.instance)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]

    def made(**tags):
        found = [{"Key": key, "Value": value} for key, value in tags.items()]
        return scene.ec2.create_snapshot(
            VolumeId=volume, TagSpecifications=[{"ResourceType": "snapshot", "Tags": found}]
        )["SnapshotId"]

    ours = {"driftd:deployment": "driftd", "driftd:read": scene.instance}
    past, later = ((datetime.now(UTC) + timedelta(hours=number)).isoformat(timespec="seconds") for number in (-1, 1))
    gone = made(**ours, **{"driftd:expires": past})
    stay = [
        made(**ours, **{"driftd:expires": later}),
        made(**ours, **{"driftd:expires": "whenever"}),
        made(**{**ours, "driftd:deployment": "other"}, **{"driftd:expires": past}),
        made(**{"driftd:deployment": "driftd", "driftd:of": scene.instance, "driftd:expires": past}),
    ]
    provider = scene.provider()
    assert provider.tidy_reads() == [gone]
    assert provider.tidy_reads() == []
    there = {one["SnapshotId"] for one in scene.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert gone not in there
    assert {*stay} <= there
    provider.close()


# --- disks of images -------------------------------------------------------------------------------------------------


def test_disks_of_images_are_bounded_and_those_used_longest_ago_go_first(tmp_path):
    base = BaseDisks(tmp_path / "kept", 5 * MIB)
    for number in range(3):
        base.keep(f"snap-{number}", lambda into: into.write_bytes(os.urandom(2 * MIB)))
        os.utime(tmp_path / f"kept/snap-{number}.raw", (number, number))
        if number == 1:
            base.used("snap-0")
    assert {one.name for one in (tmp_path / "kept").iterdir()} == {"snap-0.raw", "snap-2.raw"}
    with pytest.raises(Unavailable):
        base.has("../../etc/passwd")

    def broken(into):
        into.write_bytes(b"half")
        raise Unavailable("no more")

    with pytest.raises(Unavailable):
        base.keep("snap-9", broken)
    assert not base.has("snap-9")
    assert not list((tmp_path / "kept").glob(".snap-9*"))
