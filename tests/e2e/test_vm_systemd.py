"""A machine with a kernel, a systemd and a journal of its own, as driftd sees it over SSH. One boot, and one more.

First it is pristine. Then a person changes it in every way: each changed fact is found, and nothing else is. At last
it is switched off and on. Each look reads everything there is, under emulation.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from changes_vm import AFTER_REBOOT, VM
from changing import Auditor, Told, baked, missing, script, shown, told, unasked
from servers import wait_until
from vm_logins import WIPED, counted, logins, visit, watched, who

from driftd.core import drift
from driftd.core.facts import InstanceState, Session, Unseen
from driftd.core.looks import Look
from driftd.core.marks import Past
from driftd.core.sessions import untold
from driftd.core.watching import Glimpse, Greeting
from driftd.doors.report import table
from driftd.edges.documents import load_policy
from driftd.flows.audit import Rules

pytestmark = [pytest.mark.machine, pytest.mark.servers, pytest.mark.timeout(900)]

TESTS = Path(__file__).parent.parent
# What a configuration has by itself, and what is true of the tests' own machines.
POLICY = ("debian", "systemd", "sessions", "vm.yaml")
PERSON = told("session", "*")  # whom the cells of the matrix let in
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


def test_who_was_there_is_known_by_the_journal_and_without_it_by_the_kernels_count(fresh_vm):
    """The cells of the matrix (test_who.py) that need a journal and a kernel of one's own."""
    first = logins(fresh_vm)
    own = visit(first)
    assert first.readings.counted
    assert "logind" in {one.source for one in first.readings.clues}
    ssh, *rest = fresh_vm.deployment.ssh_command(fresh_vm.instance)
    for words in ([ssh, *rest, "true"], [ssh, "-tt", *rest, "true"], ["sftp", "-b", "/dev/null", *rest]):
        subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=170)
    second = logins(fresh_vm)
    found = who(second, own)
    assert {one.evidence for one in found} >= {"journal", "journal+lastlog+wtmp", "journal+logind+process"}
    assert {one.confidence for one in found} == {"supported", "proved"}
    assert counted(found) == [], "the journal tells of everybody"
    fresh_vm.ssh(WIPED)
    third = logins(fresh_vm)
    assert len(third.sessions) < len(second.sessions)
    (somebody,) = counted(who(third, own))
    assert (somebody.user, somebody.confidence, somebody.started_at) == ("", "proved", own.started_at)


def test_lines_that_another_program_forged_fill_no_gap_and_accuse_nobody(fresh_vm):
    """Of a program that is gone at once journald knows nothing, so one is written more slowly."""
    own = visit(logins(fresh_vm))
    fresh_vm.ssh("true")
    cron = "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"
    lines = [f"Accepted publickey for alice from 192.0.2.9 port {port} ssh2" for port in range(1, 6)]
    forging = [f"logger -p auth.info -t sshd {shlex.quote(line)}; logger -t CRON {shlex.quote(cron)}" for line in lines]
    slowly = f"(echo {shlex.quote(lines[0])}; sleep 1) | logger -p auth.info -t sshd"
    fresh_vm.ssh("; ".join([WIPED, *forging, slowly]))
    found = who(logins(fresh_vm), own)
    assert [(one.user, one.confidence) for one in counted(found)] == [("", "proved")]
    alice = [one for one in found if one.user == "alice"]
    assert len(alice) == len(lines) + 1
    assert {(one.evidence, one.confidence) for one in alice} == {("claim+log", "unverified")}


def test_what_was_left_running_is_somebodys_where_there_is_no_log(fresh_vm):
    """``cron`` runs, too, and has left something running: that is nobody."""
    conf = "/run/systemd/journald.conf.d/eve.conf"
    fresh_vm.ssh(
        "echo '* * * * * root setsid sleep 3054 >/dev/null 2>&1 &' >/etc/cron.d/eve; "
        f"mkdir -p /run/systemd/journald.conf.d; printf '[Journal]\\nStorage=none\\n' >{conf}; "
        "systemctl restart systemd-journald; mv /var/log/journal /var/log/kept; "
        "rm -rf /run/log/journal; truncate -s 0 /var/log/wtmp /var/log/lastlog"
    )
    fresh_vm.ssh("setsid sleep 3053 </dev/null >/dev/null 2>&1 &")
    try:
        wait_until(lambda: "3054" in fresh_vm.ssh("pgrep -a sleep || :"), "cron's", 90)
        found = logins(fresh_vm)
        left = [one for one in who(found) if "sweep" in one.evidence]
        assert found.readings.since == {}
        assert [(one.door, one.user, one.confidence) for one in left] == [("ssh", "root", "proved")]
        assert left[0].source, "logind knows from where"
        assert {one.peer for one in found.readings.clues if one.source == "sweep"} == {"", left[0].source}
    finally:
        fresh_vm.ssh(
            f"rm /etc/cron.d/eve {conf}; mv /var/log/kept /var/log/journal; pkill sleep; "
            "systemctl restart systemd-journald"
        )


def test_a_watch_sees_whom_nothing_else_tells_of(fresh_vm):
    """He comes through a daemon without PAM and without a log: when he has gone nothing is left of him."""
    daemon = "/usr/sbin/sshd -D -E /dev/null -p 2222 -o UsePAM=no -o PidFile=none"
    fresh_vm.ssh(f"systemd-run -q --unit=silent {daemon}")
    ssh, *rest = fresh_vm.deployment.ssh_command(fresh_vm.instance)
    words = [ssh, "-p", "2222", "-o", f"HostKeyAlias={fresh_vm.instance.address}", *rest, "echo in; read line"]
    with watched(fresh_vm) as heard:

        def shown() -> list[Session]:
            assert not any(isinstance(one, Unseen) for one in heard), heard[-1]
            glimpses = [one for one in list(heard) if isinstance(one, Glimpse) and one.logins and one.seen]
            return [one for glimpse in glimpses for one in glimpse.seen.sessions if one.live]

        wait_until(shown, "the first reading", 240)
        known = {one.port for one in shown()}
        (greeting,) = [one for one in heard if isinstance(one, Greeting)]
        # The guest's python3-minimal has no ctypes; its first namespaces have the kernel's process events.
        assert (greeting.files, greeting.processes, greeting.unwatched) == ("dnotify", "connector", 0)
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
            assert one.stdout.readline() == b"in\n"
            came = wait_until(lambda: [one for one in shown() if one.port not in known], "him", 240)[0]
            one.communicate(b"\n", timeout=60)
    assert (came.door, came.user, came.evidence, came.number) == ("ssh", "root", "process", 0)
    fresh_vm.ssh("systemctl stop silent")
    assert came.port not in {one.port for one in who(logins(fresh_vm))}


def test_a_login_on_the_console_is_seen_live_and_when_it_is_over(fresh_vm):
    getty = "agetty --autologin root --keep-baud 115200 ttyS0 vt220"
    fresh_vm.ssh(f"systemctl stop serial-getty@ttyS0; systemd-run -q --unit=eve-console {getty}")
    try:
        wait_until(lambda: "ttyS0" in fresh_vm.ssh("ps ax -o tty,comm | grep bash || :"), "a shell there", 90)
        live = [one for one in who(logins(fresh_vm)) if one.door == "console" and one.live]
    finally:
        over = "pkill -KILL -t ttyS0 bash; while systemctl -q is-active eve-console; do sleep 0.2; done"
        fresh_vm.ssh(f"{over}; systemctl start serial-getty@ttyS0")
    assert [(one.user, one.tty, one.live, one.confidence) for one in live] == [("root", "ttyS0", True, "proved")]
    over = [one for one in who(logins(fresh_vm)) if one.door == "console"][-1]
    assert (over.started_at, over.tty, over.live) == (live[0].started_at, "ttyS0", False)
    assert (over.user, over.confidence) == ("root", "supported")
    assert over.ended_at


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


@dataclass(frozen=True)
class Switched:
    """What it says of itself before and after it was switched off and on; ``since``: its clock at the last look."""

    before: list[str]
    since: int
    after: list[str]


@pytest.fixture(scope="module")
def switched(fresh_vm) -> Switched:
    """Its journal is in memory when it ends; somebody comes with a terminal while it is about to be shut down."""
    compute, instance = fresh_vm.deployment.provider.compute, fresh_vm.instance
    conf = "/etc/systemd/journald.conf.d"
    volatile = f"mkdir {conf}; printf '[Journal]\\nStorage=volatile\\n' >{conf}/eve.conf; "
    volatile += "systemctl restart systemd-journald; shutdown -P +30 2>/dev/null; sleep 3; date +%s"
    before = "cat /proc/sys/kernel/random/boot_id /etc/machine-id; echo kept | tee -a /etc/hosts >/var/lib/mark"
    *said, since = fresh_vm.ssh(f"{before}; {volatile}").splitlines()
    ssh, *rest = fresh_vm.deployment.ssh_command(instance)
    for flags in ([], ["-tt"]):
        subprocess.run([ssh, *flags, *rest, "true"], stdin=subprocess.DEVNULL, check=True, timeout=170)
    began = time.monotonic()
    compute.stop(instance.id)
    assert time.monotonic() - began < 55, "it ended by itself, not by force"
    assert compute.describe(instance.id).state is InstanceState.STOPPED
    compute.start(instance.id)
    assert compute.describe(instance.id).address == instance.address
    fresh_vm.deployment.ready(instance, (22,))
    files = "/var/lib/mark /proc/sys/kernel/random/boot_id /etc/machine-id"
    after = f"tail -n 1 /etc/hosts; cat {files}; grep -aq shutdown /var/log/wtmp && echo shutdown; rm -r {conf}"
    return Switched(said, int(since), fresh_vm.ssh(after).splitlines())


def test_power_off_and_on_keeps_disk_name_and_keys(switched):
    boot, machine_id = switched.before
    hosts, kept, now, name, *ended = switched.after
    assert (hosts, kept, name) == ("kept", "kept", machine_id), "the seed is for the first boot alone"
    assert now != boot
    assert ended == ["shutdown"], "systemd shut it down, as the power button asks"


def test_of_a_boot_with_a_journal_in_memory_it_is_said_what_nobody_can_tell(fresh_vm, switched):
    """Who had a terminal is known all the same, and who comes as soon as there is an sshd."""
    look = logins(fresh_vm, since=switched.since)
    past = Past(looked_at=datetime.fromtimestamp(switched.since, UTC), boot_id="the one before")
    assert untold(past, look.readings, look.boot_id, look.booted_at) == (past.looked_at, look.booted_at)
    found = who(look)
    (terminal,) = [one for one in found if one.started_at < look.booted_at]
    assert (terminal.door, terminal.kind, terminal.confidence) == ("ssh", "interactive", "supported")
    assert not {"log", "journal"} & set(terminal.evidence.split("+"))
    assert [one.evidence for one in found if not one.live and one.started_at >= look.booted_at] == ["journal"]


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
