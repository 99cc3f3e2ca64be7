"""Changes that a shared kernel can show: what a server is set up to be, and what runs on it."""

from __future__ import annotations

from changing import CRITICAL, MEDIUM, MODIFIED, REMOVED, case, file, told

HASH = "$6$cHANGedsalt$l7XHUQ0zYyQcK1Zk3nD4mUe9Zb2pJ6sWfT8vRgLhXoNqAiBdMyEuKwCtSjPzVxGr5OaHn1"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3/CXyPnKqMhz0cVHJmVrLRoxELOxQzfMFtz9wxQk7d eve"

# Files that several cases write to, once and for all of them.
PASSWD = tuple(file(path, MODIFIED, CRITICAL) for path in ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"))

LOCAL = (
    # --- packages
    case(
        "package",
        "from-a-deb",
        r"""
        mkdir -p /tmp/deb/DEBIAN
        printf '%s: x\n' Maintainer Description >/tmp/deb/DEBIAN/control
         printf 'Package: beacon\nVersion: 6\nArchitecture: all\n' >>/tmp/deb/DEBIAN/control
        dpkg-deb --build /tmp/deb /tmp/beacon.deb >/dev/null; dpkg --install /tmp/beacon.deb >/dev/null 2>&1
        """,
        told("package", "beacon:all", version="6", source="dpkg"),
        told("file", "/var/lib/dpkg/*", severity=MEDIUM),
        file("/var/lib/dpkg/status*", MODIFIED, MEDIUM),
    ),
    case(
        "package",
        "taken-out-of-the-database",
        r"""sed -i '/^Package: procps$/,/^$/d' /var/lib/dpkg/status""",
        told("package", "procps:amd64", REMOVED, was_source="dpkg"),
    ),
    case(
        "package",
        "another-version-in-the-database",
        r"""sed -i '/^Package: iproute2$/,/^$/s/^Version: .*/Version: 99/' /var/lib/dpkg/status""",
        told("package", "iproute2:amd64", MODIFIED, version="99", was_version="[0-9]*"),
    ),
    case(
        "package",
        "of-pip-dropped-in",
        r"""
        mkdir -p /usr/local/lib/python3.11/dist-packages/beacon-1.0.dist-info
        printf 'Name: beacon\nVersion: 1.0\n' >/usr/local/lib/python3.11/dist-packages/beacon-1.0.dist-info/METADATA
        """,
        told("package", "beacon", source="pip", location="/usr/local/lib/python3.11/dist-packages"),
        told("directory", "/usr/local/lib/python3.11/dist-packages/beacon-1.0.dist-info"),
        file("/usr/local/lib/python3.11/dist-packages/beacon-1.0.dist-info/METADATA"),
    ),
    # --- accounts and groups
    case(
        "account",
        "added",
        "useradd --uid 0 --non-unique --no-create-home --shell /bin/sh eve",
        told("account", "eve", severity=CRITICAL, uid="0", shell="/bin/sh", password="locked"),
        told("group", "eve"),
        *PASSWD,
        file("/etc/passwd-", MODIFIED, MEDIUM),
        file("/etc/shadow-", MODIFIED, MEDIUM),
        file("/etc/group-", MODIFIED, MEDIUM),
        file("/etc/gshadow-", MODIFIED, MEDIUM),
        file("/etc/sub?id", MODIFIED, CRITICAL),
        file("/etc/sub?id-", severity=MEDIUM),
    ),
    case(
        "account",
        "removed",
        "userdel games",
        told("account", "games", REMOVED, CRITICAL),
        told("group", "games", REMOVED),
    ),
    case(
        "account",
        "password-set",
        f"usermod --password '{HASH}' backup",
        told("account", "backup", MODIFIED, CRITICAL, password="set", was_password="locked"),
    ),
    case(
        "account",
        "shell-and-home",
        "usermod --shell /bin/bash --home /srv news",
        told("account", "news", MODIFIED, CRITICAL, shell="/bin/bash", home="/srv", was_shell="*nologin"),
    ),
    case(
        "account",
        "expires",
        "usermod --expiredate 2031-02-03 irc",
        told("account", "irc", MODIFIED, CRITICAL, expires="?*"),
    ),
    case(
        "group",
        "member",
        "usermod --append --groups sudo www-data",
        told("group", "sudo", MODIFIED, members="www-data"),
    ),
    case("group", "removed", "groupdel voice", told("group", "voice", REMOVED)),
    case("group", "added", "groupadd --gid 777 club", told("group", "club", gid="777")),
    case("group", "password", f"groupmod --password '{HASH}' src", told("group", "src", MODIFIED, password="set")),
    # --- rights
    case(
        "sudo",
        "line-added",
        "echo 'eve   ALL=(ALL)\\\n NOPASSWD: ALL  # for now' >/etc/sudoers.d/eve",
        told("sudo", "eve ALL=(ALL) NOPASSWD: ALL", severity=CRITICAL, file="/etc/sudoers.d/eve"),
        told("sudo", "order of the rules", MODIFIED, CRITICAL),
        file("/etc/sudoers.d/eve"),
    ),
    case(
        "sudo",
        "line-removed",
        "sed -i '/use_pty/d' /etc/sudoers",
        told("sudo", "Defaults use_pty", REMOVED, CRITICAL),
        file("/etc/sudoers", MODIFIED),
    ),
    case(
        "sudo",
        "comment-alone-is-no-fact",
        "echo '# eve ALL=(ALL) NOPASSWD: ALL' >>/etc/sudoers.d/README",
        file("/etc/sudoers.d/README", MODIFIED),
    ),
    case(
        "key",
        "added",
        f"echo 'command=\"/bin/sh\" {OTHER_KEY}' >>/root/.ssh/authorized_keys",
        told("key", "root SHA256:*", severity=CRITICAL, type="ssh-ed25519", comment="eve", options="*/bin/sh*"),
    ),
    case(
        "key",
        "of-another-user",
        f"mkdir -p /var/www/.ssh; echo '{OTHER_KEY}' >/var/www/.ssh/authorized_keys",
        told("key", "www-data SHA256:*", severity=CRITICAL, file="/var/www/.ssh/authorized_keys"),
        told("directory", "/var/www", severity=MEDIUM),
        told("directory", "/var/www/.ssh"),
        file("/var/www/.ssh/authorized_keys"),
    ),
    case(
        "hostkey",
        "another",
        "ssh-keygen -q -t ed25519 -N '' -C eve -f /etc/ssh/eve_key",
        told("hostkey", "SHA256:*", file="/etc/ssh/eve_key.pub"),
        file("/etc/ssh/eve_key*"),
    ),
    case(
        "pam",
        "line",
        "sed -i '1i auth sufficient pam_permit.so' /etc/pam.d/su",
        told("pam", "su/auth", MODIFIED, CRITICAL, stack="sufficient pam_permit.so;*"),
        file("/etc/pam.d/su", MODIFIED, CRITICAL),
    ),
    case(
        "pam",
        "service-added",
        "echo 'auth required pam_permit.so' >/etc/pam.d/eve",
        told("pam", "eve/auth", severity=CRITICAL),
        file("/etc/pam.d/eve", severity=CRITICAL),
    ),
    case(
        "pam",
        "service-removed",
        "rm /etc/pam.d/chsh",
        told("pam", "chsh/*", REMOVED, CRITICAL),
        file("/etc/pam.d/chsh", REMOVED, CRITICAL),
    ),
    case(
        "nss",
        "order",
        "sed -i 's/^hosts:.*/hosts: dns files/' /etc/nsswitch.conf",
        told("nss", "hosts", MODIFIED, CRITICAL, services="dns files", was_services="files dns"),
        file("/etc/nsswitch.conf", MODIFIED, CRITICAL),
    ),
    case(
        "nss",
        "added-and-removed",
        "sed -i 's/^netgroup:.*/automount: files/' /etc/nsswitch.conf",
        told("nss", "automount", severity=CRITICAL),
        told("nss", "netgroup", REMOVED, CRITICAL),
    ),
    # --- what runs by itself
    case(
        "unit",
        "added-and-enabled",
        r"""
         cd /etc/systemd/system; printf '[Service]\nExecStart=/bin/true\n' >eve.service
         printf '[Install]\nWantedBy=multi-user.target\n' >>eve.service
         ln -s /etc/systemd/system/eve.service /etc/systemd/system/multi-user.target.wants/eve.service
         """,
        told(
            "unit",
            "eve.service",
            state="enabled",
            wanted_by="multi-user.target",
            fragment="/etc/systemd/system/eve.service",
        ),
        file("/etc/systemd/system/eve.service"),
        told("link", "/etc/systemd/system/multi-user.target.wants/eve.service"),
    ),
    case(
        "unit",
        "drop-in",
        r"""
         mkdir -p /etc/systemd/system/ssh.service.d
         printf '[Service]\nUser=eve\n' >/etc/systemd/system/ssh.service.d/eve.conf
         """,
        told("unit", "ssh.service", MODIFIED, dropins="/etc/systemd/system/ssh.service.d/eve.conf"),
        told("directory", "/etc/systemd/system/ssh.service.d"),
        file("/etc/systemd/system/ssh.service.d/eve.conf"),
    ),
    case(
        "unit",
        "masked",
        "ln -s /dev/null /etc/systemd/system/dpkg-db-backup.service",
        told("unit", "dpkg-db-backup.service", MODIFIED, state="masked"),
        told("link", "/etc/systemd/system/dpkg-db-backup.service"),
    ),
    case(
        "unit",
        "disabled",
        "rm /etc/systemd/system/timers.target.wants/fstrim.timer",
        told("unit", "fstrim.timer", MODIFIED, state="disabled", was_state="enabled"),
        told("link", "/etc/systemd/system/timers.target.wants/fstrim.timer", REMOVED),
    ),
    case(
        "unit",
        "removed",
        "rm /lib/systemd/system/e2scrub_fail@.service",
        told("unit", "e2scrub_fail@.service", REMOVED, was_state="static"),
        file("/usr/lib/systemd/system/e2scrub_fail@.service", REMOVED),
    ),
    case(
        "unit",
        "timer",
        r"""
         mkdir -p /etc/systemd/system/e2scrub_all.timer.d
         printf '[Timer]\nOnBootSec=1\n' >/etc/systemd/system/e2scrub_all.timer.d/e.conf
         """,
        told("unit", "e2scrub_all.timer", MODIFIED, schedule="*OnBootSec=1*"),
        told("directory", "/etc/systemd/system/e2scrub_all.timer.d"),
        file("/etc/systemd/system/e2scrub_all.timer.d/e.conf"),
    ),
    case(
        "unit",
        "of-a-user-who-lingers",
        r"""
         mkdir -p /var/www/.config/systemd/user /var/lib/systemd/linger
         printf '[Service]\nExecStart=/bin/true\n' >/var/www/.config/systemd/user/eve.service
         touch /var/lib/systemd/linger/www-data
         """,
        told("unit", "~www-data/eve.service"),
        told("unit", "linger www-data"),
        told("directory", "/var/www/.config*", severity=MEDIUM),
        file("/var/www/.config/systemd/user/eve.service", severity=MEDIUM),
        file("/var/lib/systemd/linger/www-data"),
    ),
    case(
        "cron",
        "line",
        "echo '*/5 *  * * * root  /bin/beacon' >/etc/cron.d/eve",
        told("cron", "*/5 * * * * root /bin/beacon", file="/etc/cron.d/eve", user="root"),
        file("/etc/cron.d/eve"),
    ),
    case(
        "cron",
        "line-changed",
        "sed -i 's/^30 3/31 3/' /etc/cron.d/e2scrub_all",
        told("cron", "31 3 * * 0 root *"),
        told("cron", "30 3 * * 0 root *", REMOVED),
        file("/etc/cron.d/e2scrub_all", MODIFIED),
    ),
    case(
        "cron",
        "daily-script",
        r"printf '#!/bin/sh\n' >/etc/cron.daily/eve; chmod +x /etc/cron.daily/eve",
        told("cron", "/etc/cron.daily/eve"),
        file("/etc/cron.daily/eve"),
    ),
    case(
        "cron",
        "daily-script-removed",
        "rm /etc/cron.daily/apt-compat",
        told("cron", "/etc/cron.daily/apt-compat", REMOVED),
        file("/etc/cron.daily/apt-compat", REMOVED),
    ),
    case(
        "cron",
        "of-a-user",
        "mkdir -p /var/spool/cron/crontabs; echo '@reboot /bin/beacon' >/var/spool/cron/crontabs/www-data",
        told("cron", "@reboot www-data /bin/beacon", user="www-data"),
        told("directory", "/var/spool/cron*", severity=MEDIUM),
        file("/var/spool/cron/crontabs/www-data"),
    ),
    case(
        "at",
        "job",
        "mkdir -p /var/spool/cron/atjobs; echo '# atrun uid=0 gid=0' >/var/spool/cron/atjobs/a00001019a8b2c",
        told("at", "a00001019a8b2c", user="root", digest="?*"),
        file("/var/spool/cron/atjobs/a00001019a8b2c"),
    ),
    # --- what runs now
    case(
        "mount",
        "in-memory",
        "mount -t tmpfs -o size=1m,nosuid eve /srv",
        told("mount", "/srv", live="tmpfs eve rw,nosuid,*size=1024k*", configured=""),
    ),
    case(
        "mount",
        "bound-over",
        "echo '10.0.0.1 localhost' >/tmp/hosts; mount --bind /tmp/hosts /etc/host.conf",
        told("mount", "/etc/host.conf", live="tmpfs tmpfs * root=/hosts"),
        file("/etc/host.conf", MODIFIED, MEDIUM),
    ),
    case(
        "mount",
        "configured",
        "echo 'eve /data tmpfs nosuid 0 0' >>/etc/fstab",
        told("mount", "/data", configured="tmpfs eve nosuid", live=""),
        file("/etc/fstab", MODIFIED),
    ),
    case(
        "listener",
        "of-the-baked-python",
        """
         start tcp4444 python3 -c 'import socket, time; s = socket.create_server(("0.0.0.0", 4444)); time.sleep(600)'
         waits 'grep -q :115C /proc/net/tcp'
         """,
        told("listener", "tcp 0.0.0.0:4444", program="/usr/bin/python3.11", user="root", baked="yes"),
    ),
    case(
        "listener",
        "of-another-program",
        """
         cp /usr/bin/python3.11 /usr/local/bin/eve
         start tcp2222 /usr/local/bin/eve -c '
         import socket, time
         s = socket.create_server(("127.0.0.1", 2222)); time.sleep(600)'
         waits 'grep -q :08AE /proc/net/tcp'
         """,
        told("listener", "tcp 127.0.0.1:2222", program="/usr/local/bin/eve", baked="no"),
        told("process", "/usr/local/bin/eve"),
        file("/usr/local/bin/eve", severity=CRITICAL),
    ),
    case(
        "listener",
        "udp",
        """
         start udp5300 setpriv --reuid=backup --regid=backup --clear-groups python3 -c '
         import socket, time
         s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("127.0.0.1", 5300)); time.sleep(600)'
         waits 'grep -q :14B4 /proc/net/udp'
         """,
        told("listener", "udp 127.0.0.1:5300", user="backup"),
    ),
    case(
        "process",
        "from-tmp",
        "cp /bin/sleep /tmp/.eve; start from-tmp /tmp/.eve 600",
        told("process", "/tmp/.eve", state="elsewhere", filesystem="tmpfs", sha256="?*", user="root"),
    ),
    case(
        "process",
        "deleted",
        """
         cp /bin/sleep /usr/bin/eve; start deleted /usr/bin/eve 600
         rm /usr/bin/eve
         """,
        told("process", "/usr/bin/eve", state="deleted", sha256="?*"),
    ),
    case(
        "process",
        "in-memory",
        """
         start in-memory python3 -c '
         import os
         fd = os.memfd_create("eve"); os.write(fd, open("/bin/sleep", "rb").read())
         os.execv("/proc/self/fd/%d" % fd, ["sleep", "600"])'
         waits 'readlink /proc/[0-9]*/exe | grep -q memfd:eve'
         """,
        told("process", "/memfd:eve", state="in memory", sha256="?*"),
    ),
    case(
        "preload",
        "environment",
        "start preloaded env LD_PRELOAD=/lib/eve.so LD_AUDIT=/x/audit.so sleep 600",
        told("preload", "LD_PRELOAD=/lib/eve.so", severity=CRITICAL, program="/usr/bin/sleep", user="root"),
        told("preload", "LD_AUDIT=/x/audit.so", severity=CRITICAL),
    ),
    # Last of all: every program that starts after it complains.
    case(
        "preload",
        "file",
        "echo /usr/lib/eve.so >/etc/ld.so.preload",
        told("preload", "/usr/lib/eve.so", severity=CRITICAL, file="/etc/ld.so.preload"),
        file("/etc/ld.so.preload", severity=CRITICAL),
    ),
)
