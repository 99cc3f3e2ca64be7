"""What the kernel says, read from files that look like its own: modules, taint, command line, settings, binfmt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from gathering import gather, here, in_namespaces, put

from driftd.probe import binfmt, kernel, modules, sysctl

GRUB = b"""\
set default="0"
menuentry 'Debian GNU/Linux' {
	linux	/boot/vmlinuz-6.1.0-1-cloud-amd64 root=UUID=1 ro console=ttyS0  quiet
	initrd	/boot/initrd.img-6.1.0-1-cloud-amd64
}
menuentry 'recovery' {
	linux	/boot/vmlinuz-6.1.0-1-cloud-amd64 root=UUID=1 ro single
}
"""


# --- kernel ----------------------------------------------------------------------------------


def test_the_command_line_live_and_configured(tree: Path) -> None:
    live = b"BOOT_IMAGE=/boot/vmlinuz-6.1.0-1-cloud-amd64 root=UUID=1 ro console=ttyS0 quiet init=/bin/sh\n"
    put(tree, {"boot/grub/grub.cfg": GRUB, "proc/cmdline": live})
    expected = {
        "configured": b"root=UUID=1 ro console=ttyS0 quiet",
        "live": b"root=UUID=1 ro console=ttyS0 quiet init=/bin/sh",
    }
    assert gather(kernel, tree).one(b"kernel", b"cmdline") == expected
    assert gather(kernel, tree, live=False).one(b"kernel", b"cmdline") == {"configured": expected["configured"]}


def test_a_command_line_of_boot_loader_entries(tree: Path) -> None:
    entries = tree / "boot/loader/entries"
    entries.mkdir(parents=True)
    (entries / "a-1.conf").write_bytes(b"title one\noptions root=/dev/vda1 ro\n")
    (entries / "a-2.conf").write_bytes(b"title two\noptions\troot=/dev/vda1 ro\noptions quiet\n")
    (entries / "a-3-rescue.conf").write_bytes(b"options single\n")
    assert gather(kernel, tree, live=False).one(b"kernel", b"cmdline") == {"configured": b"root=/dev/vda1 ro quiet"}


def test_secrets_of_a_command_line_are_not_told(tree: Path) -> None:
    line = (
        b'a=1 luks.password=hunter2 api_token="two words" keymap=us x=http://joe:hunter2@host/ rd.key=hunter2 k="b c"'
    )
    put(tree, {"proc/cmdline": line})
    plain = gather(kernel, tree).one(b"kernel", b"cmdline")["live"]
    assert plain == (
        b"a=1 luks.password=(hidden ) api_token=(hidden ) keymap=us x=http://joe:(hidden)@host/ rd.key=(hidden ) "
        b'k="b c"'
    )
    keyed = gather(kernel, tree, key=b"k" * 32).one(b"kernel", b"cmdline")["live"]
    assert b"hunter2" not in keyed
    put(tree, {"proc/cmdline": line.replace(b"password=hunter2", b"password=hunter3")})
    assert gather(kernel, tree, key=b"k" * 32).one(b"kernel", b"cmdline")["live"] != keyed


@pytest.mark.parametrize(
    ("number", "letters"),
    [(b"0", b"none"), (b"4097\n", b"PO"), (b"12288", b"OE"), (b"262144", b"N"), (b"4611686018427387904", b"(bit 62)")],
)
def test_taint_is_told_in_letters(tree: Path, number: bytes, letters: bytes) -> None:
    put(tree, {"proc/sys/kernel/tainted": number})
    assert gather(kernel, tree).one(b"kernel", b"taint") == {"live": letters}


def test_what_guards_the_kernel(tree: Path) -> None:
    variable = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    put(
        tree,
        {
            "sys/kernel/security/lockdown": b"none [integrity] confidentiality\n",
            "sys/kernel/security/lsm": b"capability,yama,apparmor",
            "sys/fs/selinux/enforce": b"0",
            "proc/sys/kernel/osrelease": b"6.1.0-1\n",
            variable: b"\6\0\0\0\1",
        },
    )
    facts = {name: fields["live"] for _, name, fields in gather(kernel, tree).facts}
    assert facts == {
        b"lockdown": b"integrity", b"lsm": b"capability,yama,apparmor", b"selinux": b"permissive",
        b"release": b"6.1.0-1", b"secureboot": b"on",
    }  # fmt: skip
    put(tree, {variable: b"\6\0\0\0\0"})
    assert gather(kernel, tree).one(b"kernel", b"secureboot") == {"live": b"off"}


def test_the_real_kernel_has_a_release_and_a_command_line() -> None:
    found = here("kernel")
    assert found.one(b"kernel", b"release")["live"] == os.uname().release.encode()
    assert found.one(b"kernel", b"cmdline")["live"]


# --- modules ---------------------------------------------------------------------------------

MODULES = b"""\
nft_chain_nat 16384 1 - Live 0x0000000000000000
evil 12288 0 - Live 0x0000000000000000 (OE)
zfs 1 2 spl, Live 0x0 (PO)
"""


def sysfs(tree: Path, *loaded: str, built_in: str = "kernel") -> None:
    for name in loaded:
        put(tree, {f"sys/module/{name}/initstate": b"live\n", f"sys/module/{name}/taint": b"\n"})
    put(tree, {f"sys/module/{built_in}/parameters/x": b""})


def test_modules_loaded_and_configured(tree: Path) -> None:
    put(
        tree,
        {
            "proc/modules": MODULES,
            "etc/modules-load.d/a.conf": b"# what we need\nbr-netfilter\n\nzfs\n",
            "etc/modules": b"old\n",
            "etc/modules-load.d/b.conf": "/dev/null",
            "usr/lib/modules-load.d/b.conf": b"masked\n",
        },
    )
    sysfs(tree, "nft_chain_nat", "evil", "zfs")
    found = gather(modules, tree)
    assert {name: fields for _, name, fields in found.facts} == {
        b"br_netfilter": {"configured": b"/etc/modules-load.d/a.conf"},
        b"evil": {"live": b"loaded", "taint": b"OE"},
        b"nft_chain_nat": {"live": b"loaded"},
        b"old": {"configured": b"/etc/modules"},
        b"zfs": {"configured": b"/etc/modules-load.d/a.conf", "live": b"loaded", "taint": b"PO"},
    }
    assert gather(modules, tree, live=False).names(b"module") == [b"br_netfilter", b"old", b"zfs"]


def test_a_module_that_hides_is_told_by_where_it_still_shows(tree: Path) -> None:
    put(tree, {"proc/modules": MODULES, "sys/module/hidden/taint": b"OE\n"})
    sysfs(tree, "nft_chain_nat", "zfs")
    put(tree, {"sys/module/hidden/initstate": b"live"})
    found = gather(modules, tree)
    assert found.one(b"module", b"hidden") == {"live": b"loaded", "taint": b"OE", "shown": b"/sys/module only"}
    assert found.one(b"module", b"evil")["shown"] == b"/proc/modules only"
    assert "shown" not in found.one(b"module", b"zfs")


# --- settings --------------------------------------------------------------------------------


def test_the_last_setting_wins_by_name_of_file_and_directory(tree: Path) -> None:
    put(
        tree,
        {
            "usr/lib/systemd/systemd-sysctl": b"",
            "usr/lib/sysctl.d/10-a.conf": b"net.ipv4.ip_forward = 1\nvm.a=usr\nvm.gone=1\n",
            "etc/sysctl.d/10-a.conf": b"net.ipv4.ip_forward=0\nvm.a = etc\n",
            "run/sysctl.d/20-b.conf": b"; remark\n-vm.a =  run \t 2\n",
            "usr/lib/sysctl.d/30-masked.conf": b"vm.a=masked",
            "etc/sysctl.d/30-masked.conf": "/dev/null",
            "etc/sysctl.d/99-sysctl.conf": "../sysctl.conf",
            "etc/sysctl.conf": b"net/ipv4/conf/eth0.100/rp_filter=2\nnet.ipv4.conf.eth0/7.rp_filter=1\nvm.b=last\n",
            "etc/sysctl.d/not-read": b"vm.b=never",
        },
    )
    found = gather(sysctl, tree, live=False)
    assert {name: fields["configured"] for _, name, fields in found.facts} == {
        b"net.ipv4.conf.eth0/100.rp_filter": b"2",
        b"net.ipv4.conf.eth0/7.rp_filter": b"1",
        b"net.ipv4.ip_forward": b"0",
        b"vm.a": b"run 2",
        b"vm.b": b"last",
    }


@pytest.mark.parametrize("systemd", [True, False])
def test_sysctl_conf_itself_counts_where_systemd_does_not_set_them(tree: Path, systemd: bool) -> None:
    put(tree, {"etc/sysctl.conf": b"vm.a=1", "etc/sysctl.d/x.conf": b"vm.a=2"})
    if systemd:
        put(tree, {"lib/systemd/systemd-sysctl": b""})
    assert gather(sysctl, tree, live=False).one(b"sysctl", b"vm.a") == {"configured": b"2" if systemd else b"1"}


def test_live_settings_are_those_configured_and_those_watched(tree: Path) -> None:
    put(
        tree,
        {
            "etc/sysctl.d/x.conf": b"vm.a=1\nvm.none=1\nnet.ipv6.conf.all.stable_secret=::1\n",
            "etc/sysctl.d/y.conf": b"../../etc/x=1\nnet/../../../etc/x=1\n=\n=1\n-\n",
            "proc/sys/vm/a": b"2\n",
            "proc/sys/vm/other": b"not watched",
            "proc/sys/kernel/core_pattern": b"|/bin/sh -c evil\n",
            "proc/sys/net/ipv4/ping_group_range": b"1\t0\n",
            "proc/sys/net/ipv6/conf/all/stable_secret": b"::1\n",
        },
    )
    found = gather(sysctl, tree)
    assert {name: fields for _, name, fields in found.facts} == {
        b"kernel.core_pattern": {"live": b"|/bin/sh -c evil"},
        b"net.ipv4.ping_group_range": {"live": b"1 0"},
        b"net.ipv6.conf.all.stable_secret": {"configured": b"hidden ", "live": b"hidden "},
        b"vm.a": {"configured": b"1", "live": b"2"},
        b"vm.none": {"configured": b"1"},
    }


def test_a_setting_with_wildcards_is_one_fact(tree: Path) -> None:
    lines = b"net.ipv4.conf.*.rp_filter = 2\nnet.ipv4.conf.all.rp_filter=1\n-net.ipv4.conf.lo.rp_filter\n"
    interfaces = {"all": b"1", "lo": b"0", "eth0": b"2", "eth1": b"2"}
    put(tree, {"etc/sysctl.d/x.conf": lines})
    put(tree, {f"proc/sys/net/ipv4/conf/{name}/rp_filter": value for name, value in interfaces.items()})
    name = b"net.ipv4.conf.*.rp_filter"
    assert gather(sysctl, tree).one(b"sysctl", name) == {"configured": b"2", "live": b"2"}
    put(tree, {"proc/sys/net/ipv4/conf/eth1/rp_filter": b"0\n"})
    changed = {"configured": b"2", "live": b"0, 2", "differs": b"net.ipv4.conf.eth1.rp_filter"}
    assert gather(sysctl, tree).one(b"sysctl", name) == changed


def test_settings_of_a_network_namespace_are_seen_to_change() -> None:
    script = "mount -t proc proc /proc; echo %d >/proc/sys/net/ipv4/ip_forward; $look"
    options = ("--net", "--mount", "--pid", "--fork")
    pristine = in_namespaces(script % 0, "sysctl", options=options)
    changed = in_namespaces(script % 1, "sysctl", options=options)
    differ = {name for _, name, fields in pristine.facts if changed.of(b"sysctl", name) != [fields]}
    assert {name for name in differ if not name.startswith(b"net.ipv4.conf.all.")} == {b"net.ipv4.ip_forward"}
    assert changed.one(b"sysctl", b"net.ipv4.ip_forward")["live"] == b"1"


# --- binfmt ----------------------------------------------------------------------------------

MOUNTINFO = b"30 20 0:30 / %s rw,relatime - %s x rw\n"


def test_formats_of_programs(tree: Path) -> None:
    text = b"enabled\ninterpreter /usr/bin/evil\nflags: OCF\noffset 0\nmagic 7f454c46\nmask ffffffff\n"
    at = "proc/sys/fs/binfmt_misc/"
    put(tree, {at + "evil": text, at + "off": text.replace(b"enabled", b"disabled"), at + "status": b"enabled\n"})
    put(tree, {"proc/self/mountinfo": MOUNTINFO % (b"/proc/sys/fs/binfmt_misc", b"binfmt_misc"), at + "register": b""})
    found = gather(binfmt, tree)
    assert found.names(b"binfmt") == [b"evil", b"off"]
    assert found.one(b"binfmt", b"evil") == {
        "enabled": b"yes", "interpreter": b"/usr/bin/evil", "flags": b"OCF", "offset": b"0", "magic": b"7f454c46",
        "mask": b"ffffffff",
    }  # fmt: skip
    assert found.one(b"binfmt", b"off")["enabled"] == b"no"
    put(tree, {at + "status": b"disabled\n"})
    assert gather(binfmt, tree).one(b"binfmt", b"evil")["enabled"] == b"no"


def test_formats_are_not_looked_for_where_that_would_mount_them(tree: Path) -> None:
    put(tree, {"proc/sys/fs/binfmt_misc/evil": b"enabled\n", "proc/filesystems": b"nodev\tsysfs\n"})
    put(tree, {"proc/self/mountinfo": MOUNTINFO % (b"/proc/sys/fs/binfmt_misc", b"autofs")})
    found = gather(binfmt, tree)
    assert (found.facts, found.looked, found.kept) == ([], [b"binfmt"], [])
    put(tree, {"proc/filesystems": b"nodev\tbinfmt_misc\n"})
    assert [row[:2] for row in gather(binfmt, tree).kept] == [(b"binfmt", b"not available")]
