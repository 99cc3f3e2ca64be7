"""What the image itself explains of what runs, and what it does not."""

import pytest
from trees import baked, file, fingerprint

from driftd.core import factual
from driftd.core.facts import Fact, fact

TREE = [
    file(b"/usr/bin/python3.11", b"elf", 0o755),
    file(b"/usr/lib/systemd/systemd-coredump", b"elf", 0o755),
    file(b"/usr/lib/modules/6.1.0-1/kernel/net/nf_tables.ko.xz", b"ko"),
    file(b"/usr/lib/modules/6.1.0-1/kernel/fs/virtio-fs.ko", b"ko"),
    file(b"/boot/vmlinuz-6.1.0-1", b"elf"),
]
CONFIGURED = [
    fact("mount", "/data", configured="ext4 UUID=1 rw,nosuid,nodev"),
    fact("mount", "/var", configured="ext4 LABEL=var defaults"),
    fact("sysctl", "kernel.printk", configured="4 4 1 7"),
    fact("kernel", "cmdline", configured="root=UUID=1 ro quiet"),
    fact("module", "br_netfilter", configured="/etc/modules"),
    fact("unit", "ssh.service", fragment="/usr/lib/systemd/system/ssh.service", state="enabled"),
]
WAS = baked(TREE, facts=CONFIGURED)
SHA = "ab" * 32

EXPLAINED = {
    "program": fact("process", "/usr/bin/python3.11"),
    "library": fact("process", "/usr/lib/systemd/systemd-coredump", state="loaded"),
    "module": fact("module", "nf_tables", live="loaded"),
    "module-with-a-dash": fact("module", "virtio_fs", live="loaded"),
    "module-of-a-vendor": fact("module", "nf_tables", live="loaded", taint="OE"),
    "setting-as-configured": fact("sysctl", "kernel.printk", configured="4 4 1 7", live="4 4 1 7"),
    "setting-nobody-configured": fact("sysctl", "kernel.sysrq", live="438"),
    "setting-that-kernels-come-with": fact("sysctl", "net.ipv4.ip_forward", live="0"),
    "core-into-a-file": fact("sysctl", "kernel.core_pattern", live="/var/crash/core.%p"),
    "core-by-name": fact("sysctl", "kernel.core_pattern", live="core.%p"),
    "core-to-a-baked-program": fact("sysctl", "kernel.core_pattern", live="|/usr/lib/systemd/systemd-coredump %P %u"),
    "the-kernels-own-helper": fact("sysctl", "kernel.modprobe", live="/sbin/modprobe"),
    "root": fact("mount", "/", live="ext4 /dev/vda1 rw,relatime"),
    "interface-of-the-kernel": fact("mount", "/proc", live="proc proc rw,nosuid"),
    "controller": fact("mount", "/sys/fs/cgroup/cpu,cpuacct", live="cgroup cgroup rw,cpu"),
    "as-fstab-says": fact(
        "mount", "/data", configured="ext4 UUID=1 rw,nosuid,nodev", live="ext4 /dev/vdb rw,nosuid,nodev"
    ),
    "command-line": fact("kernel", "cmdline", configured="root=UUID=1 ro quiet", live="root=UUID=1 quiet ro"),
    "release": fact("kernel", "release", live="6.1.0-1"),
    "no-taint": fact("kernel", "taint", live="none"),
    "how-it-was-built": fact("kernel", "lsm", live="lockdown,capability,yama"),
    "unit": fact(
        "unit",
        "ssh.service",
        fragment="/usr/lib/systemd/system/ssh.service",
        state="enabled",
        live_fragment="/usr/lib/systemd/system/ssh.service",
        live_state="enabled",
    ),
}

UNEXPLAINED = {
    "program-that-was-not-baked": fact("process", "/usr/bin/nc"),
    "library-that-was-not-baked": fact("process", "/var/cache/x.so", state="loaded"),
    "directory-as-a-program": fact("process", "/usr/bin"),
    "deleted": fact("process", "/usr/bin/python3.11", state="deleted", sha256=SHA),
    "in-memory": fact("process", "/memfd:x", state="in memory", sha256=SHA),
    "elsewhere": fact("process", "/usr/bin/python3.11", state="elsewhere"),
    "module-from-nowhere": fact("module", "evil", live="loaded", taint="OE"),
    "module-that-hides": fact("module", "nf_tables", live="loaded", shown="/sys/module only"),
    "module-forced-in": fact("module", "nf_tables", live="loaded", taint="F"),
    "setting-other-than-configured": fact("sysctl", "kernel.printk", configured="4 4 1 7", live="7 4 1 7"),
    "some-match-differs": fact("sysctl", "net.*", configured="1", live="0, 1", differs="net.x"),
    "setting-that-no-kernel-comes-with": fact("sysctl", "net.ipv4.ip_forward", live="1"),
    "one-of-many-differs": fact("sysctl", "net.*", configured="1", live="1", differs="net.x"),
    "core-to-a-shell": fact("sysctl", "kernel.core_pattern", live="|/dev/shm/x %P"),
    "helper-replaced": fact("sysctl", "kernel.modprobe", live="/tmp/x"),
    "mount-over-programs": fact("mount", "/usr/bin", live="tmpfs tmpfs rw"),
    "interface-elsewhere": fact("mount", "/srv/proc", live="proc proc rw"),
    "part-of-a-file-system": fact("mount", "/proc", live="proc proc rw root=/sys"),
    "fstab-changed-with-it": fact("mount", "/var", configured="tmpfs tmpfs rw", live="tmpfs tmpfs rw"),
    "held-by-less": fact("mount", "/data", configured="ext4 UUID=1 rw,nosuid,nodev", live="ext4 /dev/vdb rw,nodev"),
    "other-kind-of-file-system": fact(
        "mount", "/data", configured="ext4 UUID=1 rw,nosuid,nodev", live="tmpfs none rw,nosuid,nodev"
    ),
    "other-command-line": fact(
        "kernel", "cmdline", configured="root=UUID=1 ro quiet", live="root=UUID=1 ro quiet init=/bin/sh"
    ),
    "other-release": fact("kernel", "release", live="6.1.0-2"),
    "tainted": fact("kernel", "taint", live="OE"),
    "another-kernel-waits": fact("kernel", "kexec_loaded", live="1"),
    "older-unit-loaded": fact(
        "unit", "ssh.service", fragment="/usr/lib/systemd/system/ssh.service", state="enabled", live_reload="yes"
    ),
    "other-fragment-loaded": fact(
        "unit",
        "ssh.service",
        fragment="/usr/lib/systemd/system/ssh.service",
        state="enabled",
        live_fragment="/run/systemd/system/ssh.service",
    ),
    "other-dropins-loaded": fact(
        "unit",
        "ssh.service",
        fragment="/usr/lib/systemd/system/ssh.service",
        state="enabled",
        live_dropins="/run/systemd/system/ssh.service.d/x.conf",
    ),
    "listener": fact("listener", "tcp 0.0.0.0:22", program="/usr/bin/python3.11"),
    "bpf": fact("bpf", "xdp 0123", program="/usr/bin/python3.11"),
    "firewall": fact("firewall", "nft table inet x", rules=1),
    "binfmt": fact("binfmt", "x", interpreter="/usr/bin/python3.11"),
    "container": fact("container", "x", image="y"),
}


def live_differences(tree, *facts: Fact):
    now = fingerprint(tree, facts=facts, live=True)
    # Only what was baked and is asked about: the rest of the configured ones is not on this instance.
    named = {(one.kind, one.name) for one in facts}
    return [one for one in factual.compare(WAS, now) if (one.kind, one.subject.decode()) in named]


@pytest.mark.parametrize("case", EXPLAINED)
def test_explained(case):
    assert live_differences(TREE, EXPLAINED[case]) == []


@pytest.mark.parametrize("case", UNEXPLAINED)
def test_not_explained(case):
    assert len(live_differences(TREE, UNEXPLAINED[case])) == 1


def test_a_program_whose_file_is_another_one_now_is_not_the_images():
    changed = [file(b"/usr/bin/python3.11", b"evil", 0o755), *TREE[1:]]
    assert len(live_differences(changed, fact("process", "/usr/bin/python3.11"))) == 1
    unread = [TREE[0]._replace(sha256=b""), *TREE[1:]]
    assert live_differences(unread, fact("process", "/usr/bin/python3.11")) == []


def test_what_a_live_manifest_states_needs_no_explanation():
    strange = [fact("listener", "tcp 0.0.0.0:22", program="/x"), fact("module", "odd", live="loaded")]
    was = baked(TREE, facts=strange, live=True)
    assert list(factual.compare(was, fingerprint(TREE, facts=strange, live=True))) == []
    # ... and what came later is explained all the same
    later = [*strange, fact("module", "nf_tables", live="loaded")]
    assert list(factual.compare(was, fingerprint(TREE, facts=later, live=True))) == []
