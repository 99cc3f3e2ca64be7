"""The Debian package and its units, for real: installed, upgraded, removed and purged in a root directory; started by
systemd in a machine of its own, hung, started again and stopped there. One boot: three minutes under emulation.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import packaged
import pytest
from servers import wait_until
from vms import BOOT_S, Vm, machines

from driftd.edges.providers.local import debian

pytestmark = [pytest.mark.machine, pytest.mark.servers, pytest.mark.timeout(1800)]

UNITS = ("driftd.service", "driftd-self.service", "driftd-self.timer")
CONFIGURED = "# somebody's own\n"
START_S = 900.0
# What the provider gives a machine after it was baked, and what the daemon that ran on it left.
PROVIDED = {
    ("kernel", "cmdline"),
    ("key", "root"),
    ("file", "/etc/systemd/network/10-wire.network"),
    ("listener", "tcp 0.0.0.0:8080"),
    ("file", "/var/lib/driftd/driftd.db"),
    ("file", "/var/lib/driftd/driftd.db.checkpoint.json"),
}


@pytest.fixture(scope="module")
def base(image_cache) -> Path:
    return packaged.ensure_base(image_cache)


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Iterator[tuple[Path, Path]]:
    """Two versions of it."""
    folder = tmp_path_factory.mktemp("packages")
    built = packaged.built(folder)
    yield built, packaged.newer(built, "0.9.9")
    shutil.rmtree(folder)


# --- the package, in a system that does not run; one test after the other ---------------------------------------------


@pytest.fixture(scope="module")
def rootfs(base, packages, tmp_path_factory) -> Iterator[Path]:
    """A system with the first version installed."""
    root = tmp_path_factory.mktemp("system") / "root"
    debian.unpack(base, root)
    packaged.install(root, packages[0])
    yield root
    shutil.rmtree(root)


def test_nothing_in_it_tells_where_it_was_built(packages, tmp_path):
    """No path of the building machine, and nothing of where its libraries were brought from."""
    subprocess.run(["dpkg-deb", "--raw-extract", packages[0], tmp_path / "x"], check=True)
    here = str(packaged.REPO).encode()
    files = [path for path in (tmp_path / "x").rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 1000
    assert [path for path in files if path.name == "direct_url.json" or here in path.read_bytes()] == []


def test_installed_it_runs_with_its_own_libraries_and_nothing_is_enabled(rootfs):
    said = packaged.enter(rootfs, "cd /; driftd --version; id -un driftd; ls /etc/systemd/system/*.wants").splitlines()
    assert said[:2] == ["driftd 0.1.0", "driftd"]
    assert not any("driftd" in line for line in said[2:])
    assert list((rootfs / "usr/lib/driftd").rglob("driftd/**/daemon.cpython-*.pyc")), "compiled when it was installed"
    state = (rootfs / "var/lib/driftd").stat()
    assert (state.st_mode & 0o777, state.st_uid != 0) == (0o750, True)
    assert (rootfs / "etc/driftd/credentials").stat().st_mode & 0o777 == 0o700


def test_its_units_are_right_where_they_are_installed(rootfs):
    units = " ".join(f"/usr/lib/systemd/system/{unit}" for unit in UNITS)
    assert "driftd" not in packaged.enter(rootfs, f"systemd-analyze verify --man=no {units}")


def test_the_shells_complete_its_commands(rootfs):
    asked = "COMP_CWORD=1 COMP_WORDS='driftd jour' _DRIFTD_COMPLETE=complete_bash driftd"
    script = f"source /usr/share/bash-completion/completions/driftd; complete -p driftd; cd /; {asked}"
    assert "journal" in packaged.enter(rootfs, f"bash -ec {shlex.quote(script)}").split()


def test_its_configuration_is_one_and_looks_at_nobody(rootfs):
    said = packaged.enter(rootfs, "cd /; driftd audit || echo status $?")
    assert "no group is configured" in said
    assert "status 2" in said.splitlines()


def bake(root: Path, folder: Path, *words: str) -> None:
    """The manifest of a system, as its builder makes it."""
    command = [sys.executable, "-m", "driftd", "bake", "--root", root, "--image", "own", "-o", "self.manifest", *words]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)


def test_an_instance_that_looks_at_itself_says_how_it_is(rootfs, tmp_path):
    """By the unit's own command. There is drift: its kernel is another and no systemd runs; but no file differs."""
    bake(rootfs, tmp_path)
    for one in tmp_path.glob("self.*"):
        shutil.copy(one, rootfs / "etc/driftd")
    shutil.copytree(tmp_path / "keys", rootfs / "var/lib/driftd/keys")
    unit = (rootfs / "usr/lib/systemd/system/driftd-self.service").read_text().splitlines()
    (command,) = [line.removeprefix("ExecStart=") for line in unit if line.startswith("ExecStart=")]
    values = [line.removeprefix("Environment=").strip('"') for line in unit if line.startswith("Environment=")]
    said = packaged.enter(
        rootfs,
        "\n".join(
            [
                *(f"{name}={shlex.quote(value)}" for name, _, value in (one.partition("=") for one in values)),
                "mkdir -p /run/driftd-self; cd /",
                f"{command} || echo status $?",
                "echo; cat /run/driftd-self/report.json",
            ]
        ),
    )
    words, _, report = said.partition("\n{")
    # What it complains of comes after what it prints.
    found, _ = json.JSONDecoder().raw_decode("{" + report)
    (one,) = found["instances"]
    assert "status 1" in words
    assert "/ is drifted: " in said
    assert one["verdict"] == "drifted"
    assert [f["subject"] for f in one["findings"] if f["kind"] in {"file", "directory", "link"}] == []


def test_an_upgrade_keeps_state_and_configuration(rootfs, packages):
    (rootfs / "etc/driftd/driftd.yaml").open("a").write(CONFIGURED)
    packaged.enter(rootfs, "cd /; su -s /bin/sh driftd -c 'touch /var/lib/driftd/driftd.db'; systemctl enable driftd")
    old = set((rootfs / "usr/lib/driftd").rglob("*.pyc"))
    said = packaged.install(rootfs, packages[1])
    assert "Unpacking driftd (0.9.9-1) over (0.1.0-1)" in said
    assert packaged.enter(rootfs, "cd /; driftd --version") == "driftd 0.9.9\n"
    assert (rootfs / "var/lib/driftd/driftd.db").exists()
    assert (rootfs / "etc/driftd/driftd.yaml").read_text().endswith(CONFIGURED)
    assert (rootfs / "etc/systemd/system/multi-user.target.wants/driftd.service").is_symlink()
    assert set((rootfs / "usr/lib/driftd").rglob("*.pyc")) == old


def test_removed_it_leaves_what_it_knows_and_how_it_was_set_up(rootfs):
    packaged.enter(rootfs, "dpkg --remove driftd")
    assert not (rootfs / "usr/lib/driftd").exists()
    assert not (rootfs / "usr/bin/driftd").exists()
    assert (rootfs / "var/lib/driftd/driftd.db").exists()
    assert (rootfs / "etc/driftd/driftd.yaml").read_text().endswith(CONFIGURED)


def test_purged_it_leaves_what_a_person_brought(rootfs):
    packaged.enter(rootfs, "dpkg --purge driftd; ! dpkg-query -W driftd 2>/dev/null")
    assert not (rootfs / "var/lib/driftd").exists()
    assert not (rootfs / "etc/systemd/system/multi-user.target.wants/driftd.service").is_symlink()
    assert sorted(one.name for one in (rootfs / "etc/driftd").iterdir()) == ["self.manifest", "self.sidecar"]
    left = [path for path in rootfs.rglob("*driftd*") if not path.is_relative_to(rootfs / "etc/driftd")]
    known = {"10-driftd-demo.conf", "driftd"}  # the directory in /etc, and sshd's settings where the image has them
    assert [path for path in left if path.name not in known and "deb-systemd" not in str(path)] == []


# --- the service, in a machine that runs; one test after the other ----------------------------------------------------


@dataclass
class Service:
    """The machine that it runs on."""

    vm: Vm

    def of(self, name: str) -> str:
        """One of its properties."""
        return self.vm.ssh(f"systemctl show driftd -p {name} --value").strip()

    def log(self) -> str:
        return self.vm.ssh("journalctl -u driftd -o cat --no-pager")

    def until(self, test: str, what: str, timeout_s: float) -> None:
        """Wait for a shell's test, inside of the machine: each way in costs it seconds that the daemon would need."""
        script = f"for turn in $(seq 15); do if {test}; then echo yes; break; fi; sleep 3; done"
        wait_until(lambda: "yes" in self.vm.ssh(script), what, timeout_s)

    def active(self) -> None:
        self.until("systemctl --quiet is-active driftd", "an active service", START_S)


@pytest.fixture(scope="module")
def service(base, packages, tmp_path_factory, login_key) -> Iterator[Service]:
    """A machine with the package, which was enabled, and set up as docs/service.md says."""
    work = tmp_path_factory.mktemp("machine")
    # As the provider's programs run as nobody.
    work.chmod(0o755)
    work.parent.chmod(0o755)
    built = packaged.machine_image(work / "images", base, packages[0], packaged.configure)
    with machines(work / "images", built, login_key) as deployment:
        deployment.make(memory_mb=512)
        vm = Vm(deployment, deployment.launch(wait=False), built)
        deployment.ready(vm.instance, (22,))
        found = Service(vm)
        # To start Python alone takes most of a minute there, and several on a busy machine.
        found.active()
        yield found
    shutil.rmtree(work)


@pytest.mark.soak  # to boot and to start it takes six minutes, under emulation
def test_it_is_active_once_it_said_that_it_is_ready(service):
    """``Type=notify``: it is active by what the daemon says."""
    assert (service.of("ActiveState"), service.of("SubState"), service.of("Type")) == ("active", "running", "notify")
    log = service.log()
    assert log.index("driftd is running") < log.index("Started driftd.service")
    stands = "1 instance (1 unknown), no open replacements"
    service.until(f'systemctl show driftd -p StatusText | grep -qxF "StatusText={stands}"', "its standing", START_S)


@pytest.mark.soak
def test_it_runs_as_its_own_user_without_any_right(service):
    said = service.vm.ssh("cat /proc/$(systemctl show driftd -p MainPID --value)/status; id -u driftd")
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in said.splitlines())}
    uid = said.split()[-1]
    assert uid != "0"
    assert fields["Uid"] == [uid] * 4
    assert fields["CapEff"] == fields["CapPrm"] == fields["CapBnd"] == ["0" * 16]
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == (["1"], ["2"])


@pytest.mark.soak  # four minutes: Python starts twice, under emulation
def test_one_that_hangs_is_ended_and_started_again(service):
    """It is stopped in its tracks, so that it pings no more; its successor takes over its lease and its store."""
    hung, restarts = service.of("MainPID"), int(service.of("NRestarts"))
    service.vm.ssh(f"kill -STOP {hung}")
    service.until(f"test $(systemctl show driftd -p NRestarts --value) -gt {restarts}", "the watchdog", BOOT_S)
    service.active()
    service.until("systemctl show driftd -p StatusText | grep -q '1 unknown'", "its standing again", START_S)
    assert service.of("MainPID") not in {hung, "0"}
    log = service.log()
    assert "Failed with result 'watchdog'" in log
    assert "most recent call first" in log, "where each thread stood is in the log"
    assert "PRIVATE KEY" not in log


@pytest.mark.soak
def test_it_stops_cleanly_and_signs_with_the_key_that_systemd_gave_it(service, tmp_path):
    """Only by a credential it gets that key: the file is root's alone."""
    service.vm.ssh("systemctl stop driftd")
    assert (service.of("Result"), service.of("ExecMainStatus"), service.of("ActiveState")) == (
        "success",
        "0",
        "inactive",
    )
    said = service.vm.ssh(
        "stat -c '%U %a' /etc/driftd/credentials/signing_key /var/lib/driftd /var/lib/driftd/driftd.db /run/driftd; "
        "cat /var/lib/driftd/driftd.db.checkpoint.json; ls -A /run/credentials/driftd.service 2>&1 || :"
    )
    files, _, rest = said.partition("{")
    assert files.splitlines() == ["root 600", "driftd 750", "driftd 600", "driftd 755"]
    envelope, _, after = rest.rpartition("}")
    assert json.loads("{" + envelope + "}")["signatures"][0]["sig"]
    assert "No such file" in after


@pytest.mark.soak  # four minutes of looking, under emulation
def test_a_machine_that_looks_at_itself_finds_that_it_is_as_baked(service, tmp_path):
    """What the unit keeps from it keeps nothing from the look, and nothing of the unit's is taken for drift."""
    vm = service.vm
    vm.ssh("systemctl stop driftd; systemctl is-active driftd || :")
    bake(vm.image.rootfs, tmp_path, "--sign-with", str(vm.image.rootfs / "etc/driftd/credentials/signing_key"))
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for one in tmp_path.glob("self.*"):
            tar.add(one, f"etc/driftd/{one.name}")
        tar.add(tmp_path / "keys", "var/lib/driftd/keys")
    ssh = vm.deployment.ssh_command(vm.instance, "tar x --no-same-owner -C /")
    subprocess.run(ssh, stdin=(tmp_path / "x.tar").open("rb"), check=True, timeout=170)
    vm.ssh("systemctl start --no-block driftd-self")
    ended = "systemctl show driftd-self -p ExecMainExitTimestampMonotonic --value"
    service.until(f"test $({ended}) -gt 0", "the end of the look", 1500)
    log = vm.ssh("journalctl -u driftd-self -o cat --no-pager")
    report = vm.ssh("cat /run/driftd-self/report.json || :")
    assert report, log
    (one,) = json.loads(report)["instances"]
    found = {(f["kind"], f["subject"].rpartition(" SHA256:")[0] or f["subject"]) for f in one["findings"]}
    assert found - PROVIDED == {("session", f["subject"]) for f in one["findings"] if f["kind"] == "session"}, log
    assert one["coverage"]["kept"] == []
