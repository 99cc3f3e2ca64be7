"""A machine with a kernel, a systemd and a journal of its own, as driftd sees it over SSH. One boot, and one more.

First it is pristine. Then a person changes it in every way: each changed fact is found, and nothing else is. At last
it is switched off and on. Each look reads everything there is, under emulation.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from changes_vm import AFTER_REBOOT, VM
from changing import Auditor, Told, baked, missing, script, shown, told, unasked

from driftd.core import drift
from driftd.core.facts import InstanceState
from driftd.core.fingerprint import Fingerprint, Reader
from driftd.core.looks import Look
from driftd.core.reconcile import reconcile
from driftd.doors.report import table
from driftd.edges.documents import load_policy
from driftd.flows.audit import Rules
from driftd.probe import bundle, wire

pytestmark = [pytest.mark.machine, pytest.mark.servers, pytest.mark.timeout(900)]

TESTS = Path(__file__).parent.parent
# What a configuration has by itself, and what is true of the tests' own machines.
POLICY = ("debian", "systemd", "sessions", "vm.yaml")
PERSON = told("session", "ssh:root@*")
ENTRIES = {"file", "directory", "link", "device", "fifo", "socket"}
# What systemd, Debian and the provider's seed write at the first boot, and nothing else.
IDENTITY = {
    "/etc/hostname",
    "/etc/hosts",
    "/etc/machine-id",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_ed25519_key.pub",
    "/etc/systemd/network/10-wire.network",
    "/root/.ssh/authorized_keys",
}
FIRST_BOOT = re.compile(
    r"/tmp/\.(ICE|X11|XIM|font|Test)-unix"
    r"|/(var/)?tmp/systemd-private-[0-9a-f]{32}-[\w@.-]+(/tmp)?"
    r"|/var/lib/dbus/machine-id"
    r"|/var/lib/systemd/(linger|random-seed|timers|timers/stamp-[\w-]+\.timer)"
    r"|/var/log/journal/[0-9a-f]{32}(/(system|user-\d+)(@[0-9a-f-]+)?\.journal)?"
    r"|/var/log/(wtmp|btmp|lastlog)"
)


@pytest.fixture(scope="module")
def seen(fresh_vm):
    """One look at the pristine guest, after one login by somebody."""
    assert fresh_vm.ssh("echo somebody was here") == "somebody was here\n"
    return fresh_vm.look(deadline_s=300)


def test_systemd_runs_and_nothing_failed(fresh_vm):  # the fixture has waited for that
    boot_id = "/proc/sys/kernel/random/boot_id"
    files = f"/etc/machine-id {boot_id}"
    said = fresh_vm.ssh(f"cat /proc/1/comm; hostname; cat {files}; uname -r; cat /proc/cmdline; ps -e -o comm")
    pid1, name, machine_id, boot, kernel, line, *programs = said.splitlines()
    assert (pid1, name) == ("systemd", fresh_vm.instance.id)
    assert len(machine_id) == 32
    assert kernel.endswith("-cloud-amd64")
    assert fresh_vm.instance.id not in line, "the kernel's command line is the same for every instance"
    assert boot != Path(boot_id).read_text().strip()
    assert "rsyslogd" not in programs, "its log is the journal's alone"


@pytest.fixture(scope="module")
def manifest(fresh_vm):
    return baked(fresh_vm.image)


class Seen:
    """A looker whose look was had already."""

    def __init__(self, found, key):
        self.found = found
        self.key = key

    def look(self, _instance, **_how):
        return self.found

    def own_key(self, _instance):
        return self.key


def test_of_a_pristine_guest_the_packs_explain_all_but_who_was_there(fresh_vm, manifest, seen):
    rules = Rules(load_policy(POLICY, TESTS))
    looker = Seen(seen, fresh_vm.looker.own_key(fresh_vm.instance))
    look = Auditor(manifest, looker, rules).audit(fresh_vm.instance)
    assert [shown(one) for one in look.judgement.findings if one.kind != "session"] == []
    assert len(look.judgement.explained) > 30
    assert look.coverage.kept == (), "with a kernel, a systemd and root's rights nothing is kept from a look"


def test_a_pristine_guest_differs_from_its_image_by_its_first_boot_alone(manifest, seen):
    """The disk made without a mount is the tree that it was made from: owners, modes, links, attributes."""
    found = {difference.subject.decode() for difference in drift.compare(manifest, seen) if difference.kind in ENTRIES}
    assert found >= IDENTITY
    assert [path for path in sorted(found - IDENTITY) if not FIRST_BOOT.fullmatch(path)] == []
    assert len(seen.entries) > 9000


def test_a_login_without_a_terminal_is_seen_through_the_journal(seen):
    """Debian 12 has no auth.log any more, and wtmp knows only of terminals."""
    gone = [one for one in seen.sessions if not one.live]
    assert gone
    for one in gone:
        assert (one.door, one.user, one.evidence) == ("ssh", "root", "journal")
        assert one.key.startswith("SHA256:")
        assert one.source
    assert [one.evidence for one in seen.sessions if one.ancestor] == ["journal+process"]


def test_its_kernel_is_its_own(fresh_vm):
    """Modules, settings and the session counter, which a shared kernel cannot show."""
    steps = ["modprobe dummy", "grep -q ^dummy /proc/modules", "modprobe -r dummy", "sysctl -q kernel.panic=77"]
    first = int(fresh_vm.ssh(" && ".join([*steps, "cat /proc/self/sessionid"])))
    assert Path("/proc/sys/kernel/panic").read_text() != "77\n"
    second = int(fresh_vm.ssh("sysctl -q kernel.panic=0; cat /proc/self/sessionid"))
    assert first < 100
    assert 1 <= second - first <= 2, "cron may have come between"


def logins(vm) -> Fingerprint:
    """A look at logins; of the tree at its top alone, since all of it takes a minute here."""
    skip = [b"/" + name.encode() for name in vm.ssh("ls /").split()]
    request = bundle.program() + wire.encode_request(b"n" * 16, b"/", [b"sessions"], skip)
    words = vm.deployment.ssh_command(vm.instance, shlex.join(["python3", *bundle.ARGUMENTS]))
    reader = Reader(b"n" * 16, [b"sessions"])
    reader.feed(subprocess.run(words, input=request, capture_output=True, check=True, timeout=300).stdout)
    found = reader.finish()
    assert isinstance(found, Fingerprint), found
    return found


def test_who_was_there_is_known_by_the_journal_and_without_it_by_the_kernels_count(fresh_vm):
    """The cells of the matrix (test_who.py) that need a journal and a kernel of one's own."""
    first = logins(fresh_vm)
    own = next(one for one in first.sessions if one.ancestor)
    assert first.readings.counted
    assert own.number
    assert "logind" in {one.source for one in first.readings.clues}
    own = replace(own, boot=first.boot_id)
    ssh, *rest = fresh_vm.deployment.ssh_command(fresh_vm.instance)
    for words in ([ssh, *rest, "true"], [ssh, "-tt", *rest, "true"], ["sftp", "-b", "/dev/null", *rest]):
        subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=170)
    second = logins(fresh_vm)
    found = reconcile(second.sessions, second.readings, [own], boot_id=first.boot_id).sessions
    assert {one.evidence for one in found} >= {"journal", "journal+lastlog+wtmp", "journal+logind+process"}
    assert {one.confidence for one in found} == {"supported", "proved"}
    assert "counter" not in {one.evidence for one in found}, "the journal tells of everybody"
    fresh_vm.ssh("journalctl -q --rotate; journalctl -q --vacuum-size=1; truncate -s 0 /var/log/wtmp /var/log/lastlog")
    third = logins(fresh_vm)
    assert len(third.sessions) < len(second.sessions)
    found = reconcile(third.sessions, third.readings, [own], boot_id=first.boot_id).sessions
    (somebody,) = [one for one in found if one.evidence == "counter"]
    assert (somebody.user, somebody.confidence, somebody.started_at) == ("", "proved", own.started_at)


def test_what_it_says_on_its_console_fills_no_disk_of_ours(fresh_vm):
    home = fresh_vm.deployment.home(fresh_vm.instance)
    before = sum(path.stat().st_size for path in home.path.iterdir() if path.name != "disk.qcow2")
    fresh_vm.ssh("head -c 200000 /dev/zero | tr '\\0' x >/dev/ttyS0")
    assert len(fresh_vm.deployment.console(fresh_vm.instance)) <= 65536
    assert sum(path.stat().st_size for path in home.path.iterdir() if path.name != "disk.qcow2") == before


@pytest.fixture(scope="module")
def auditor(fresh_vm, manifest) -> Auditor:
    return Auditor(manifest, fresh_vm.looker, Rules(load_policy(POLICY, TESTS)))


@pytest.fixture(scope="module")
def changed(fresh_vm, auditor) -> Look:
    """How it looks after a person has changed it in every way."""
    fresh_vm.ssh(script(VM))
    return auditor.audit(fresh_vm.instance)


@pytest.mark.parametrize("one", VM, ids=lambda one: one.id)
def test_a_change_is_found(changed, one) -> None:
    assert missing(one, changed.judgement.findings) == []


def test_nothing_else_is_found(changed) -> None:
    assert unasked(VM, changed.judgement.findings, PERSON) == []
    assert changed.coverage.kept == (), "with a kernel, a systemd and root's rights nothing is kept from a look"


def test_a_setting_is_told_three_ways(changed) -> None:
    judgement = changed.judgement
    settings = tuple(one for one in judgement.findings if one.kind == "sysctl")
    said = table.text([replace(changed, judgement=replace(judgement, findings=settings))], width=100)
    lines = {line.strip() for line in said.splitlines()}
    assert "live 0, configured 1, baked 1" in lines
    assert "live 2, configured 0, not baked" in lines
    assert "live 1, not configured, not baked" in lines
    assert max(map(len, said.splitlines())) <= 100


@pytest.fixture(scope="module")
def switched(fresh_vm) -> list[str]:
    """What it says of itself before and after it was switched off and on."""
    compute, instance = fresh_vm.deployment.provider.compute, fresh_vm.instance
    before = "cat /proc/sys/kernel/random/boot_id /etc/machine-id; echo kept | tee -a /etc/hosts >/var/lib/mark"
    said = fresh_vm.ssh(before).splitlines()
    began = time.monotonic()
    compute.stop(instance.id)
    assert time.monotonic() - began < 55, "it ended by itself, not by force"
    assert compute.describe(instance.id).state is InstanceState.STOPPED
    compute.start(instance.id)
    assert compute.describe(instance.id).address == instance.address
    fresh_vm.deployment.ready(instance, (22,))
    files = "/var/lib/mark /proc/sys/kernel/random/boot_id /etc/machine-id"
    after = f"tail -n 1 /etc/hosts; cat {files}; journalctl -q -b -1 -t systemd-logind"
    return [*said, *fresh_vm.ssh(after).split("\n", 4)]


def test_power_off_and_on_keeps_disk_name_and_keys(switched):
    boot, machine_id, hosts, kept, now, name, log = switched
    assert (hosts, kept, name) == ("kept", "kept", machine_id), "the seed is for the first boot alone"
    assert now != boot
    assert "Power key pressed" in log


@pytest.fixture(scope="module")
def rebooted(fresh_vm, auditor, changed, switched) -> Look:
    return auditor.audit(fresh_vm.instance)


@pytest.mark.soak
@pytest.mark.parametrize("want", AFTER_REBOOT, ids=lambda want: f"{want.kind}-{want.subject}")
def test_what_outlasts_a_reboot_is_found_after_it(rebooted, want: Told) -> None:
    assert any(want.fits(one) for one in rebooted.judgement.findings)


@pytest.mark.soak
def test_a_reboot_brings_nothing_else(changed, rebooted) -> None:
    assert unasked((), rebooted.judgement.findings, PERSON, *AFTER_REBOOT) == []
    assert rebooted.boot_id != changed.boot_id
