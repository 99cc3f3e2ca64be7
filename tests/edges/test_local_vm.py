"""Machines of the local-vm provider: made and ended without a trace, and refused in one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from servers import fetch, wait_until
from test_local_instances import traces
from vms import machines

from driftd.core.errors import BadInput, Refused, Unavailable
from driftd.core.facts import InstanceState
from driftd.core.ports import LaunchRequest
from driftd.edges import providers
from driftd.edges.providers.local.vm import disk, machine, qmp
from driftd.edges.providers.local.vm.provider import create

# The first of these may have to build the image.
pytestmark = [pytest.mark.machine, pytest.mark.servers, pytest.mark.timeout(900)]
MEMORY = 96


@pytest.fixture
def tiny(tiny_vm_image, image_cache, login_key):
    with machines(image_cache, tiny_vm_image, login_key) as deployment:
        deployment.make(stop_grace_s=20, memory_mb=MEMORY)
        yield deployment


def test_it_is_found_by_its_name_and_does_not_say_that_it_can_what_it_cannot(tmp_path):
    provider = providers.load("local-vm", {"settings": {"dir": str(tmp_path)}, "groups": {}})
    assert (provider.name, provider.volumes, provider.addresses) == ("local-vm", None, None)
    with pytest.raises(BadInput, match="volumes is not known"):
        create({"settings": {"dir": str(tmp_path), "volumes": {}}})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", sorted(machine.PROGRAMS))
def test_a_missing_program_is_one_sentence_with_its_package(program, tmp_path, monkeypatch):
    for name in set(machine.PROGRAMS) - {program}:
        (tmp_path / name).symlink_to("/bin/true")
    monkeypatch.setattr(machine, "PATH", str(tmp_path))
    with pytest.raises(BadInput, match=f"{program} is not installed") as caught:
        create({"settings": {"dir": str(tmp_path / "d")}}).prepare()
    assert machine.PROGRAMS[program] in caught.value.hint


def test_no_right_to_a_network_device_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "TUN", tmp_path / "tun")
    with pytest.raises(BadInput, match="cannot be opened") as caught:
        create({"settings": {"dir": str(tmp_path / "d")}}).prepare()
    assert "chmod" in caught.value.hint


def test_an_image_without_a_disk_is_refused(tiny, golden_image):
    with pytest.raises(Refused, match="no machine can start from it"):
        tiny.provider.compute.launch(LaunchRequest("web", "web/0", golden_image.id, "t"))
    assert tiny.provider.compute.list({}) == []
    assert not list((tiny.dir / "instances").iterdir())


def test_two_kinds_of_fleet_do_not_share_a_directory(tiny, golden_image):
    tiny.launch(wait=False)
    local = providers.load("local", tiny.options())
    with pytest.raises(Refused, match="fleet of provider local-vm"):
        local.compute.launch(LaunchRequest("web", "web/1", golden_image.id, "t"))


def test_the_seed_ends_with_the_host_key_which_is_for_root_alone(tiny):
    """Where the key is, all of the seed is: that is how the first boot is told from others."""
    server = tiny.launch(wait=False)
    with tarfile.open(tiny.home(server).path / "seed.tar") as seed:
        members = seed.getmembers()
    assert (members[-1].name, members[-1].mode, members[-1].uid) == (machine.HOST_KEY, 0o600, 0)
    assert {"etc/hostname", "etc/hosts", "root/.ssh/authorized_keys"} < {member.name for member in members}
    assert (tiny.home(server).path / "seed.tar").stat().st_mode & 0o777 == 0o600


def test_the_power_button_ends_a_machine_that_has_booted(tiny):
    server = tiny.launch(wait=False)
    tiny.ready(server, (8080,))
    assert fetch(server.address, 8080, "/healthz") == "well\n"
    status = Path(f"/proc/{tiny.home(server).pid()}/status").read_text()
    assert "\nUid:\t65534\t65534\t65534\t65534" in status, "it runs without root's rights"
    assert "\nSeccomp:\t2" in status
    began = time.monotonic()
    tiny.provider.compute.stop(server.id)
    assert time.monotonic() - began < 20, "by itself, not by force"
    assert tiny.provider.compute.describe(server.id).state is InstanceState.STOPPED
    assert {one for one in traces(tiny) if not one.startswith("device dd")} == set(), "only the bridge is left"


def test_a_machine_that_dies_is_stopped_not_running_and_starts_again(tiny):
    server = tiny.launch(wait=False)
    compute = tiny.provider.compute
    os.kill(tiny.home(server).pid(), signal.SIGKILL)
    wait_until(lambda: compute.describe(server.id).state is InstanceState.STOPPED)
    compute.start(server.id)
    assert compute.describe(server.id).state is InstanceState.RUNNING
    tiny.ready(server, (8080,))


def test_a_machine_that_cannot_start_says_why_and_its_launch_can_be_finished(tiny):
    request = LaunchRequest("web", "web/0", tiny.image.id, "t")
    tiny.provider._kind._memory_mb = 10**8
    with pytest.raises(Unavailable, match=r"did not start: .*memory"):
        tiny.provider.compute.launch(request)
    tiny.provider._kind._memory_mb = MEMORY
    assert tiny.provider.compute.launch(request).state is InstanceState.RUNNING
    assert len(tiny.provider.compute.list({})) == 1


SCRIPT = """
import json, sys
from driftd.core.ports import LaunchRequest
from driftd.edges.providers.local.vm.provider import create
provider = create(json.load(sys.stdin))
provider.compute.launch(LaunchRequest("web", "web/0", sys.argv[1], "from-another-process"))
print("launched", flush=True)
import time; time.sleep(600)
"""


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.1, 0.2, None])
def test_a_launch_killed_half_way_is_finished_by_its_retry_and_clean_leaves_no_trace(tiny, after_s):
    """Killed that long after it began to write, or (None) once it had launched."""
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, tiny.image.id], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child.stdin.write(json.dumps(tiny.options(memory_mb=MEMORY)))
    child.stdin.close()
    if after_s is None:
        assert child.stdout.readline() == "launched\n"
    else:
        wait_until((tiny.dir / "lock").exists)
        time.sleep(after_s)  # where it is struck is the point of the test
    child.kill()
    child.wait()
    child.stdout.close()
    compute = tiny.make(memory_mb=MEMORY, stop_grace_s=1).compute
    server = compute.launch(LaunchRequest("web", "web/0", tiny.image.id, "from-another-process"))
    assert [one.id for one in compute.list({})] == [server.id]
    assert qmp.ask(tiny.home(server).path / "qmp", "query-status")["status"] == "running"
    assert len(traces(tiny)) >= 3, "a bridge, a cable and a process"
    assert f"instance {server.id}" in tiny.clean()
    assert traces(tiny) == set()
    assert list(tiny.dir.iterdir()) == []


def test_a_monitor_that_says_nonsense_is_unavailable(tmp_path):
    import socket
    import threading

    path = tmp_path / "qmp"
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen()

        def serve():
            for said in (b"nonsense\n", b"", b'{"QMP": {}}\n{"error": {"desc": "no"}}\n'):
                wire, _ = door.accept()
                with wire:
                    wire.sendall(said)
                    wire.recv(100)

        thread = threading.Thread(target=serve)
        thread.start()
        for _ in range(3):
            with pytest.raises(Unavailable, match="monitor"):
                qmp.ask(path, "query-status", timeout_s=2)
        thread.join()
    with pytest.raises(Unavailable, match="does not answer"):
        qmp.ask(tmp_path / "nobody", "query-status")


def test_disk_and_initial_ram_disk_are_the_same_for_the_same_tree(tmp_path, tiny_vm_image):
    def digest(path):
        return hashlib.sha256(path.read_bytes()).hexdigest()

    for number in (0, 1, 2):  # the first one reads files, and moves the atimes of those nobody read for a day
        disk.make_disk(tiny_vm_image.rootfs, tmp_path / f"disk{number}", 64)
        disk.make_initrd(tiny_vm_image.rootfs, tmp_path / f"initrd{number}")
    assert digest(tmp_path / "disk1") == digest(tmp_path / "disk2")
    assert digest(tmp_path / "initrd1") == digest(tmp_path / "initrd2")
    assert subprocess.run(["e2fsck", "-fn", tmp_path / "disk1"], capture_output=True, check=False).returncode == 0
