"""How bad a difference is that no rule speaks of: by what would obey it at the next start, login or boot."""

from __future__ import annotations

from dataclasses import dataclass

from driftd.core import globs, identity, imagedrift, outofband
from driftd.core.difference import Change, Difference
from driftd.core.findings import Severity
from driftd.core.interpreted import obeyed
from driftd.core.wording.outofband import HIDES

Judged = tuple[Severity, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Paths that something obeys, how bad a difference there is, and why."""

    severity: Severity
    because: str
    paths: tuple[globs.Glob, ...]


def _place(severity: Severity, because: str, *paths: str) -> Place:
    return Place(severity, because, tuple(globs.path(path) for path in paths))


def _etc(names: str) -> list[str]:
    """Files and whole directories of these names in /etc."""
    return [glob for name in names.split() for glob in (f"/etc/{name}", f"/etc/{name}/**")]


# The first place that a path lies in decides; units stand before the libraries that they lie among.
PLACES: tuple[Place, ...] = (
    _place(
        Severity.CRITICAL,
        "the next boot runs or obeys it",
        "/boot/**",
        "/lib/modules/**",
        "/usr/lib/modules/**",
        "/etc/modules",
        "/etc/modprobe.d/**",
        "/etc/modules-load.d/**",
        "/etc/initramfs-tools/**",
        "/etc/default/grub",
    ),
    _place(
        Severity.CRITICAL,
        "it decides who may log in and as whom",
        "/etc/passwd",
        "/etc/shadow",
        "/etc/group",
        "/etc/gshadow",
        "/etc/sub[ug]id",
        "/etc/pam.d/**",
        "/etc/pam.conf",
        "/etc/security/**",
        "/etc/nsswitch.conf",
    ),
    _place(
        Severity.CRITICAL,
        "every program that starts loads what it names",
        "/etc/ld.so.preload",
        "/etc/ld.so.conf",
        "/etc/ld.so.conf.d/**",
        "/etc/ld.so.cache",
    ),
    _place(
        Severity.HIGH,
        "it says what runs, with privilege and unasked",
        "/etc/systemd/**",
        "/lib/systemd/**",
        "/usr/lib/systemd/**",
        "/usr/local/lib/systemd/**",
        "/var/lib/systemd/linger/**",
        "/etc/init.d/**",
        "/etc/rc*.d/**",
        "/etc/rc.local",
        "/etc/inittab",
        "/etc/cron*",
        "/etc/cron*/**",
        "/etc/anacrontab",
        "/var/spool/cron/**",
        "/var/spool/at/**",
        "/etc/udev/**",
        "/etc/sysctl.conf",
        "/etc/sysctl.d/**",
        "/etc/profile",
        "/etc/profile.d/**",
        "/etc/environment",
        "/etc/environment.d/**",
        "/etc/bash.bashrc",
        "/etc/bash_completion.d/**",
        "/usr/share/bash-completion/**",
        "/etc/csh*",
        "/etc/zsh/**",
        "/etc/fish/**",
        "/etc/skel/**",
        "/etc/xdg/**",
        "/etc/X11/**",
        "/etc/vim/**",
        "/etc/gitconfig",
        "/etc/ppp/**",
        "/etc/acpi/**",
        "/etc/apt/**",
        "/etc/dpkg/**",
        "/var/lib/dpkg/info/**",
        "/etc/default/**",
        "/etc/fstab",
        "/etc/tmpfiles.d/**",
        "/etc/sysusers.d/**",
        "/etc/binfmt.d/**",
        "/etc/kernel/**",
        "/etc/dbus-1/**",
        "/usr/share/dbus-1/**",
        "/etc/cloud/**",
        "/etc/containerd/**",
        "/etc/docker/**",
        "/etc/dhcp/**",
        "/etc/network/**",
        "/etc/networkd-dispatcher/**",
        "/etc/NetworkManager/**",
        "/etc/logrotate.conf",
        "/etc/logrotate.d/**",
        "/etc/rsyslog.conf",
        "/etc/rsyslog.d/**",
        "/etc/update-motd.d/**",
        "/etc/python3*/**",
        "/etc/perl/**",
        "/etc/alternatives/**",
    ),
    _place(
        Severity.HIGH,
        "it decides who may log in, or become root",
        "/etc/sudoers",
        "/etc/sudoers.d/**",
        "/etc/doas.conf",
        "/etc/polkit-1/**",
        "/usr/share/polkit-1/**",
        "/etc/apparmor*/**",
        "/etc/selinux/**",
        "/etc/audit/**",
        "/etc/nftables*",
        "/etc/iptables/**",
        "/etc/ufw/**",
        "/etc/hosts.allow",
        "/etc/hosts.deny",
        "/etc/ssh/**",
        "**/.ssh",
        "**/.ssh/**",
        "/etc/ssl/certs/**",
        "/etc/ca-certificates.conf",
        "/usr/local/share/ca-certificates/**",
    ),
    _place(
        Severity.CRITICAL,
        "programs and libraries run with the rights of whoever starts them",
        "/bin/**",
        "/sbin/**",
        "/lib*/**",
        "/usr/bin/**",
        "/usr/sbin/**",
        "/usr/lib*/**",
        "/usr/local/bin/**",
        "/usr/local/sbin/**",
        "/usr/local/lib*/**",
        "/usr/games/**",
        "/usr/share/initramfs-tools/**",
        "/usr/share/perl*/**",
        "/usr/share/python*/**",
        "/usr/share/gdb/**",
    ),
    _place(
        Severity.HIGH,
        "it names programs that a service or a tool runs or loads",
        *_etc(
            "ImageMagick* aliases apache2 bash.bash_logout bash_completion bashrc chef clamav cni collectd* "
            "consul* containers crio crypttab dkms dnf dnsmasq* dracut.conf* emacs exim4 gdb grub* gss haproxy "
            "httpd icinga* incron* inetd.conf init inputrc insserv* ipsec* java* kernel-img.conf krb5.conf* ksh* "
            "kubernetes letsencrypt libaudit.conf libvirt lightdm lvm lxc* mailcap* mdadm* mkinitcpio* monit* "
            "mosquitto multipath* my.cnf* mysql nagios nanorc needrestart nginx npmrc nrpe* odbcinst.ini openvpn "
            "php* pip.conf pkcs11 postfix postgresql* puppet* rc.conf rc.d redis resolvconf* rsyncd.conf runit "
            "salt samba screenrc smartd.conf snmp squid ssmtp* strongswan* sudo.conf supervisor* sv swanctl "
            "telegraf tmux.conf unbound uwsgi wgetrc wireguard wpa_supplicant xinetd* yum* zabbix* zlogin zlogout "
            "zprofile zshenv zshrc"
        ),
        "/etc/ssl/*.cnf",
        "/etc/ca-certificates/**",
        "/usr/local/etc/**",
        "/usr/src/**",
        "/usr/share/applications/**",
        "/usr/share/awk/**",
        "/usr/share/bug/**",
        "/usr/share/debconf/**",
        "/usr/share/dpkg/**",
        "/usr/share/emacs*/**",
        "/usr/share/factory/**",
        "/usr/share/fish/**",
        "/usr/share/gnome-session/**",
        "/usr/share/groff/**",
        "/usr/share/lua/**",
        "/usr/share/nginx/modules*/**",
        "/usr/share/nodejs/**",
        "/usr/share/pam-configs/**",
        "/usr/share/php*/**",
        "/usr/share/ruby*/**",
        "/usr/share/tcltk/**",
        "/usr/share/user-tmpfiles.d/**",
        "/usr/share/vim/**",
        "/usr/share/wayland-sessions/**",
        "/usr/share/xsessions/**",
        "/usr/share/zsh/**",
        "/var/lib/vim/**",
        "/var/spool/incron/**",
    ),
    _place(
        Severity.HIGH,
        "it decides who may come in, or what is trusted",
        *_etc(
            "at.allow at.deny exports* hosts.equiv ldap libnss* login.defs nologin nslcd.conf pki proftpd* "
            "securetty shells sssd userdb vsftpd*"
        ),
        "/etc/ssl/private/**",
        "/usr/share/keyrings/**",
        "/usr/share/ca-certificates/**",
        "/var/lib/AccountsService/**",
    ),
    _place(Severity.HIGH, "it is part of the application that the image was baked for", "/opt/**"),
    _place(
        Severity.HIGH,
        "it is what a person leaves behind, or what the next login obeys",
        "/root/**",
        "/home/*/.*",
        "/home/*/.*/**",
    ),
    _place(Severity.MEDIUM, "configuration is what the image says, or it is drift", "/etc/**"),
)

_KINDS: dict[str, Judged] = {
    "account": (Severity.CRITICAL, "accounts come with the image; another one is another way in"),
    "at": (Severity.HIGH, "it runs once, unasked, with the rights of its owner"),
    "binfmt": (Severity.HIGH, "the kernel starts other programs with it"),
    "bpf": (Severity.HIGH, "it is a program that runs inside the kernel"),
    "container": (Severity.HIGH, "what it runs is not in the image"),
    "cron": (Severity.HIGH, "it runs at its times, unasked, with the rights of its owner"),
    "firewall": (Severity.HIGH, "it says who may reach this server, and whom it may reach"),
    "group": (Severity.HIGH, "groups come with the image; a membership is a right"),
    "hostkey": (Severity.HIGH, "it is what others know this server by"),
    "kernel": (Severity.CRITICAL, "everything else stands on it"),
    imagedrift.STALE: (Severity.MEDIUM, "its group is to run another image by now: driftd rollout brings it"),
    imagedrift.WRONG: (Severity.HIGH, "its group was never to run this image"),
    imagedrift.ROLLED_BACK: (Severity.HIGH, "its group went back from this image"),
    "key": (Severity.CRITICAL, "whoever has its other half may log in"),
    "listener": (Severity.HIGH, "it waits for connections that the image does not provide for"),
    outofband.HIDDEN: (Severity.CRITICAL, HIDES),
    "module": (Severity.CRITICAL, "it runs inside the kernel, with every right"),
    "mount": (Severity.HIGH, "it puts other files in the place of those that the image has"),
    "nss": (Severity.CRITICAL, "it says where names and accounts are looked up"),
    "package": (Severity.HIGH, "software comes with the image and not after it"),
    "pam": (Severity.CRITICAL, "it decides who may log in"),
    "preload": (Severity.CRITICAL, "it is loaded into programs before their own code"),
    "process": (Severity.HIGH, "it runs, and the image does not have it"),
    "session": (Severity.HIGH, "nobody needs to be on a server that is never changed"),
    "sshd": (Severity.HIGH, "it decides who may log in by SSH, and how"),
    "sudo": (Severity.CRITICAL, "it decides who may become root"),
    "sysctl": (Severity.HIGH, "it is how the kernel was set to behave"),
    "unit": (Severity.HIGH, "it says what runs, with privilege and unasked"),
}
_OBEYED: Judged = (Severity.HIGH, "a later start, login or boot obeys what lies here")
_REST: Judged = (Severity.MEDIUM, "the image does not explain it")


def base(difference: Difference) -> Judged:
    """The severity of a difference that no rule speaks of, and why."""
    if difference.kind == "session" and difference.change is Change.REMOVED:
        return Severity.CRITICAL, "what a look read in the log is in it no more, and so may be the lines of others"
    if difference.kind == identity.KIND:
        return Severity.HIGH if identity.opens(difference.subject) else Severity.MEDIUM, identity.told(difference)
    if difference.kind in _KINDS:
        return _KINDS[difference.kind]
    special = _special(difference)
    if special is not None and special[0] is Severity.CRITICAL:
        return special
    place = next((one for one in PLACES if any(glob.matches(difference.subject) for glob in one.paths)), None)
    if place is not None and (special is None or place.severity.rank >= special[0].rank):
        return place.severity, place.because
    return special or (_OBEYED if obeyed(difference.subject) else _REST)


# Named so that an interpreter, a loader or a server of scripts runs what is in it, without a bit that says so.
_SCRIPTS = (
    *(b".bash", b".cgi", b".fcgi", b".js", b".lua", b".php", b".phtml", b".pl", b".pm", b".pth", b".py", b".pyc"),
    *(b".rb", b".sh", b".wsgi", b".jar", b".jsp", b".war", b".ko", b".so"),
)


def _special(difference: Difference) -> Judged | None:
    """What is dangerous wherever it lies."""
    if difference.change is Change.REMOVED:
        return None
    mode = int(difference.actual.get("mode", "0"), 8)
    file, directory = difference.kind == "file", difference.kind == "directory"
    dangers = (
        (file and mode & 0o6000, Severity.CRITICAL, "it runs with its owner's or group's rights, whoever starts it"),
        ("xattr security.capability" in difference.actual, Severity.CRITICAL, "it runs with rights that nobody baked"),
        (difference.kind == "device", Severity.CRITICAL, "a device node gives raw access to what is behind it"),
        (file and mode & 0o111, Severity.HIGH, "it can be run, and the image does not explain it"),
        (file and difference.subject.lower().endswith(_SCRIPTS), Severity.HIGH, "its name says that something runs it"),
        ((file or directory) and mode & 0o1002 == 0o0002, Severity.HIGH, "everybody may write it"),
        *((given, Severity.HIGH, because) for given, because in _opened(difference, mode)),
    )
    return next(((severity, because) for given, severity, because in dangers if given), None)


def _opened(difference: Difference, mode: int) -> tuple[tuple[object, str], ...]:
    """What lets others at something that was baked."""
    was, now = difference.expected, difference.actual
    if difference.change is not Change.MODIFIED or difference.kind not in ("file", "directory"):
        return ()
    before = int(was.get("mode", now.get("mode", "0")), 8)
    return (
        (was.get("uid") == "0" != now.get("uid", "0"), "it is not root's any more"),
        (mode & ~before & 0o020, "its group may write it now"),
        (not before & 0o007 and mode & 0o004, "everybody may read what was shut"),
        ("xattr system.posix_acl_access" in now, "an access list says who else may use it"),
    )
