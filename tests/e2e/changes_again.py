"""What happens to a server that was baked while it ran, after all of ``changes_local``: things end, or are others."""

from __future__ import annotations

from changes_local import HASH
from changing import CRITICAL, MEDIUM, MODIFIED, REMOVED, Case, case, file, told

OTHER_HASH = HASH.replace("l7XHUQ", "m8YIVR")
# An engine that runs, as far as anybody can see who asks it: its process, its socket and its program.
ENGINE = r"""
cp /usr/bin/sleep /usr/local/bin/dockerd; start dockerd /usr/local/bin/dockerd 600
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("/run/docker.sock")'
cat >/usr/bin/docker <<'END'
#!/bin/sh
one=1111111111111111111111111111111111111111111111111111111111111111
case "$1" in ps) echo $one ;; inspect) [ "$4" = $one ] && echo '/miner|eve/miner:latest|sha256:6d696e6572' ;; esac
END
chmod +x /usr/bin/docker
"""

AGAIN: tuple[Case, ...] = (
    # The dynamic linker's complaints end first.
    case(
        "preload",
        "file-removed",
        "rm /etc/ld.so.preload",
        told("preload", "/usr/lib/eve.so", REMOVED, CRITICAL, was_file="/etc/ld.so.preload"),
        file("/etc/ld.so.preload", REMOVED, CRITICAL),
    ),
    case(
        "preload",
        "environment-gone",
        "ends preloaded",
        told("preload", "LD_PRELOAD=/lib/eve.so", REMOVED, CRITICAL),
        told("preload", "LD_AUDIT=/x/audit.so", REMOVED, CRITICAL),
    ),
    case(
        "account",
        "another-password",
        f"usermod --password '{OTHER_HASH}' backup",
        told("account", "backup", MODIFIED, CRITICAL, digest="?" * 32, was_digest="?" * 32),
        file("/etc/shadow*", MODIFIED, MEDIUM),
        file("/etc/passwd-", MODIFIED, MEDIUM),
    ),
    case(
        "group",
        "another-password",
        f"groupmod --password '{OTHER_HASH}' src",
        told("group", "src", MODIFIED, digest="?" * 32, was_digest="?" * 32),
        file("/etc/gshadow*", MODIFIED, MEDIUM),
    ),
    case(
        "sshd",
        "setting",
        r"printf 'MaxAuthTries 99\nX11Forwarding no\n' >/etc/ssh/sshd_config.d/05-eve.conf",
        told("sshd", "maxauthtries", MODIFIED, value="99", was_value="6"),
        told("sshd", "x11forwarding", MODIFIED, value="no", was_value="yes"),
        file("/etc/ssh/sshd_config.d/05-eve.conf"),
    ),
    case(
        "sshd",
        "setting-removed-and-for-one-user-added",
        r"""
        sed -i '/^AcceptEnv/d' /etc/ssh/sshd_config
        printf 'Match User eve\n PasswordAuthentication yes\n' >>/etc/ssh/sshd_config
        """,
        told("sshd", "acceptenv*", REMOVED),
        told("sshd", "match User eve passwordauthentication", value="yes"),
        file("/etc/ssh/sshd_config", MODIFIED),
    ),
    case(
        "key",
        "removed",
        "sed -i '/eve$/d' /root/.ssh/authorized_keys",
        told("key", "root SHA256:*", REMOVED, CRITICAL, was_comment="eve"),
    ),
    case(
        "key",
        "options-taken-away",
        "sed -i 's/^ssh/no-pty ssh/' /var/www/.ssh/authorized_keys",
        told("key", "www-data SHA256:*", MODIFIED, CRITICAL, options="no-pty"),
        file("/var/www/.ssh/authorized_keys", MODIFIED),
    ),
    case(
        "hostkey",
        "removed",
        "rm /etc/ssh/eve_key /etc/ssh/eve_key.pub",
        told("hostkey", "SHA256:*", REMOVED, was_file="/etc/ssh/eve_key.pub"),
        file("/etc/ssh/eve_key*", REMOVED),
    ),
    case(
        "at",
        "job-gone",
        "rm /var/spool/cron/atjobs/*",
        told("at", "a00001019a8b2c", REMOVED),
        file("/var/spool/cron/atjobs/a00001019a8b2c", REMOVED),
    ),
    case(
        "unit",
        "schedule",
        "sed -i s/OnBootSec=1/OnBootSec=2/ /etc/systemd/system/e2scrub_all.timer.d/e.conf",
        told("unit", "e2scrub_all.timer", MODIFIED, schedule="*OnBootSec=2*", was_schedule="*OnBootSec=1*"),
        file("/etc/systemd/system/e2scrub_all.timer.d/e.conf", MODIFIED),
    ),
    case(
        "mount",
        "with-more-rights",
        "mount -o remount,suid /srv",
        told("mount", "/srv", MODIFIED, live="tmpfs eve rw,relatime*", was_live="tmpfs eve rw,nosuid,*"),
    ),
    case(
        "mount",
        "gone",
        "umount /etc/host.conf",
        told("mount", "/etc/host.conf", REMOVED),
        file("/etc/host.conf", MODIFIED, MEDIUM),
    ),
    case(
        "mount",
        "configured-otherwise",
        "sed -i 's/^eve .*/eve \\/data tmpfs suid 0 0/' /etc/fstab",
        told("mount", "/data", MODIFIED, configured="tmpfs eve suid", was_configured="tmpfs eve nosuid"),
        file("/etc/fstab", MODIFIED),
    ),
    case(
        "listener",
        "by-another-program",
        """
        ends udp5300
        start udp5300 setpriv --reuid=backup --regid=backup --clear-groups /usr/local/bin/eve -c '
        import socket, time
        s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("127.0.0.1", 5300)); time.sleep(600)'
        waits 'grep -q :14B4 /proc/net/udp'
        """,
        told(
            "listener", "udp 127.0.0.1:5300", MODIFIED, program="/usr/local/bin/eve", was_program="/usr/bin/python3.11"
        ),
    ),
    case(
        "listener",
        "gone",
        "ends tcp4444",
        told("listener", "tcp 0.0.0.0:4444", REMOVED),
    ),
    # No manifest states what ran: what the image does not explain is found although it ran when this one was made.
    case(
        "process",
        "another-at-the-same-place",
        "ends from-tmp; rm /tmp/.eve; cp /usr/bin/tail /tmp/.eve; start from-tmp /tmp/.eve -f /dev/null",
        told("process", "/tmp/.eve", state="elsewhere", sha256="?*"),
    ),
    case("process", "still-in-memory", ":", told("process", "/memfd:eve", state="in memory")),
    case("process", "ended", "ends deleted"),
    case(
        "container",
        "started",
        ENGINE,
        told("container", "miner", image="eve/miner:latest", digest="sha256:6d696e6572", runtime="docker"),
        told("process", "/usr/local/bin/dockerd"),
        file("/usr/local/bin/dockerd", severity=CRITICAL),
        file("/usr/bin/docker", severity=CRITICAL),
    ),
)
