"""Instances of the local provider: real servers that outlive driftd and leave nothing behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from servers import LocalDeployment, answers, fetch, wait_until

from driftd.core.errors import NoCapacity, Unavailable
from driftd.core.facts import InstanceState
from driftd.core.ports import LaunchRequest
from driftd.edges.providers.local import compute as local_compute
from driftd.edges.providers.local import fleet, image, namespaces, network
from driftd.edges.providers.local.deployment import Deployment
from driftd.edges.providers.local.instance import Home

pytestmark = pytest.mark.servers


def home(local, instance):
    return Home(Deployment.at(local.dir), instance.id)


def devices():
    return {
        line.split()[0].partition("@")[0]
        for line in subprocess.check_output(["ip", "-br", "link"], text=True).splitlines()
    }


def traces(local):
    """Everything of a deployment that the machine knows of: devices, processes, mounts."""
    key = Deployment.at(local.dir).key
    found = {f"device {name}" for name in devices() if key in name}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str(local.dir).encode() in (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes():
                    found.add(f"process {entry.name}")
                if str(local.dir) in (entry / "mountinfo").read_text(errors="replace"):
                    found.add(f"mounted in {entry.name}")
            except OSError:
                continue
    return found - {f"process {os.getpid()}"}


def test_a_server_has_ssh_http_a_name_and_a_key_that_the_provider_vouches_for(local_deployment):
    begun = time.monotonic()
    server = local_deployment.launch(wait=False)
    launched = time.monotonic() - begun
    wait_until(lambda: answers(server.address, 22))
    print(f"\ncreate to launched {launched:.3f} s, to ssh {time.monotonic() - begun:.3f} s")  # noqa: T201 - a measurement, shown by -s
    local_deployment.ready(server)
    assert local_deployment.ssh(server, "cat /etc/hostname; hostname; id -un").split() == [server.id, server.id, "root"]
    assert fetch(server.address, 8080) == f"host {server.id}\napp 1\n"
    assert server.reach.host_keys[0].startswith("ssh-ed25519 ")
    assert server.reach.key_file == str(local_deployment.key)


def test_the_upper_directory_holds_first_boot_and_nothing_else(local_deployment):
    server = local_deployment.launch()
    upper = local_deployment.upper(server)
    files = {str(path.relative_to(upper)) for path in upper.rglob("*") if not path.is_dir()}
    # When the first lines are logged is rsyslog's to say.
    assert files - {"var/log/syslog", "var/log/auth.log"} == {
        "etc/hostname",
        "etc/hosts",
        "etc/ssh/ssh_host_ed25519_key",
        "etc/ssh/ssh_host_ed25519_key.pub",
        "root/.ssh/authorized_keys",
    }
    local_deployment.ssh(server, "echo changed >>/etc/motd; rm /etc/debian_version")
    assert (upper / "etc/motd").read_text().endswith("changed\n")
    assert (upper / "etc/debian_version").is_char_device()
    modes = {name: oct((upper / name).stat().st_mode & 0o7777) for name in ("root/.ssh", "etc", "etc/ssh", "root", "")}
    assert modes == {"root/.ssh": "0o700", "etc": "0o755", "etc/ssh": "0o755", "root": "0o700", "": "0o755"}


def test_servers_are_apart_from_each_other_and_from_the_host(local_deployment):
    one, two = local_deployment.launch("web/0"), local_deployment.launch("web/1")
    assert "default" not in local_deployment.ssh(one, "ip route")
    assert two.id not in local_deployment.ssh(one, "cat /etc/hosts; ps ax")
    assert answers(two.address, 22)
    # The kernel's settings are the host's: read, not written.
    said = local_deployment.ssh(one, "echo 1 2>&1 >/proc/sys/kernel/panic; hostname other; hostname")
    assert "Read-only file system" in said
    assert os.uname().nodename != "other"


def test_twenty_at_once(local_deployment):
    local_deployment.make()
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        servers = list(pool.map(lambda n: local_deployment.launch(f"web/{n}"), range(20)))
    print(f"\ntwenty servers that answer on SSH and HTTP: {time.monotonic() - begun:.2f} s")  # noqa: T201 - a measurement, shown by -s
    assert len({one.address for one in servers}) == len({one.id for one in servers}) == 20
    assert {one.id for one in local_deployment.provider.inventory.find("web")} == {one.id for one in servers}
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(local_deployment.provider.compute.terminate, [one.id for one in servers]))
    print(f"ended in {time.monotonic() - begun:.2f} s")  # noqa: T201 - a measurement, shown by -s
    assert local_deployment.provider.compute.list({}) == []


def test_one_token_sent_by_many_at_once_makes_one_server(local_deployment):
    compute = local_deployment.make().compute
    request = LaunchRequest("web", "web/0", local_deployment.image.id, "same")
    with ThreadPoolExecutor(8) as pool:
        assert len({one.id for one in pool.map(lambda _: compute.launch(request), range(8))}) == 1
    assert len(compute.list({})) == 1


def test_a_request_in_flight_is_answered_before_the_end(local_deployment):
    server = local_deployment.launch()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(fetch, server.address, 8080, "/slow?s=1")
        time.sleep(0.3)  # the request must be on its way; there is nothing to poll for
        local_deployment.provider.compute.terminate(server.id)
        assert "slept 1 s" in answer.result()


def test_what_ignores_term_is_ended_by_force(local_deployment):
    local_deployment.make(stop_grace_s=0.5)
    server = local_deployment.launch()
    pid = home(local_deployment, server).pid()
    os.kill(pid, signal.SIGSTOP)
    local_deployment.provider.compute.terminate(server.id)
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(") ")[2][:1]
    except OSError:  # gone, all of it
        state = ""
    assert state in {"", "Z"}
    assert not local_deployment.upper(server).exists()


def test_a_server_that_dies_is_stopped_not_running_and_starts_again(local_deployment):
    server = local_deployment.launch()
    compute = local_deployment.provider.compute
    os.kill(home(local_deployment, server).pid(), signal.SIGKILL)
    wait_until(lambda: compute.describe(server.id).state is InstanceState.STOPPED)
    compute.start(server.id)
    local_deployment.ready(server)
    assert compute.describe(server.id).reach.host_keys == server.reach.host_keys


def test_a_recycled_process_id_is_never_taken_for_ours(local_deployment):
    server = local_deployment.launch()
    here = home(local_deployment, server)
    boot, stat = (here.path / "init").read_text().splitlines()
    with subprocess.Popen(["sleep", "60"]) as bystander:
        try:
            fields = stat.split(" ")
            fields[0] = str(bystander.pid)
            (here.path / "init").write_text(f"{boot}\n{' '.join(fields)}\n")
            assert here.pid() == 0
            (here.path / "init").write_text(f"another-boot\n{stat}\n")
            assert here.pid() == 0
            assert bystander.poll() is None
        finally:
            bystander.kill()
    (here.path / "init").write_text(f"{boot}\n{stat}\n")
    assert here.pid() > 0


SCRIPT = """
import json, sys
from driftd.core.ports import LaunchRequest
from driftd.edges.providers.local.provider import create
provider = create(json.load(sys.stdin))
provider.compute.launch(LaunchRequest("web", "web/0", sys.argv[1], "from-another-process"))
print("launched", flush=True)
sys.stdin.close()
import time; time.sleep(600)
"""


def other_process(local):
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, local.image.id], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child.stdin.write(json.dumps(local.options()))
    child.stdin.close()
    return child


def test_a_server_outlives_who_launched_it_and_any_process_can_end_it(local_deployment):
    child = other_process(local_deployment)
    assert child.stdout.readline() == "launched\n"
    child.kill()
    child.wait()
    child.stdout.close()
    compute = local_deployment.make().compute
    (server,) = compute.list({"driftd:token": "from-another-process"})
    local_deployment.ready(server)
    compute.terminate(server.id)
    assert not local_deployment.upper(server).exists()


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.13, 0.17])
def test_a_launch_killed_half_way_is_finished_by_its_retry_or_removed(local_deployment, after_s):
    child = other_process(local_deployment)
    wait_until((local_deployment.dir / "lock").exists)
    time.sleep(after_s)  # where it is struck is the point of the test
    child.kill()
    child.wait()
    child.stdout.close()
    compute = local_deployment.make().compute
    token = {"driftd:token": "from-another-process"}
    assert len(compute.list(token)) <= 1
    server = compute.launch(LaunchRequest("web", "web/0", local_deployment.image.id, "from-another-process"))
    local_deployment.ready(server)
    assert [one.id for one in compute.list(token)] == [server.id]
    assert [one.id for one in compute.list({})] == [server.id]
    local_deployment.clean()
    assert traces(local_deployment) == set()


def test_a_launch_that_was_cut_off_goes_on_with_the_next_start(local_deployment):
    compute = local_deployment.make().compute

    def cut_off(*_words):
        raise KeyboardInterrupt

    request = LaunchRequest("web", "web/0", local_deployment.image.id, "cut-off")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(namespaces.Namespaces, "start", cut_off)
        with pytest.raises(KeyboardInterrupt):
            compute.launch(request)
    assert [one.state for one in compute.list({})] == [InstanceState.PENDING]
    [server] = local_deployment.make().compute.list({})
    assert server.state is InstanceState.RUNNING
    local_deployment.ready(server)


def test_a_full_disk_at_the_start_leaves_what_was_cut_off_for_later(local_deployment, monkeypatch):
    """What is up goes on, and the daemon starts."""
    one, two = local_deployment.launch("web/0"), local_deployment.launch("web/1")
    home(local_deployment, one).save(desired="launching")
    home(local_deployment, two).save(desired="gone")

    def full(*_words, **_more):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Home, "save", full)
        compute = local_deployment.make().compute
        states = {found.id: found.state for found in compute.list({})}
        assert states == {one.id: InstanceState.PENDING, two.id: InstanceState.SHUTTING_DOWN}
    compute = local_deployment.make().compute
    assert [(found.id, found.state) for found in compute.list({})] == [(one.id, InstanceState.RUNNING)]


def test_an_ending_that_was_cut_off_is_finished(local_deployment):
    one, two = local_deployment.launch("web/0"), local_deployment.launch("web/1")
    with home(local_deployment, one).busy():
        home(local_deployment, one).save(desired="gone")
    compute = local_deployment.provider.compute
    assert compute.describe(one.id).state is InstanceState.SHUTTING_DOWN
    (local_deployment.dir / "instances" / ".gone-i-half").mkdir()
    assert set(fleet.sweep_leftovers(local_deployment.dir)) == {one.id, "i-half"}
    assert [left.id for left in compute.list({})] == [two.id]
    assert fetch(two.address, 8080)
    assert fleet.sweep_leftovers(local_deployment.dir) == []


def test_clean_removes_everything_and_says_what(local_deployment):
    local_deployment.make(traffic=True)
    server = local_deployment.launch()
    local_deployment.provider.traffic.register("web", server)
    assert len(traces(local_deployment)) > 3
    found = local_deployment.clean()
    assert found == [f"instance {server.id}", "load balancer", f"network {Deployment.at(local_deployment.dir).bridge}"]
    assert traces(local_deployment) == set()
    assert list(local_deployment.dir.iterdir()) == []
    assert local_deployment.clean() == []


@pytest.mark.machine
def test_what_root_made_immutable_and_deep_is_removed_all_the_same(local_deployment):
    server = local_deployment.launch()
    upper = local_deployment.upper(server)
    local_deployment.ssh(server, "mkdir -p /srv/keep && echo x >/srv/keep/file")
    local_deployment.provider.compute.stop(server.id)
    dig = "import os\nfor _ in range(1500): os.mkdir('d'); os.chdir('d')"
    subprocess.run([sys.executable, "-c", dig], cwd=upper / "srv", check=True)
    subprocess.run(["chattr", "+i", upper / "srv/keep/file", upper / "srv/keep"], check=True)
    local_deployment.provider.compute.terminate(server.id)
    assert list((local_deployment.dir / "instances").iterdir()) == []


def test_a_full_disk_is_one_sentence_and_leaves_no_instance(local_deployment, monkeypatch):
    local_deployment.dir.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", local_deployment.dir], check=True)
    try:
        compute = local_deployment.make().compute
        (local_deployment.dir / "filler").write_bytes(b"x" * 40960)
        request = LaunchRequest("web", "web/0", local_deployment.image.id, "t", {"big": "x" * 16384})
        with pytest.raises(NoCapacity, match="has 0 MiB left"):
            compute.launch(request)
        monkeypatch.setattr(local_compute, "ROOM_MB", 0)  # as if it filled up meanwhile
        with pytest.raises(Unavailable, match="No space left"):
            compute.launch(request)
        assert compute.list({}) == []
        (local_deployment.dir / "filler").unlink()
        assert not list((local_deployment.dir / "instances").iterdir())
    finally:
        local_deployment.clean()
        subprocess.run(["umount", local_deployment.dir], check=True)


def test_two_deployments_never_meet(local_deployment, tmp_path_factory, golden_image, image_cache, login_key):
    other = LocalDeployment(local_deployment.root / "other", image_cache, golden_image, login_key)
    try:
        one, two = local_deployment.launch(), other.launch()
        assert one.address.rsplit(".", 2)[0:2] != two.address.rsplit(".", 2)[0:2] or one.address != two.address
        assert [found.id for found in other.provider.compute.list({})] == [two.id]
        local_deployment.clean()
        assert fetch(two.address, 8080)
    finally:
        other.clean()
    assert traces(other) == set()


def test_another_release_is_another_image_and_only_the_application_differs(
    golden_image, second_image, local_deployment
):
    assert golden_image.id != second_image.id
    differing = subprocess.run(
        ["diff", "-rq", "--no-dereference", golden_image.rootfs, second_image.rootfs],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()
    assert len(differing) == 1
    assert differing[0].endswith("opt/web/app.py differ")
    server = local_deployment.launch(image=second_image.id)
    assert "app 2" in fetch(server.address, 8080)
    assert server.image == second_image.id


def test_the_image_is_found_by_its_id_only(image_cache, golden_image):
    assert image.find(image_cache, golden_image.id) == golden_image.rootfs
    for other in ("web-000000000000", "", "..", f"../images/{golden_image.id}", ".work", f"{golden_image.id}/rootfs"):
        assert image.find(image_cache, other) is None


def test_a_preflight_says_what_is_lacking_and_makes_nothing(local_deployment, monkeypatch):
    provider = local_deployment.make()
    request = LaunchRequest("web", "web/0", local_deployment.image.id, "token")

    def why(**changes):
        return provider.compute.preflight(replace(request, **changes))

    assert why() == ""
    assert "image 'web-none' is not in" in why(image="web-none")
    assert "nobody could log in to a new instance of group other" in why(group="other")
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=60 << 20))
    assert why().endswith("has 60 MiB left, a launch wants 64")
    with pytest.raises(NoCapacity):
        provider.compute.launch(request)
    monkeypatch.undo()
    monkeypatch.setattr(network, "MOVABLE", 1024 - 10 - 1)  # room for one
    one = local_deployment.launch("web/1")
    assert why().startswith("the private network 10.")
    with pytest.raises(NoCapacity, match="is full"):
        provider.compute.launch(request)
    assert [left.id for left in provider.compute.list({})] == [one.id]
