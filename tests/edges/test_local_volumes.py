"""Data volumes and movable addresses of the local provider, on running servers."""

from __future__ import annotations

import json
import subprocess
import time
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from servers import answers, fetch, wait_until

from driftd.core.errors import Refused
from driftd.edges.providers.local import network
from driftd.edges.providers.local.tools import owns_machine, write_json

pytestmark = pytest.mark.servers


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


@pytest.mark.skipif(not owns_machine(), reason="an ordinary user's volumes are directories")
def test_a_volume_leaves_no_loop_device_and_no_mount_here(local_deployment, pair):
    one, _ = pair
    local_deployment.provider.volumes.attach("data", one.id)
    name = local_deployment.root.name  # losetup may show a path as another root sees it
    assert name in subprocess.check_output(["losetup", "-l"], text=True)
    assert str(local_deployment.dir) not in Path("/proc/self/mountinfo").read_text()
    local_deployment.provider.compute.terminate(one.id)
    wait_until(lambda: name not in subprocess.check_output(["losetup", "-l"], text=True))


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
