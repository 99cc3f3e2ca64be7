"""Root on a real instance tries to change something, or to get in, so that driftd calls it clean.

Each row of ``CHANGES`` is one change, all made on one server without a login; the look after them has to name each.
What driftd does not see yet stands in docs/threat-model.md.
"""

from __future__ import annotations

import subprocess

import pytest
from evading import baked, suspect, told

from driftd.core.findings import Severity, Verdict

pytestmark = [pytest.mark.machine, pytest.mark.servers, pytest.mark.timeout(120)]

MEDIUM, HIGH, CRITICAL = Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL
NEW_FINGERPRINT = "SHA256:S+g6+cuIUGaT3+GDlogPFtuPhoAoIuqg1z59yAzz89g"
NEW_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHV5mMc0lXnW8OEX3cyhYtqm3Ow5sXrRNkd3BjF1hGxN me"

# What root does; what has to be named; how bad it has to be called at least.
CHANGES: tuple[tuple[str, str | bytes, Severity], ...] = (
    # programs and libraries
    (
        "printf '\\1' | dd of=/usr/bin/wc bs=1 seek=9000 conv=notrunc; touch -r /usr/bin/cut /usr/bin/wc",
        "/usr/bin/wc",
        CRITICAL,
    ),
    (
        "rm /usr/bin/python3; WRAP /usr/bin/python3",
        "/usr/bin/python3",
        CRITICAL,
    ),
    ("echo 'x = 1' >>/usr/lib/python3.11/os.py", "/usr/lib/python3.11/os.py", CRITICAL),
    (
        "mkdir -p /usr/lib/python3/dist-packages; echo 'import os' >/usr/lib/python3/dist-packages/x.pth",
        "/usr/lib/python3/dist-packages/x.pth",
        CRITICAL,
    ),
    (
        "d=/usr/local/lib/python3.11/dist-packages; mkdir -p $d; echo 'import os' >$d/y.pth",
        "/usr/local/lib/python3.11/dist-packages/y.pth",
        CRITICAL,
    ),
    ("echo 'import os' >/usr/lib/python3.11/sitecustomize.py", "/etc/python3.11/sitecustomize.py", HIGH),
    ("cp /usr/bin/true /usr/local/bin/ls", "/usr/local/bin/ls", CRITICAL),
    ("ln -sf /var/tmp/mine /usr/bin/awk", "/usr/bin/awk", CRITICAL),
    ("rm /usr/bin/tac", "/usr/bin/tac", CRITICAL),
    ("mv /usr/bin/nl /usr/bin/nl2", "/usr/bin/nl2", CRITICAL),
    ("chmod u+s /usr/bin/env", "/usr/bin/env", CRITICAL),
    ("chown www-data /usr/bin/sort", "/usr/bin/sort", CRITICAL),
    ("chmod o+w /usr/bin/expr", "/usr/bin/expr", CRITICAL),
    ("CAP /usr/bin/od", "/usr/bin/od", CRITICAL),
    ("ACL /usr/bin/id", "/usr/bin/id", CRITICAL),
    ("ln /usr/bin/su /usr/bin/us", "/usr/bin/us", CRITICAL),
    (
        "cp /usr/bin/true /lib/x86_64-linux-gnu/security/pam_x.so 2>/dev/null || cp /usr/bin/true /usr/lib/pam_x.so",
        "/usr/lib/x86_64-linux-gnu/security/pam_x.so",
        CRITICAL,
    ),
    ("echo '#' >>/opt/web/app.py", "/opt/web/app.py", HIGH),
    # setuid, capable or executable things where things come and go
    ("cp /usr/bin/true /var/tmp/a; chmod 4755 /var/tmp/a", "/var/tmp/a", CRITICAL),
    ("cp /usr/bin/true /var/log/a; chmod 4755 /var/log/a", "/var/log/a", CRITICAL),
    ("cp /usr/bin/true /var/cache/a; chmod 4755 /var/cache/a", "/var/cache/a", CRITICAL),
    ("cp /usr/bin/true /var/lib/a; chmod 4755 /var/lib/a", "/var/lib/a", CRITICAL),
    ("cp /usr/bin/true /root/a; chmod 2755 /root/a", "/root/a", CRITICAL),
    ("cp /usr/bin/true /var/log/apt-helper; chmod 755 /var/log/apt-helper", "/var/log/apt-helper", HIGH),
    ("cp /usr/bin/true /var/backups/b; chmod 100 /var/backups/b", "/var/backups/b", HIGH),
    (
        "cp /usr/bin/true /var/lib/apt/lists/c; chmod 644 /var/lib/apt/lists/c; CAP /var/lib/apt/lists/c",
        "/var/lib/apt/lists/c",
        CRITICAL,
    ),
    ("ln /usr/bin/su /var/tmp/hard", "/var/tmp/hard", CRITICAL),
    ("mknod /var/tmp/disk b 8 0", "/var/tmp/disk", CRITICAL),
    ("echo x >/var/cache/x.service", "/var/cache/x.service", MEDIUM),
    ("ln -s /root /var/tmp/x.timer", "/var/tmp/x.timer", MEDIUM),
    # who may get in, and as whom
    ("sed -i 's/^games:\\*:/games:$6$a$b:/' /etc/shadow", "games", CRITICAL),
    ("useradd -M eve; echo 'toor:x:0:0::/root:/bin/sh' >>/etc/passwd", "eve", CRITICAL),
    (":", "toor", CRITICAL),
    ("usermod -s /bin/bash bin", "bin", CRITICAL),
    ("usermod -a -G sudo nobody", "sudo", HIGH),
    (f"echo '{NEW_KEY}' >/root/.ssh/authorized_keys2", "/root/.ssh/authorized_keys2", HIGH),
    (f"mkdir -p /home/x/.ssh; echo '{NEW_KEY}' >/home/x/.ssh/authorized_keys", "/home/x/.ssh/authorized_keys", HIGH),
    (f"mkdir -p /var/www/.ssh; echo '{NEW_KEY}' >/var/www/.ssh/authorized_keys", "/var/www/.ssh/authorized_keys", HIGH),
    ("echo x >/root/.ssh/rc", "/root/.ssh/rc", HIGH),
    ("echo 'x ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/x", "/etc/sudoers.d/x", HIGH),
    ("sed -i '1i auth sufficient pam_permit.so' /etc/pam.d/sshd", "/etc/pam.d/sshd", CRITICAL),
    ("echo 'PermitRootLogin yes' >/etc/ssh/sshd_config.d/99.conf", "/etc/ssh/sshd_config.d/99.conf", HIGH),
    (
        "echo Include /etc/ssh/sshd_config >/run/s; kill $(cat /run/sshd.pid); START -f /run/s",
        "tcp 0.0.0.0:22",
        HIGH,
    ),
    ("echo x >/etc/ssh/sshrc", "/etc/ssh/sshrc", HIGH),
    ("sed -i s/files/compat/ /etc/nsswitch.conf", "/etc/nsswitch.conf", CRITICAL),
    (f"printf '{NEW_KEY}\\0x\\n' >>/root/.ssh/authorized_keys", f"root {NEW_FINGERPRINT}", CRITICAL),
    ("echo 'no key at all' >>/root/.ssh/authorized_keys", "root lines that are no keys", CRITICAL),
    # what runs or loads unasked
    (
        "cp /usr/bin/sleep /var/cache/data; chmod 644 /var/cache/data; LOAD /var/cache/data 600",
        "/var/cache/data",
        HIGH,
    ),
    ("echo '* * * * * root true' >/etc/cron.d/x", "/etc/cron.d/x", HIGH),
    (
        "mkdir -p /var/spool/cron/crontabs; echo '* * * * * true' >/var/spool/cron/crontabs/root",
        "/var/spool/cron/crontabs/root",
        HIGH,
    ),
    ("echo x >/etc/systemd/system/x.service", "/etc/systemd/system/x.service", HIGH),
    (
        "mkdir -p /etc/systemd/system/ssh.service.d; echo x >/etc/systemd/system/ssh.service.d/x.conf",
        "/etc/systemd/system/ssh.service.d/x.conf",
        HIGH,
    ),
    ("echo /var/tmp/x.so >/etc/ld.so.preload", "/etc/ld.so.preload", CRITICAL),
    ("echo /var/tmp >/etc/ld.so.conf.d/x.conf", "/etc/ld.so.conf.d/x.conf", CRITICAL),
    ("echo x >/etc/profile.d/x.sh", "/etc/profile.d/x.sh", HIGH),
    ("echo x >>/root/.bashrc", "/root/.bashrc", HIGH),
    ("mkdir -p /etc/udev/rules.d; echo x >/etc/udev/rules.d/x.rules", "/etc/udev/rules.d/x.rules", HIGH),
    ("echo 'kernel.core_pattern=|/x' >/etc/sysctl.d/x.conf", "/etc/sysctl.d/x.conf", HIGH),
    ("mkdir -p /etc/modprobe.d; echo x >/etc/modprobe.d/x.conf", "/etc/modprobe.d/x.conf", CRITICAL),
    ("echo 'APT::Update::Pre-Invoke {\"true\";};' >/etc/apt/apt.conf.d/99x", "/etc/apt/apt.conf.d/99x", HIGH),
    ("echo x >/etc/rc.local", "/etc/rc.local", HIGH),
    ("mkdir -p /etc/rsyslog.d; echo '*.* ^/var/tmp/x' >/etc/rsyslog.d/x.conf", "/etc/rsyslog.d/x.conf", HIGH),
    ("echo '/var/log/*.log { postrotate' >/etc/logrotate.d/x", "/etc/logrotate.d/x", HIGH),
    ("echo x >/var/lib/dpkg/info/ssh.postinst", "/var/lib/dpkg/info/ssh.postinst", HIGH),
    # what says what this machine is
    ("echo ID=other >>/usr/lib/os-release", "/usr/lib/os-release", CRITICAL),
    ("rm /etc/os-release; echo ID=other >/etc/os-release", "/etc/os-release", MEDIUM),
    ("sed -i 's/^Version: .*/Version: 0/' /var/lib/dpkg/status", "/var/lib/dpkg/status", MEDIUM),
    ("ln -sf /usr/share/zoneinfo/UTC /etc/localtime; rm /etc/localtime", "/etc/localtime", MEDIUM),
    ("head -c 20000 /dev/zero >>/etc/hosts", "/etc/hosts", MEDIUM),
    ("rm /etc/resolv.conf; ln -s /var/tmp/r /etc/resolv.conf", "/etc/resolv.conf", MEDIUM),
    ("chmod 666 /etc/hostname", "/etc/hostname", MEDIUM),
    # rights, names and traces
    ("chmod 777 /usr/share", "/usr/share", HIGH),
    ("chmod 777 /var/log", "/var/log", HIGH),
    ("chmod 777 /var/cache/apt", "/var/cache/apt", HIGH),
    ("chmod 777 /", "/", HIGH),
    ("chown www-data /var/cache/apt/archives", "/var/cache/apt/archives", MEDIUM),
    ("chmod g+w /var/cache/ldconfig", "/var/cache/ldconfig", MEDIUM),
    ("DEFAULT /var/cache/adduser", "/var/cache/adduser", MEDIUM),
    ("mv /var/cache/debconf /var/tmp/debconf; ln -s /tmp /var/cache/debconf", "/var/cache/debconf", MEDIUM),
    ("chmod 1777 /srv", "/srv", MEDIUM),
    ("printf x >\"/etc/$(printf '\\033[2K\\n')\"", b"/etc/\x1b[2K", MEDIUM),
    ("mkdir '/usr/share/...'; echo x >'/usr/share/.../ '", "/usr/share/.../ ", MEDIUM),
    ("ln -sf /dev/null /var/log/faillog", "/var/log/faillog", MEDIUM),
    ("rm /var/log/btmp", "/var/log/btmp", MEDIUM),
    ("mkdir /mount && mkdir /mount/in", "/mount/in", MEDIUM),
)

HELP = r"""
SET() { python3.11 -c 'import os, sys; os.setxattr(sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3]))' "$@"; }
CAP() { SET "$1" security.capability 0100000200040000000000000000000000000000; }
LIST="02000000$(printf %s 01000700ffffffff 0200070021000000 04000500ffffffff 10000700ffffffff 20000500ffffffff)"
ACL() { SET "$1" system.posix_acl_access $LIST; }
DEFAULT() { SET "$1" system.posix_acl_default $LIST; }
LOAD() { setsid /lib64/ld-linux-x86-64.so.2 "$@" >/dev/null 2>&1 & until grep -q "$1" /proc/$!/maps; do :; done; }
START() { until /usr/sbin/sshd "$@" >/dev/null 2>&1; do sleep 0.1; done; }
WRAP() { printf '#!/bin/sh\nexec /usr/bin/python3.11 "$@"\n' >"$1"; chmod 755 "$1"; }
cd /
exec </dev/null
"""


TOUCH = "import os\nwhile True: os.utime('/usr/bin/bash')"


@pytest.fixture(scope="module")
def manifest(golden_image):
    return baked(golden_image)


@pytest.fixture(scope="module")
def tampered(golden_image, image_cache, login_key, manifest):
    """What one look says after all of CHANGES."""
    with suspect(golden_image, image_cache, login_key, manifest) as server:
        said = server.inside(
            HELP
            + "".join(f"{{ {script}\n}} || echo 'failed: {number}'\n" for number, (script, _, _) in enumerate(CHANGES))
        )
        assert b"failed" not in said.stdout, (said.stdout, said.stderr)
        look = server.look()
        assert look.judgement.verdict is Verdict.DRIFTED, look.judgement.reason
        assert not look.others, "nobody logged in"
        yield told(look), look


@pytest.mark.parametrize(("script", "subject", "least"), CHANGES, ids=[row[0][:60] for row in CHANGES])
def test_every_change_is_named(tampered, script, subject, least):
    named = tampered[0]
    subject = subject if isinstance(subject, bytes) else subject.encode()
    assert subject in named, f"driftd passes over {script}"
    assert named[subject].rank >= least.rank


def test_what_hides_from_a_look_is_never_clean(golden_image, image_cache, login_key, manifest):
    with suspect(golden_image, image_cache, login_key, manifest) as server:
        # The mounted file system is in memory, so that its content is not looked at.
        for point, make, undo in (
            ("/usr/bin/ls", "cp /usr/bin/true /dev/shm/ls; mount --bind /dev/shm/ls /usr/bin/ls", "umount /usr/bin/ls"),
            ("/usr/local/bin", "mount -t tmpfs tmpfs /usr/local/bin", "umount /usr/local/bin"),
            ("/etc/profile.d", "mount -t tmpfs tmpfs /etc/profile.d", "umount /etc/profile.d"),
        ):
            server.inside(make)
            judgement = server.look().judgement
            server.inside(undo)
            assert judgement.verdict is Verdict.DRIFTED, make
            assert ("mount", point.encode()) in {(one.kind, one.subject) for one in judgement.findings}
            assert f"mounted over {point}" in judgement.reason or f"mounted on {point}" in judgement.reason
        # The file system is looked at, and it is another one.
        server.inside(
            "mkdir /var/backups/d; cp /usr/bin/true /var/backups/d; mount --bind /var/backups/d /usr/local/bin"
        )
        named = told(server.look())
        server.inside("umount /usr/local/bin; rm -r /var/backups/d")
        assert named[b"/usr/local/bin/true"] is CRITICAL
        # Too deep to be looked into.
        dig = "import os\nfor i in range(140): os.mkdir('d' * 250); os.chdir('d' * 250)"
        server.inside(f'cd /var/tmp && python3 -c "{dig}"')
        (deep,) = told(server.look())
        assert deep.startswith(b"/var/tmp/ddd")
        server.inside("rm -r /var/tmp/ddd*")
        # One too many of what is looked at only so often.
        server.inside("for i in $(seq 257); do setsid unshare --net sleep 600 >/dev/null 2>&1 & done")
        many = "test $(readlink /proc/[0-9]*/ns/net | sort -u | wc -l) -gt 257"
        server.inside(f"until {many}; do sleep 0.1; done")
        judgement = server.look().judgement
        server.inside("kill $(pidof sleep)")
        assert judgement.verdict is Verdict.UNKNOWN
        assert "there is more of listener than a look takes" in judgement.reason
        # Touched for as long as anybody looks.
        server.inside("printf x | dd of=/usr/bin/bash bs=1 seek=1000000 conv=notrunc")
        with subprocess.Popen([*server.enter(), "python3", "-c", TOUCH]) as toucher:
            named = told(server.look())
            toucher.kill()
        assert named == {b"/usr/bin/bash": CRITICAL, b"exec:root@": HIGH}
