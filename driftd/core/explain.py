"""What the image itself explains of what an instance does now, where no manifest states it: pure, and told one by one.

A manifest that was baked from a directory has no live view, and the world is closed all the same. So a program that
runs must be one that was baked, a module that is loaded must lie among the image's, a mount must be the kernel's own
interface in its usual place or what fstab says, a setting must be what sysctl.d says. Whatever this does not explain
is a difference; a policy may explain more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property

from driftd.core.entries import at, beginning_with
from driftd.core.facts import Fact
from driftd.core.fingerprint import Fingerprint
from driftd.core.manifest import Manifest
from driftd.probe import wire

_MODULES = (b"/lib/modules/", b"/usr/lib/modules/")
_MODULE_FILE = re.compile(rb".*/([^/]+)\.ko(?:\.(?:gz|xz|zst))?", re.DOTALL)
_FORCED = "FR"  # taint letters of a module that was loaded, or another unloaded, by force


class Image:
    """What was baked and what is there now, asked by path."""

    def __init__(self, manifest: Manifest, fingerprint: Fingerprint) -> None:
        self._baked = manifest.entries
        self._there = fingerprint.entries

    @cached_property
    def has_kernel(self) -> bool:
        """Whether the image brought a kernel or modules of one; without them it runs on its host's."""
        return bool(self.modules) or any(True for _ in beginning_with(self._baked, b"/boot/vmlinu"))

    def has(self, path: str) -> bool:
        """Whether something was baked at ``path``."""
        return at(self._baked, path.encode()) is not None

    def runs(self, path: str) -> bool:
        """Whether ``path`` is a file that was baked, and its content is still what was baked (or cannot be read)."""
        was, now = at(self._baked, path.encode()), at(self._there, path.encode())
        if was is None or now is None or not was.kind == now.kind == wire.FILE:
            return False
        return was.sha256 == now.sha256 or not was.sha256 or not now.sha256

    @cached_property
    def modules(self) -> frozenset[str]:
        """The names, as the kernel writes them, of the modules that were baked."""
        names = (_MODULE_FILE.fullmatch(one.path) for place in _MODULES for one in beginning_with(self._baked, place))
        return frozenset(name[1].replace(b"-", b"_").decode("utf-8", "replace") for name in names if name)


def explains(image: Image, now: Fact, baked: Fact | None) -> bool:
    """Whether the image explains the live part of ``now``; ``baked`` is what its manifest has by that name.

    Only what is there can be explained: that something baked is not live any more is for the caller to tell.
    """
    rule = _RULES.get(now.kind)
    return rule is not None and rule(image, now, baked)


def program_baked(image: Image, listener: Fact) -> bool:
    """Whether the program that listens is one that the image brought; not so where it is hidden."""
    program = listener.get("program")
    return bool(program) and not listener.get("namespace") and image.runs(program)


def _process(image: Image, now: Fact, _baked: Fact | None) -> bool:
    return now.get("state") in ("", "loaded") and image.runs(now.name)


def _module(image: Image, now: Fact, _baked: Fact | None) -> bool:
    """``shown`` says that it hides; a baked one that was forced in is not what was baked."""
    if not now.get("live"):
        return True
    return now.name in image.modules and not now.get("shown") and not set(now.get("taint")) & set(_FORCED)


# --- settings of the kernel ------------------------------------------------------------------------------------------

# Settings that name a program which the kernel itself starts, as root.
# Each with the value that a kernel has by itself, of which what lies there is the image's matter.
_CORES = "kernel.core_pattern"  # a program behind a bar, else only where a file goes
_HELPERS = {
    _CORES: "core",
    "kernel.hotplug": "/sbin/hotplug",
    "kernel.modprobe": "/sbin/modprobe",
    "kernel.poweroff_cmd": "/sbin/poweroff",
}
# What every kernel comes with, whoever built it (its documentation: networking/ip-sysctl, admin-guide/sysctl). Settings
# whose beginning differs among distributions' kernels are not here: only a manifest of a running server knows them.
_COMES_WITH: Mapping[str, tuple[str, ...]] = {
    "fs.suid_dumpable": ("0",),
    "kernel.randomize_va_space": ("2", "1"),
    "net.ipv4.conf.all.accept_source_route": ("0",),
    "net.ipv4.conf.all.forwarding": ("0",),
    "net.ipv4.conf.all.route_localnet": ("0",),
    "net.ipv4.ip_forward": ("0",),
    "net.ipv4.ip_unprivileged_port_start": ("1024",),
    "net.ipv6.conf.all.accept_source_route": ("0",),
    "net.ipv6.conf.all.forwarding": ("0",),
    "vm.mmap_min_addr": ("65536", "32768", "4096"),
}


def _sysctl(image: Image, now: Fact, _baked: Fact | None) -> bool:
    """As configured; or never configured, and what kernels come with where that is known."""
    live, configured = now.get("live"), now.get("configured")
    if configured:
        return not now.get("differs") and live in ("", configured)
    if now.name in _HELPERS:
        named = live[1:].strip() if live.startswith("|") else "" if now.name == _CORES else live
        return live in ("", _HELPERS[now.name]) or not named or _helper(image, named)
    return not live or live in _COMES_WITH.get(now.name, (live,))


def _helper(image: Image, command: str) -> bool:
    """Whether what the kernel would start was baked."""
    program = command.split(" ", maxsplit=1)[0]
    return any(image.runs(place) for place in (program, "/usr" + program))  # /sbin is a link into /usr on most


def _kernel(image: Image, now: Fact, _baked: Fact | None) -> bool:
    live = now.get("live")
    if now.name == "cmdline":
        configured = now.get("configured")
        return bool(configured) and sorted(live.split()) == sorted(configured.split())
    if now.name == "release":
        return any(image.has(place + live) for place in ("/lib/modules/", "/usr/lib/modules/", "/boot/vmlinuz-"))
    if now.name in _KERNEL_STILL:
        return live == _KERNEL_STILL[now.name]
    return True  # how it was built and started; nothing in an image's files says otherwise


_KERNEL_STILL = {"taint": "none", "kexec_loaded": "0"}


# --- mounts ----------------------------------------------------------------------------------------------------------

# Where the kernel's own interfaces are mounted (systemd's mount-setup, FHS, and the kernel's documentation of each).
_INTERFACES: Mapping[str, tuple[str, ...]] = {
    "proc": ("/proc",),
    "sysfs": ("/sys",),
    "devtmpfs": ("/dev",),
    "devpts": ("/dev/pts",),
    "mqueue": ("/dev/mqueue",),
    "hugetlbfs": ("/dev/hugepages",),
    "tmpfs": ("/dev", "/dev/shm", "/run", "/run/lock", "/sys/fs/cgroup"),  # noqa: S108  # names, not uses
    "cgroup2": ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"),
    "securityfs": ("/sys/kernel/security",),
    "debugfs": ("/sys/kernel/debug",),
    "tracefs": ("/sys/kernel/tracing", "/sys/kernel/debug/tracing"),
    "configfs": ("/sys/kernel/config",),
    "fusectl": ("/sys/fs/fuse/connections",),
    "pstore": ("/sys/fs/pstore",),
    "bpf": ("/sys/fs/bpf",),
    "selinuxfs": ("/sys/fs/selinux",),
    "efivarfs": ("/sys/firmware/efi/efivars",),
    "binfmt_misc": ("/proc/sys/fs/binfmt_misc",),
    "autofs": ("/proc/sys/fs/binfmt_misc",),
    "nfsd": ("/proc/fs/nfsd",),
    "rpc_pipefs": ("/run/rpc_pipefs", "/var/lib/nfs/rpc_pipefs"),
}
_CONTROLLER = re.compile(r"/sys/fs/cgroup/[a-z_,]+")
# What a configured mount must have kept: without one of these it would allow more than was baked.
_HOLDING = frozenset({"ro", "nosuid", "nodev", "noexec"})


def _mount(_image: Image, now: Fact, baked: Fact | None) -> bool:
    live = now.get("live").split(" ")
    kind, options = live[0], live[2] if len(live) > 2 else ""
    if any(part.startswith("root=") for part in live[3:]):
        return False  # a part of a file system, mounted by itself: bind mounts are for a policy to explain
    if now.name == "/" or now.name in _INTERFACES.get(kind, ()):
        return True
    if kind == "cgroup" and _CONTROLLER.fullmatch(now.name):
        return True
    configured = now.get("configured").split(" ")
    if len(configured) < 3 or baked is None or baked.get("configured") != now.get("configured"):
        return False
    wanted = _HOLDING & set(configured[2].split(","))
    return configured[0] in (kind, "auto") and wanted <= set(options.split(","))


def _unit(_image: Image, now: Fact, _baked: Fact | None) -> bool:
    """PID 1 has what the files say."""
    fragment, state = now.get("live_fragment"), now.get("live_state")
    same = fragment in ("", now.get("fragment")) and state in ("", now.get("state"))
    return same and not now.get("live_dropins") and now.get("live_reload") != "yes"


_RULES: Mapping[str, Callable[[Image, Fact, Fact | None], bool]] = {
    "process": _process,
    "module": _module,
    "sysctl": _sysctl,
    "kernel": _kernel,
    "mount": _mount,
    "unit": _unit,
}
