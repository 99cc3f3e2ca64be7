"""Changes that need a kernel, a systemd and a journal of one's own."""

from __future__ import annotations

from changing import CRITICAL, MEDIUM, MODIFIED, case, file, told

# A module of the kernel's own, under another name and without its signature: nobody baked it.
OTHER_MODULE = r"""
python3 - /lib/modules/$(uname -r)/kernel/drivers/net/dummy.ko <<'END'
import sys
text = open(sys.argv[1], "rb").read()
text = text[: -len(b"~Module signature appended~\n")].replace(b"dummy\0", b"evil_\0")
open("/tmp/evil.ko", "wb").write(text)
END
insmod /tmp/evil.ko
"""

# bpf(2) by its number, as no program for it is there: "return 0" for sockets, pinned, and held while it sleeps.
BPF = r"""
cat >/tmp/eve.pl <<'END'
my ($insns, $license) = (pack("CCsl CCsl", 0xb7, 0, 0, 0, 0x95, 0, 0, 0), "GPL\0");
my $load = pack("LLQQLLQLL", 1, 2, unpack("Q", pack("P", $insns)), unpack("Q", pack("P", $license)), 0, 0, 0, 0, 0);
my $fd = syscall(321, 5, $load, length $load);
$fd >= 0 or die "load: $!";
my $path = "/sys/fs/bpf/eve\0";
my $pin = pack("QL", unpack("Q", pack("P", $path)), $fd);
syscall(321, 6, $pin, length $pin) == 0 or die "pin: $!";
sleep 6000;
END
start eve perl /tmp/eve.pl
waits 'test -e /sys/fs/bpf/eve'
"""

KERNEL = (
    # --- settings: live, configured and baked, each apart from the others
    case(
        "sysctl",
        "live-alone",
        "sysctl -q -w net.ipv4.ip_forward=1",
        told("sysctl", "net.ipv4.ip_forward", live="1", configured=""),
        told("sysctl", "net.ipv4.conf.all.forwarding", live="1"),
    ),
    case(
        "sysctl",
        "live-is-not-as-baked-and-configured",
        "sysctl -q -w fs.protected_symlinks=0",
        told("sysctl", "fs.protected_symlinks", MODIFIED, live="0", configured="1", was_configured="1"),
    ),
    case(
        "sysctl",
        "configured-alone",
        """
        echo 'kernel.kptr_restrict = 0' >/etc/sysctl.d/90-eve.conf
        sysctl -q -w kernel.kptr_restrict=2
        """,
        told("sysctl", "kernel.kptr_restrict", live="2", configured="0"),
        file("/etc/sysctl.d/90-eve.conf"),
    ),
    case(
        "sysctl",
        "configured-and-live-alike",
        "echo 'kernel.sysrq = 1' >/etc/sysctl.d/91-eve.conf; sysctl -q -p /etc/sysctl.d/91-eve.conf",
        told("sysctl", "kernel.sysrq", live="1", configured="1"),
        file("/etc/sysctl.d/91-eve.conf"),
    ),
    case(
        "sysctl",
        "core-pattern",
        "sysctl -q -w kernel.core_pattern='|/tmp/eve %p'",
        told("sysctl", "kernel.core_pattern", live="|/tmp/eve %p"),
    ),
    # --- kernel
    case(
        "module",
        "not-of-the-image",
        OTHER_MODULE,
        told("module", "evil_", severity=CRITICAL, live="loaded", taint="*E*"),
        told("kernel", "taint", severity=CRITICAL, live="*E*"),
    ),
    case("module", "of-the-image-is-explained-by-it", "modprobe loop"),
    case(
        "module",
        "configured",
        "echo eve >/etc/modules-load.d/eve.conf",
        told("module", "eve", severity=CRITICAL, configured="/etc/modules-load.d/eve.conf", live=""),
        file("/etc/modules-load.d/eve.conf"),
    ),
    case(
        "kernel",
        "command-line",
        """
        echo 'root=/dev/vda rw console=ttyS0 quiet init=/bin/sh' >/run/cmdline
        mount --bind /run/cmdline /proc/cmdline
        """,
        told("kernel", "cmdline", severity=CRITICAL, live="*init=/bin/sh"),
        told("mount", "/proc/cmdline", live="tmpfs tmpfs * root=/cmdline"),
    ),
    case(
        "bpf",
        "pinned-and-held",
        BPF,
        told("bpf", "socket_filter *", program="/usr/bin/perl"),
        told("bpf", "pinned /sys/fs/bpf/eve"),
    ),
    case(
        "binfmt",
        "added",
        "echo ':eve:M::EVE1::/bin/true:' >/proc/sys/fs/binfmt_misc/register",
        told("binfmt", "eve", interpreter="/bin/true", enabled="yes"),
    ),
    case(
        "binfmt",
        "no-pack-swallows-other-flags",
        r"""
        echo -1 >/proc/sys/fs/binfmt_misc/python3.11
        echo ':python3.11:M::\xa7\x0d\x0d\x0a::/usr/bin/python3.11:C' >/proc/sys/fs/binfmt_misc/register
        """,
        told("binfmt", "python3.11", flags="*C*"),
    ),
    case(
        "firewall",
        "rules",
        """
        nft add table inet eve
        nft 'add chain inet eve input { type filter hook input priority 0; }'
        nft add rule inet eve input tcp dport 9 counter drop
        """,
        told("firewall", "nft table inet eve", rules="1", digest="?*"),
    ),
    case(
        "mount",
        "swap",
        """
        dd if=/dev/zero of=/var/eve bs=64k count=16 status=none
        chmod 600 /var/eve; mkswap -q /var/eve; swapon /var/eve
        """,
        told("mount", "swap /var/eve", live="swap*"),
        file("/var/eve", severity=MEDIUM),
    ),
    case(
        "mount",
        "no-pack-swallows-one-that-lets-programs-run-with-rights",
        "mount -t tmpfs eve /tmp",
        told("mount", "/tmp", live="tmpfs eve rw,relatime*"),
    ),
)

# What systemd was told, by its own means; and what PID 1 does otherwise than its files say.
UNITS = (
    case(
        "unit",
        "masked",
        "systemctl -q mask cron.service",
        told("unit", "cron.service", MODIFIED, state="masked"),
        told("link", "/etc/systemd/system/cron.service"),
    ),
    case(
        "unit",
        "masked-until-reboot",
        "systemctl -q mask --runtime nftables.service",
        told("unit", "nftables.service", MODIFIED, state="masked-runtime"),
    ),
    case(
        "unit",
        "enabled-until-reboot",
        "systemctl -q enable --runtime systemd-networkd-wait-online.service",
        told("unit", "systemd-networkd-wait-online.service", MODIFIED, state="enabled-runtime"),
    ),
    case(
        "unit",
        "no-pack-swallows-a-drop-in",
        r"""
        mkdir -p /run/systemd/system/serial-getty@ttyS0.service.d
        printf '[Service]\nExecStartPost=/bin/true\n' >/run/systemd/system/serial-getty@ttyS0.service.d/eve.conf
        """,
        told("unit", "serial-getty@ttyS0.service", dropins="/run/systemd/system/serial-getty@ttyS0.service.d/eve.conf"),
    ),
    case(
        "unit",
        "transient",
        "systemd-run -q --unit=eve sleep 6000",
        told("unit", "eve.service", state="transient", fragment="/run/systemd/transient/eve.service"),
    ),
    case(
        "unit",
        "transient-timer",
        "systemd-run -q --unit=often --on-calendar='*:0/7' /bin/true",
        told("unit", "often.timer", state="transient", schedule="OnCalendar=[*]:0/7*"),
        told("unit", "often.service", state="transient"),
    ),
    case(
        "unit",
        "of-a-user-who-lingers",
        r"""
        useradd --create-home --uid 2000 bob
        install -d -o bob -g bob ~bob/.config ~bob/.config/systemd ~bob/.config/systemd/user
        printf '[Service]\nExecStart=/bin/sleep 6000\n' >~bob/.config/systemd/user/eve.service
        loginctl enable-linger bob
        waits 'test -e /run/user/2000/systemd/private'
        """,
        told("unit", "linger bob"),
        told("unit", "~bob/eve.service"),
        file("/var/lib/systemd/linger/bob"),
        told("account", "bob", severity=CRITICAL),
        told("group", "bob"),
        told("directory", "/home/bob*", severity=MEDIUM),
        file("/home/bob/*", severity=MEDIUM),
        *(file(f"/etc/{name}", MODIFIED, CRITICAL) for name in ("passwd", "shadow", "group", "gshadow", "sub?id")),
        file("/etc/*-", MODIFIED, MEDIUM),
        file("/etc/sub?id-", severity=MEDIUM),
    ),
    # What reloads comes before, and systemctl does so when it masks or enables.
    case(
        "unit",
        "edited-and-not-reloaded",
        "echo '# eve' >>/etc/systemd/system/web.service",
        told("unit", "web.service", MODIFIED, live_reload="yes"),
        file("/etc/systemd/system/web.service", MODIFIED),
    ),
)
VM = (*KERNEL, *UNITS)

# Of all that, what is still so once the machine has booted again.
AFTER_REBOOT = (
    *(want for one in UNITS if one.name == "of-a-user-who-lingers" for want in one.finds),
    told("sysctl", "kernel.kptr_restrict", live="0", configured="0"),
    told("sysctl", "kernel.sysrq", live="1", configured="1"),
    file("/etc/sysctl.d/9?-eve.conf"),
    told("module", "eve", severity=CRITICAL, configured="/etc/modules-load.d/eve.conf", live=""),
    file("/etc/modules-load.d/eve.conf", severity=CRITICAL),
    file("/var/eve", severity=MEDIUM),
    told("unit", "cron.service", MODIFIED, state="masked"),
    told("link", "/etc/systemd/system/cron.service"),
    file("/etc/systemd/system/web.service", MODIFIED),
)
