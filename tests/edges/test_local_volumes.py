"""Data volumes and movable addresses of the local provider, on running servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from servers import answers, fetch, pid_of, wait_until

from driftd.core.errors import NotFound, Refused, Unavailable
from driftd.core.facts import InstanceState
from driftd.edges.providers.local import filesystem, network, snapshots
from driftd.edges.providers.local.tools import owns_machine, write_json

pytestmark = pytest.mark.servers
ON_DISKS = pytest.mark.skipif(not owns_machine(), reason="an ordinary user's volumes are directories")


@pytest.fixture
def pair(local_deployment):
    local_deployment.make(volumes={"data": {"slot": "web/0", "size_mb": 16}}, addresses=["web/0", "web/1"])
    return local_deployment.launch("web/0"), local_deployment.launch("web/1")


def test_what_one_server_wrote_the_next_one_reads(local_deployment, pair):
    one, two = pair
    volumes = local_deployment.provider.volumes
    volumes.attach("data", one.id)
    local_deployment.ssh(one, "echo precious >/data/file && findmnt -no FSTYPE /data || grep ' /data ' /proc/mounts")
    volumes.detach("data")
    assert local_deployment.ssh(one, "ls /data") == ""
    volumes.attach("data", two.id)
    assert local_deployment.ssh(two, "cat /data/file") == "precious\n"
    assert "data/file" not in str(list(local_deployment.upper(one).rglob("*")))


def test_a_volume_is_back_after_a_restart(local_deployment, pair):
    one, _ = pair
    provider = local_deployment.provider
    provider.volumes.attach("data", one.id)
    local_deployment.ssh(one, "echo precious >/data/file")
    provider.compute.stop(one.id)
    provider.compute.start(one.id)
    local_deployment.ready(one)
    assert local_deployment.ssh(one, "cat /data/file") == "precious\n"


def test_a_mount_that_the_record_does_not_know_refuses_the_next_owner(local_deployment, pair):
    one, two = pair
    volumes = local_deployment.provider.volumes
    volumes.attach("data", one.id)
    meta = local_deployment.dir / "volumes" / "data" / "meta.json"
    write_json(meta, {**json.loads(meta.read_text()), "attached_to": ""})
    with pytest.raises(Refused, match="still mounted"):
        volumes.attach("data", two.id)
    volumes.attach("data", one.id)
    volumes.detach("data")
    volumes.attach("data", two.id)
    assert volumes.list()[0].attached_to == two.id


@ON_DISKS
def test_a_volume_leaves_no_loop_device_and_no_mount_here(local_deployment, pair):
    one, _ = pair
    local_deployment.provider.volumes.attach("data", one.id)
    name = local_deployment.root.name  # losetup may show a path as another root sees it
    assert name in subprocess.check_output(["losetup", "-l"], text=True)
    assert str(local_deployment.dir) not in Path("/proc/self/mountinfo").read_text(errors="replace")
    local_deployment.provider.compute.terminate(one.id)
    wait_until(lambda: name not in subprocess.check_output(["losetup", "-l"], text=True))


def disk_of(local_deployment, volume="data"):
    """The file or directory that a volume is."""
    folder = local_deployment.dir / "volumes" / volume
    return folder / json.loads((folder / "meta.json").read_text())["name"]


def file_in(disk, name):
    """A file of a volume that nobody has mounted, or of a snapshot."""
    if disk.is_dir():
        return (disk / name).read_text()
    return subprocess.check_output(["debugfs", "-R", f"cat /{name}", str(disk)], text=True, stderr=subprocess.DEVNULL)


def test_a_snapshot_keeps_what_was_there(local_deployment, pair):
    one, _ = pair
    provider = local_deployment.provider
    provider.volumes.attach("data", one.id)
    local_deployment.ssh(one, "echo before >/data/file")
    provider.compute.stop(one.id)
    made = provider.volumes.snapshot("data", "token-1")
    provider.compute.start(one.id)
    local_deployment.ready(one)
    local_deployment.ssh(one, "echo after >/data/file")
    assert provider.volumes.snapshot("data", "token-1") == made
    copy = local_deployment.dir / "volumes/data/snapshots" / f"{made.id}.data"
    assert file_in(copy, "file") == "before\n"
    assert local_deployment.ssh(one, "cat /data/file") == "after\n"
    provider.volumes.delete_snapshot(made.id)
    assert list(copy.parent.iterdir()) == []


def test_a_copy_is_on_the_disk_before_its_record_says_that_it_is_whole(local_deployment, pair, monkeypatch):
    """Of a directory every file in it: fsync of the directory itself says nothing about them."""
    done = []
    for name, real in (("run", filesystem.run), ("fsync", os.fsync)):
        monkeypatch.setattr(
            filesystem if name == "run" else os,
            name,
            lambda *words, real=real, **more: (done.append(words), real(*words, **more))[1],
        )
    provider = local_deployment.provider
    made = provider.volumes.snapshot("data", "token-1")
    copy = disk_of(local_deployment).parent / "snapshots" / f"{made.id}.data"
    synced = any(words[:2] == ("sync", "--file-system") and copy in words for words in done)
    assert synced is copy.is_dir()
    assert any(isinstance(words[0], int) for words in done)


def test_half_a_snapshot_is_none_and_goes_with_the_next(local_deployment, pair, monkeypatch):
    volumes = local_deployment.provider.volumes
    shelf = local_deployment.dir / "volumes/data/snapshots"
    real = filesystem.copy

    def dies(disk, draft):
        real(disk, draft)
        raise SystemExit  # as if driftd had been ended here; its own tidying up comes too late

    monkeypatch.setattr(filesystem, "copy", dies)
    monkeypatch.setattr(snapshots, "remove_tree", lambda _: None)
    with pytest.raises(SystemExit):
        volumes.snapshot("data", "token-1")
    monkeypatch.undo()
    assert volumes.snapshots() == []
    assert len(list(shelf.iterdir())) == 1
    made = volumes.snapshot("data", "token-2")
    assert volumes.snapshots() == [made]
    assert {path.name for path in shelf.iterdir()} == {f"{made.id}.json", f"{made.id}.data"}


def test_a_copy_that_finds_no_room_leaves_nothing(local_deployment, pair, monkeypatch):
    volumes = local_deployment.provider.volumes

    def full(_disk, draft):
        draft.write_bytes(b"half")
        raise Unavailable("cp failed: No space left on device")

    monkeypatch.setattr(filesystem, "copy", full)
    with pytest.raises(Unavailable, match="No space left"):
        volumes.snapshot("data", "token-1")
    assert list((local_deployment.dir / "volumes/data/snapshots").iterdir()) == []


def test_who_has_unmounted_it_may_be_copied_while_it_runs(local_deployment, pair):
    one, _ = pair
    volumes = local_deployment.provider.volumes
    volumes.attach("data", one.id)
    local_deployment.ssh(one, "echo still >/data/file")
    with pytest.raises(Refused, match="mounted by"):
        volumes.snapshot("data", "token-1")
    local_deployment.ssh(one, "umount /data")
    made = volumes.snapshot("data", "token-1")
    assert file_in(local_deployment.dir / "volumes/data/snapshots" / f"{made.id}.data", "file") == "still\n"
    volumes.attach("data", one.id)
    assert local_deployment.ssh(one, "cat /data/file") == "still\n"


@ON_DISKS
def test_the_name_of_a_file_system_is_the_one_on_the_disk(local_deployment, pair):
    one, _ = pair
    volumes = local_deployment.provider.volumes
    volumes.attach("data", one.id)
    told = subprocess.check_output(["dumpe2fs", "-h", disk_of(local_deployment)], text=True, stderr=subprocess.DEVNULL)
    assert volumes.list()[0].filesystem in told
    volumes.detach("data")
    wait_until(lambda: not subprocess.check_output(["losetup", "--associated", disk_of(local_deployment)]))
    other = "01234567-89ab-4cde-8f01-23456789abcd"
    # tune2fs gives a new name only to one that was checked since it was last mounted.
    subprocess.run(["e2fsck", "-f", "-y", disk_of(local_deployment)], check=True, capture_output=True)
    subprocess.run(["tune2fs", "-f", "-U", other, disk_of(local_deployment)], check=True, capture_output=True)
    assert volumes.list()[0].filesystem == other


@ON_DISKS
@pytest.mark.parametrize("damage", ["root", "all"])
def test_a_damaged_file_system_is_not_attached(local_deployment, pair, damage):
    one, two = pair
    volumes = local_deployment.provider.volumes
    volumes.snapshot("data", "so that it is made")
    disk = disk_of(local_deployment)
    if damage == "all":
        with disk.open("r+b") as stream:
            stream.write(bytes(12 << 20))
    else:
        subprocess.run(["debugfs", "-w", "-R", "set_inode_field <2> mode 0", disk], check=True, capture_output=True)
    before = disk.read_bytes()
    for instance in (one, two):
        with pytest.raises(Refused, match=r"the file system on disk-\w+\.img is damaged: \w+") as refused:
            volumes.attach("data", instance.id)
        assert "e2fsck -n" in refused.value.hint
    assert volumes.list()[0].attached_to == ""
    assert disk.read_bytes() == before
    assert local_deployment.ssh(one, "ls /data") == ""


@ON_DISKS
def test_a_journal_that_waits_to_be_replayed_is_no_damage(local_deployment, pair):
    one, _ = pair
    volumes = local_deployment.provider.volumes
    volumes.snapshot("data", "so that it is made")
    disk = disk_of(local_deployment)
    # A copy of a mounted disk is what a power cut leaves.
    cut = 'mkdir "$0.d"; mount -o loop "$0" "$0.d"; echo precious >"$0.d/file"; sync "$0.d/file"; cp "$0" "$0.cut"'
    subprocess.run(["unshare", "-m", "sh", "-ec", cut, disk], check=True)
    wait_until(lambda: not subprocess.check_output(["losetup", "--associated", disk]))
    disk.with_name(f"{disk.name}.cut").rename(disk)
    assert "needs_recovery" in subprocess.check_output(["dumpe2fs", "-h", disk], text=True)
    filesystem.check(disk)
    assert "needs_recovery" not in subprocess.check_output(["dumpe2fs", "-h", disk], text=True)
    volumes.attach("data", one.id)
    assert local_deployment.ssh(one, "cat /data/file") == "precious\n"


def test_one_that_was_cut_off_keeps_its_volume_until_it_is_taken(local_deployment, pair):
    one, two = pair
    volumes = local_deployment.provider.volumes
    volumes.attach("data", one.id)
    local_deployment.ssh(one, "echo precious >/data/file")
    os.kill(pid_of(one), signal.SIGKILL)
    wait_until(lambda: local_deployment.provider.compute.describe(one.id).state is InstanceState.STOPPED)
    with pytest.raises(Refused, match="attached to"):
        volumes.attach("data", two.id)
    volumes.detach("data")
    volumes.attach("data", two.id)
    assert local_deployment.ssh(two, "cat /data/file") == "precious\n"


def test_an_instance_that_is_being_ended_gets_nothing(local_deployment, pair):
    one, _ = pair
    (local_deployment.dir / "instances" / one.id / "meta.json").write_text(
        json.dumps(
            {**json.loads((local_deployment.dir / "instances" / one.id / "meta.json").read_text()), "desired": "gone"}
        )
    )
    with pytest.raises(NotFound, match="being ended"):
        local_deployment.provider.volumes.attach("data", one.id)


def test_a_call_about_nobody_leaves_nothing(local_deployment, pair):
    before = set((local_deployment.dir / "instances").iterdir())
    for name in ("", ".", "..", "../volumes/data", "no-such"):
        with pytest.raises(NotFound):
            local_deployment.provider.volumes.attach("data", name)
    local_deployment.provider.volumes.detach("data")
    assert set((local_deployment.dir / "instances").iterdir()) == before


def test_an_address_moves_within_a_second(local_deployment, pair):
    one, two = pair
    addresses = local_deployment.provider.addresses
    first, second = (one_address.address for one_address in addresses.list())
    assert [found.slot for found in addresses.list()] == ["web/0", "web/1"]
    addresses.associate(first, one.id)
    wait_until(lambda: answers(first, 8080))
    assert one.id in fetch(first, 8080)
    # Another server of the same network has the old owner in its neighbour table.
    witness = local_deployment.launch("web/2")
    knock = f"timeout 5 bash -c ': </dev/tcp/{first}/8080' && echo open; ip neigh show {first}"
    seen_before = local_deployment.ssh(witness, knock)
    assert "open" in seen_before
    begun = time.monotonic()
    addresses.associate(first, two.id, one.id)
    wait_until(lambda: two.id in fetch(first, 8080, timeout_s=1))
    took = time.monotonic() - begun
    print(f"\naddress moved in {took:.3f} s")  # noqa: T201 - a measurement, shown by -s
    assert took < 1.5  # a second, and the load of other tests on the same machine
    assert second not in local_deployment.ssh(two, "ip addr")
    assert first not in local_deployment.ssh(one, "ip addr")
    seen_after = local_deployment.ssh(witness, knock)
    assert "open" in seen_after
    assert hardware(seen_after) == network.mac(IPv4Address(two.address)) != hardware(seen_before)


def hardware(text):
    return text.split("lladdr ")[1].split()[0]


def test_an_address_is_back_after_a_restart(local_deployment, pair):
    one, _ = pair
    provider = local_deployment.provider
    address = provider.addresses.list()[0].address
    provider.addresses.associate(address, one.id)
    provider.compute.stop(one.id)
    assert provider.addresses.list()[0].attached_to == one.id
    provider.compute.start(one.id)
    wait_until(lambda: answers(address, 8080))
