"""Deliberate changes, by the persistence locations of MITRE ATT&CK for Linux and what goes with them; all harmless.

Each row has the technique's number (attack.mitre.org), what is done, and what an audit with the default packs has to
say of it. What lets code run or somebody in is at least high (``grants``, ``plant``, ``program``, ``edit``).
"""

from __future__ import annotations

from shlex import quote

from changing import ADDED, CRITICAL, HIGH, MEDIUM, MODIFIED, REMOVED, Case, Told, case, file, told

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3/CXyPnKqMhz0cVHJmVrLRoxELOxQzfMFtz9wxQk7d eve"
SITE = "/usr/local/lib/python3.11/dist-packages"
UNITS = "/etc/systemd/system"
SERVICE = "[Service]\nExecStart=/bin/true\n"


def grants(technique: str, name: str, script: str, *finds: Told) -> Case:
    """A change that lets code run or somebody in."""
    assert all(want.severity.rank >= HIGH.rank for want in finds), name
    return case(technique, name, script, *finds)


def plant(technique: str, name: str, path: str, text: str = ":", severity=HIGH, besides: tuple[Told, ...] = ()) -> Case:
    """A new file, that no program bit is set of."""
    script = f"mkdir -p {quote(path.rpartition('/')[0])}; printf %s {quote(text)} >{quote(path)}"
    return grants(technique, name, script, file(path, ADDED, severity), *besides)


def program(technique: str, name: str, path: str, severity=HIGH, besides: tuple[Told, ...] = ()) -> Case:
    """A new program."""
    script = f"mkdir -p {quote(path.rpartition('/')[0])}; cp /bin/true {quote(path)}; chmod 755 {quote(path)}"
    return grants(technique, name, script, file(path, ADDED, severity), *besides)


def edit(technique: str, name: str, path: str, text: str, severity=HIGH, besides: tuple[Told, ...] = ()) -> Case:
    """A line at the end of a file that was baked; the file's time is put back."""
    script = f"touch -r {path} /run/time; printf '%s\\n' {quote(text)} >>{path}; touch -r /run/time {path}"
    return grants(technique, name, script, file(path, MODIFIED, severity), *besides)


ACCESS = (
    # --- keys (T1098.004) and the ways to say where keys are
    grants(
        "T1098.004",
        "key-of-root",
        f"echo '{KEY}' >>/root/.ssh/authorized_keys",
        told("key", "root SHA256:*", severity=CRITICAL),
    ),
    plant(
        "T1098.004",
        "key-of-a-daemon",
        "/var/backups/.ssh/authorized_keys",
        KEY,
        besides=(told("key", "backup SHA256:*", severity=CRITICAL),),
    ),
    plant("T1098.004", "key-in-a-second-file", "/root/.ssh/authorized_keys2", KEY),
    plant(
        "T1098.004",
        "keys-elsewhere",
        "/etc/ssh/sshd_config.d/10-z.conf",
        "AuthorizedKeysFile /etc/ssh/keys/%u\n",
    ),
    plant("T1098.004", "keys-there", "/etc/ssh/keys/root", KEY),
    plant(
        "T1098.004",
        "keys-by-command",
        "/etc/ssh/sshd_config.d/11-z.conf",
        "AuthorizedKeysCommand /bin/true\nAuthorizedKeysCommandUser nobody\n",
    ),
    plant("T1098.004", "certificate-authority", "/etc/ssh/sshd_config.d/12-z.conf", "TrustedUserCAKeys /etc/ssh/z\n"),
    plant("T1098.004", "run-at-login", "/root/.ssh/rc"),
    plant("T1098.004", "run-at-every-login", "/etc/ssh/sshrc"),
    # --- accounts
    grants("T1098.007", "group", "usermod -a -G sudo list", told("group", "sudo", MODIFIED)),
    grants(
        "T1136.001",
        "account",
        "useradd --system --no-create-home --shell /bin/sh sysd",
        told("account", "sysd", severity=CRITICAL),
        file("/etc/passwd", MODIFIED, CRITICAL),
    ),
    grants(
        "T1136.001",
        "second-root",
        "echo 'r00t:x:0:0::/root:/bin/sh' >>/etc/passwd",
        told("account", "r00t", severity=CRITICAL, uid="0"),
    ),
    grants(
        "T1078.003",
        "password-of-a-baked-account",
        "usermod --password '$6$aaaaaaaa$bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb' man",
        told("account", "man", MODIFIED, CRITICAL, password="set"),
    ),
    grants(
        "T1078.003",
        "password-emptied",
        "sed -i 's/^lp:[^:]*:/lp::/' /etc/shadow",
        told("account", "lp", MODIFIED, CRITICAL),
    ),
    grants(
        "T1078.003",
        "shell-of-a-baked-account",
        "usermod --shell /bin/sh uucp",
        told("account", "uucp", MODIFIED, CRITICAL, shell="/bin/sh"),
    ),
    # --- who may become whom
    edit("T1556.003", "pam-line", "/etc/pam.d/login", "auth sufficient pam_permit.so", CRITICAL),
    plant("T1556.003", "pam-of-a-new-service", "/etc/pam.d/z", "auth sufficient pam_permit.so\n", CRITICAL),
    program("T1556.003", "pam-module", "/usr/lib/x86_64-linux-gnu/security/pam_z.so", CRITICAL),
    grants(
        "T1556",
        "name-service",
        "sed -i 's/^passwd:.*/passwd: files z/' /etc/nsswitch.conf",
        file("/etc/nsswitch.conf", MODIFIED, CRITICAL),
        told("nss", "passwd", MODIFIED, CRITICAL),
    ),
    edit("T1556", "sshd-config", "/etc/ssh/sshd_config", "PermitRootLogin yes"),
    plant(
        "T1548.003",
        "sudoers",
        "/etc/sudoers.d/z",
        "www-data ALL=(ALL) NOPASSWD: ALL\n",
        besides=(told("sudo", "www-data *", severity=CRITICAL),),
    ),
    plant("T1548", "polkit", "/etc/polkit-1/rules.d/z.rules"),
    plant("T1548", "doas", "/etc/doas.conf", "permit nopass www-data\n"),
    grants("T1548.001", "setuid", "chmod u+s /usr/bin/nice", file("/usr/bin/nice", MODIFIED, CRITICAL)),
    *(
        grants(
            "T1548.001",
            f"setuid-in-{place.replace('/', '-')[1:]}",
            f"cp /bin/true {place}/suid; chmod 4755 {place}/suid",
            file(f"{place}/suid", ADDED, CRITICAL),
        )
        for place in ("/var/cache", "/var/log", "/var/tmp", "/var/backups", "/srv")
    ),
    grants("T1222.002", "owner", "chown www-data /usr/bin/head", file("/usr/bin/head", MODIFIED, CRITICAL)),
    grants("T1222.002", "shadow-for-all", "chmod 644 /etc/shadow", file("/etc/shadow", MODIFIED, CRITICAL)),
    grants("T1222.002", "opened", "chmod 777 /usr/local/share", told("directory", "/usr/local/share", MODIFIED)),
    plant("T1553.004", "certificate", "/usr/local/share/ca-certificates/z.crt", "x"),
    plant("T1553.004", "certificate-in-use", "/etc/ssl/certs/z.pem", "x"),
)

CODE = (
    # --- T1053 scheduled task
    plant("T1053.002", "at", "/var/spool/cron/atjobs/a0000201abcdef", besides=(told("at", "a0000201abcdef"),)),
    plant("T1053.003", "cron.d", "/etc/cron.d/z", "* * * * * root :\n", besides=(told("cron", "* * * * * root :"),)),
    plant("T1053.003", "crontab", "/etc/crontab", "9 * * * * root :\n", besides=(told("cron", "9 * * * * root :"),)),
    program("T1053.003", "hourly", "/etc/cron.hourly/z", besides=(told("cron", "/etc/cron.hourly/z"),)),
    plant("T1053.003", "of-a-user", "/var/spool/cron/crontabs/root", "@daily :\n", besides=(told("cron", "@daily *"),)),
    plant("T1053.003", "anacron", "/etc/anacrontab", "1 5 z :\n"),
    plant("T1053.006", "timer", f"{UNITS}/z.timer", "[Timer]\nOnBootSec=1\n", besides=(told("unit", "z.timer"),)),
    # --- T1543 system process
    plant("T1543.002", "service", f"{UNITS}/y.service", SERVICE, besides=(told("unit", "y.service"),)),
    grants(
        "T1543.002",
        "enabled",
        f"mkdir -p {UNITS}/multi-user.target.wants; ln -s ../y.service {UNITS}/multi-user.target.wants/y.service",
        told("link", f"{UNITS}/multi-user.target.wants/y.service"),
    ),
    plant("T1543.002", "among-the-libraries", "/usr/lib/systemd/system/x.service", SERVICE),
    plant("T1543.002", "of-local", "/usr/local/lib/systemd/system/w.service", SERVICE),
    plant("T1543.002", "drop-in", f"{UNITS}/ssh.service.d/o.conf", SERVICE),
    plant("T1543.002", "drop-in-of-every-service", f"{UNITS}/service.d/o.conf", SERVICE),
    grants(
        "T1543.002",
        "at-run-time",
        f"mkdir -p /run/systemd/system; printf '{SERVICE}' >/run/systemd/system/v.service",
        told("unit", "v.service"),
    ),
    plant("T1543.002", "of-users", "/etc/systemd/user/u.service", SERVICE),
    program("T1543.002", "generator", "/etc/systemd/system-generators/g"),
    plant("T1543.002", "environment-of-services", "/etc/systemd/system.conf.d/e.conf", "[Manager]\n"),
    program("T1543.002", "at-shutdown", "/usr/lib/systemd/system-shutdown/s"),
    program("T1543.002", "at-sleep", "/usr/lib/systemd/system-sleep/s"),
    plant("T1543.002", "lingering", "/var/lib/systemd/linger/proxy", "", besides=(told("unit", "linger proxy"),)),
    plant("T1543.002", "bus-activated", "/usr/share/dbus-1/system-services/z.service", "[D-BUS Service]\n"),
    # --- T1037, T1547, T1542 boot or logon
    program("T1037.004", "rc.local", "/etc/rc.local"),
    program("T1037.004", "init.d", "/etc/init.d/z"),
    grants("T1037.004", "runlevel", "ln -s ../init.d/z /etc/rc2.d/S99z", told("link", "/etc/rc2.d/S99z")),
    plant("T1037.004", "inittab", "/etc/inittab", "z:2345:respawn:/bin/true\n"),
    program("T1037", "login-message", "/etc/update-motd.d/99-z"),
    plant("T1547.006", "module-named", "/etc/modules", "dummy\n", CRITICAL),
    plant("T1547.006", "module-at-boot", "/etc/modules-load.d/z.conf", "dummy\n", CRITICAL),
    plant("T1547.006", "module-by-install-line", "/etc/modprobe.d/z.conf", "install dummy /bin/true\n", CRITICAL),
    plant("T1547.006", "module-file", "/usr/lib/modules/9/extra/z.ko", "x", CRITICAL),
    plant("T1547.013", "autostart", "/etc/xdg/autostart/z.desktop", "[Desktop Entry]\n"),
    plant("T1542.003", "kernel", "/boot/vmlinuz-9", "x", CRITICAL),
    plant("T1542.003", "boot-loader", "/boot/grub/grub.cfg", "x", CRITICAL),
    plant("T1542.003", "boot-loader-defaults", "/etc/default/grub", "x", CRITICAL),
    program("T1542.003", "initrd-hook", "/etc/initramfs-tools/hooks/z", CRITICAL),
    program("T1542.003", "kernel-hook", "/etc/kernel/postinst.d/z"),
    # --- T1546 event triggered
    plant("T1546.004", "profile", "/etc/profile.d/z.sh"),
    plant("T1546.004", "profile-of-root", "/root/.bash_profile"),
    plant("T1546.004", "logout-of-root", "/root/.bash_logout"),
    plant("T1546.004", "zsh", "/etc/zsh/zshenv"),
    plant("T1546.004", "fish", "/etc/fish/conf.d/z.fish"),
    plant("T1546.004", "of-a-user", "/home/someone/.profile"),
    plant("T1546.004", "of-a-daemon", "/var/cache/man/.bashrc"),
    edit("T1546.004", "bashrc", "/etc/bash.bashrc", ":"),
    edit("T1546.004", "skeleton", "/etc/skel/.bashrc", ":"),
    edit("T1546.004", "environment", "/etc/environment", "PATH=/var/tmp"),
    plant("T1546.004", "environment.d", "/etc/environment.d/z.conf", "A=b\n"),
    plant("T1546.004", "environment-of-ssh", "/root/.ssh/environment", "A=b\n"),
    plant("T1546.016", "package-script", "/var/lib/dpkg/info/sed.prerm"),
    plant("T1546.016", "apt-hook", "/etc/apt/apt.conf.d/98z", 'DPkg::Post-Invoke {"true";};\n'),
    plant("T1546.016", "dpkg-hook", "/etc/dpkg/dpkg.cfg.d/z", "post-invoke=true\n"),
    plant("T1546.016", "source", "/etc/apt/sources.list.d/z.list", "deb [trusted=yes] http://127.0.0.1 a b\n"),
    plant("T1546.016", "key-of-a-source", "/etc/apt/trusted.gpg.d/z.asc", "x"),
    plant("T1546.017", "udev", "/etc/udev/rules.d/z.rules", 'RUN+="/bin/true"\n'),
    plant("T1546.018", "python-path", f"{SITE}/z.pth", "import os\n", CRITICAL),
    plant("T1546.018", "python-site", f"{SITE}/usercustomize.py", "import os\n", CRITICAL),
    edit("T1546.018", "python-library", "/usr/lib/python3.11/random.py", "# z", CRITICAL),
    plant("T1546.018", "python-compiled", "/usr/lib/python3.11/__pycache__/z.cpython-311.pyc", "x" * 20),
    program("T1546", "network-hook", "/etc/network/if-up.d/z"),
    program("T1546", "dhcp-hook", "/etc/dhcp/dhclient-exit-hooks.d/z"),
    program("T1546", "dispatcher", "/etc/networkd-dispatcher/routable.d/z"),
    plant("T1546", "logrotate", "/etc/logrotate.d/z", "/var/log/z { postrotate\n"),
    plant("T1546", "rsyslog", "/etc/rsyslog.d/z.conf", "*.* ^/bin/true\n"),
    plant("T1546", "git-of-root", "/root/.gitconfig", "[core]\n"),
    plant("T1546", "vim-of-root", "/root/.vimrc"),
    plant("T1546", "formats", "/etc/binfmt.d/z.conf", ":z:M::zz::/bin/true:\n"),
    plant("T1546", "temporary-files", "/etc/tmpfiles.d/z.conf", "f /root/z\n"),
    plant("T1546", "system-users", "/etc/sysusers.d/z.conf", "u z 0\n"),
    plant("T1546", "kernel-settings", "/etc/sysctl.d/z.conf", "kernel.core_pattern=|/bin/true\n"),
    # --- T1505, T1554, T1574 software
    program("T1505.003", "web-shell", "/opt/web/z.cgi"),
    plant("T1505.003", "web-shell-of-php", "/var/www/html/z.php", "<?php"),
    plant("T1505.003", "web-shell-among-data", "/srv/files/z.jsp", "<%"),
    edit("T1554", "application", "/opt/web/app.py", "# z"),
    edit("T1554", "program", "/usr/bin/sum", "z", CRITICAL),
    grants("T1554", "swapped", "cp -p /usr/bin/cut /usr/bin/cut.real", file("/usr/bin/cut.real", ADDED, CRITICAL)),
    grants("T1554", "removed", "rm /usr/bin/shred", file("/usr/bin/shred", REMOVED, CRITICAL)),
    program("T1574.006", "library", "/usr/lib/libz9.so.1", CRITICAL),
    plant("T1574.006", "library-path", "/etc/ld.so.conf.d/z.conf", "/var/tmp\n", CRITICAL),
    edit("T1574.006", "library-cache", "/etc/ld.so.cache", "x", CRITICAL),
    program("T1574.007", "earlier-in-the-path", "/usr/local/sbin/apt-get", CRITICAL),
    grants(
        "T1574.007",
        "alternative",
        "ln -sf /var/tmp/awk /etc/alternatives/awk",
        told("link", "/etc/alternatives/awk", MODIFIED),
    ),
    grants("T1574", "link", "ln -sf /var/tmp/p /usr/bin/pidof", told("link", "/usr/bin/pidof", MODIFIED, CRITICAL)),
    program("T1564.001", "hidden-program", "/var/tmp/.z"),
    program("T1036.005", "named-like-the-system", "/usr/lib/systemd/systemd-udevz"),
    program("T1036.005", "in-a-cache", "/var/cache/apt/archives/z.deb"),
    # --- what runs
    grants(
        "T1205",
        "listener",
        """
        start t1205 python3 -c 'import socket, time; s = socket.create_server(("0.0.0.0", 4446)); time.sleep(600)'
        waits 'grep -q :115E /proc/net/tcp'
        """,
        told("listener", "tcp 0.0.0.0:4446"),
    ),
    grants(
        "T1620",
        "program-in-memory",
        """
        start t1620 python3 -c '
        import os
        fd = os.memfd_create("z"); os.write(fd, open("/bin/sleep", "rb").read())
        os.execv("/proc/self/fd/%d" % fd, ["sleep", "600"])'
        waits 'readlink /proc/[0-9]*/exe | grep -q memfd:z'
        """,
        told("process", "/memfd:z"),
    ),
    grants(
        "T1055",
        "program-deleted",
        "cp /bin/sleep /var/tmp/zz; start t1055 /var/tmp/zz 600; rm /var/tmp/zz",
        told("process", "/var/tmp/zz"),
    ),
)

HIDING = (
    case("T1562.001", "masked", f"ln -sf /dev/null {UNITS}/rsyslog.service", told("link", f"{UNITS}/rsyslog.service")),
    edit("T1562.003", "history-off", "/etc/profile", "HISTFILE=/dev/null"),
    edit("T1562.006", "logs-dropped", "/etc/rsyslog.conf", "auth,authpriv.* stop"),
    case("T1562.004", "firewall", "echo flush ruleset >/etc/nftables.conf", file("/etc/nftables.conf", ADDED, MEDIUM)),
    case("T1070.002", "log-removed", "rm /var/log/lastlog", file("/var/log/lastlog", REMOVED, MEDIUM)),
    case(
        "T1070.002",
        "log-into-nothing",
        "ln -sf /dev/null /var/log/btmp",
        told("link", "/var/log/btmp", MODIFIED, MEDIUM),
    ),
    case(
        "T1070.003",
        "no-history",
        "ln -s /dev/null /root/.bash_history",
        told("link", "/root/.bash_history"),
    ),
    case(
        "T1070.006",
        "config-with-its-old-time",
        "touch -r /etc/debian_version /run/time; echo 13 >>/etc/debian_version; touch -r /run/time /etc/debian_version",
        file("/etc/debian_version", MODIFIED, MEDIUM),
    ),
    case(
        "T1564.001",
        "hidden-directory",
        "mkdir '/usr/share/..z'; echo x >'/usr/share/..z/y'",
        file("/usr/share/..z/y", ADDED, MEDIUM),
    ),
    case("T1564.013", "bind-mount", "mkdir /srv/z; mount --bind /usr/share /srv/z", told("mount", "/srv/z")),
    case(
        "T1565.001",
        "time-zone",
        "ln -sf /usr/share/zoneinfo/Etc/GMT+1 /etc/localtime",
        told("link", "/etc/localtime", MODIFIED, MEDIUM),
    ),
    # Last of all: every program that starts after it complains.
    plant(
        "T1574.006",
        "preload",
        "/etc/ld.so.preload",
        "/usr/lib/z.so\n",
        CRITICAL,
        besides=(told("preload", "/usr/lib/z.so", severity=CRITICAL),),
    ),
)

ATTACKS: tuple[Case, ...] = (*ACCESS, *CODE, *HIDING)
