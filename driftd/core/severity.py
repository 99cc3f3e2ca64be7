"""How bad a difference is that no rule speaks of: by what would obey it at the next start, login or boot."""

from __future__ import annotations

from dataclasses import dataclass

from driftd.core import globs
from driftd.core.difference import Change, Difference
from driftd.core.findings import Severity

Judged = tuple[Severity, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Paths that something obeys, how bad a difference there is, and why."""

    severity: Severity
    because: str
    paths: tuple[globs.Glob, ...]


def _place(severity: Severity, because: str, *paths: str) -> Place:
    return Place(severity, because, tuple(globs.path(path) for path in paths))


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
        "/etc/bash.bashrc",
        "/etc/apt/**",
        "/etc/dpkg/**",
        "/var/lib/dpkg/info/**",
        "/etc/default/**",
        "/etc/fstab",
        "/etc/tmpfiles.d/**",
        "/etc/binfmt.d/**",
        "/etc/kernel/**",
        "/etc/dbus-1/**",
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
    ),
    _place(Severity.HIGH, "it is part of the application that the image was baked for", "/opt/**"),
    _place(
        Severity.HIGH,
        "it is what a person leaves behind, or what the next login obeys",
        "/root/**",
        "/home/*/.*",
    ),
    _place(Severity.MEDIUM, "configuration is what the image says, or it is drift", "/etc/**"),
)

_KINDS: dict[str, Judged] = {
    "package": (Severity.HIGH, "software comes with the image and not after it"),
    "account": (Severity.CRITICAL, "accounts come with the image; another one is another way in"),
    "group": (Severity.HIGH, "groups come with the image; a membership is a right"),
    "session": (Severity.HIGH, "nobody needs to be on a server that is never changed"),
}
_REST: Judged = (Severity.MEDIUM, "the image does not explain it")


def base(difference: Difference) -> Judged:
    """The severity of a difference that no rule speaks of, and why."""
    if difference.kind in _KINDS:
        return _KINDS[difference.kind]
    special = _special(difference)
    if special is not None and special[0] is Severity.CRITICAL:
        return special
    for place in PLACES:
        if any(glob.matches(difference.subject) for glob in place.paths):
            return place.severity, place.because
    return special or _REST


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
        ((file or directory) and mode & 0o1002 == 0o0002, Severity.HIGH, "everybody may write it"),
    )
    return next(((severity, because) for given, severity, because in dangers if given), None)
