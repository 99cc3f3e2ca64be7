"""Kernel settings: what sysctl.d says and what the kernel does (sysctl.d(5), systemd-sysctl.service(8), proc(5)).

A key is named with dots; a slash in it stands for a dot in one of its parts (an interface "eth0.100"). A key with
wildcards is one fact: ``live`` are the values of whatever it matches now, ``differs`` the keys that have another one.
"""

import fnmatch
from typing import Dict, List, NamedTuple, Optional, Tuple

from driftd.probe import dropins, files, inside, system
from driftd.probe.found import Found

KIND = b"sysctl"
MATCHES_LIMIT = 2000
VALUE_LIMIT = 4096

# Settings that decide what runs, or who may do what, whether or not anybody configured them.
WATCHED = tuple(
    b"fs.protected_fifos fs.protected_hardlinks fs.protected_regular fs.protected_symlinks fs.suid_dumpable "
    b"kernel.apparmor_restrict_unprivileged_userns kernel.core_pattern kernel.core_pipe_limit kernel.core_uses_pid "
    b"kernel.dmesg_restrict kernel.ftrace_enabled kernel.hotplug kernel.io_uring_disabled kernel.kexec_load_disabled "
    b"kernel.kptr_restrict kernel.modprobe kernel.modules_disabled kernel.perf_event_paranoid kernel.poweroff_cmd "
    b"kernel.randomize_va_space kernel.sysrq kernel.unprivileged_bpf_disabled kernel.unprivileged_userns_clone "
    b"kernel.usermodehelper.bset kernel.usermodehelper.inheritable kernel.yama.ptrace_scope net.core.bpf_jit_enable "
    b"net.core.bpf_jit_harden net.ipv4.conf.all.accept_redirects net.ipv4.conf.all.accept_source_route "
    b"net.ipv4.conf.all.forwarding net.ipv4.conf.all.route_localnet net.ipv4.conf.all.rp_filter "
    b"net.ipv4.conf.all.send_redirects net.ipv4.ip_forward net.ipv4.ip_unprivileged_port_start "
    b"net.ipv4.ping_group_range net.ipv4.tcp_syncookies net.ipv6.conf.all.accept_ra "
    b"net.ipv6.conf.all.accept_redirects net.ipv6.conf.all.accept_source_route net.ipv6.conf.all.disable_ipv6 "
    b"net.ipv6.conf.all.forwarding vm.mmap_min_addr vm.unprivileged_userfaultfd".split()
)

# Keys whose values are secrets.
_SECRET = (b"stable_secret", b"tcp_fastopen_key")
_WILD = b"*?["
_SYSTEMD = (b"/usr/lib/systemd/systemd-sysctl", b"/lib/systemd/systemd-sysctl")

Live = NamedTuple("Live", [("value", bytes), ("differs", List[bytes])])


def collect(place, found, live, kernel=None):
    # type: (inside.Root, Found, bool, Optional[system.System]) -> None
    """Each configured key, and with ``live`` the watched ones besides."""
    found.looked(KIND)
    settings, left_out = configured(place, found)
    if not live:
        for path, value in settings.items():
            found.add(KIND, _name(path), configured=_shown(found, path, value))
        return
    kernel = kernel or system.System()
    for path in sorted(set(settings) | {_path(name) for name in WATCHED}):
        now = _live(kernel, found, path, settings, left_out)
        if path in settings or now.value:
            differs = b", ".join(now.differs)
            value = _shown(found, path, settings.get(path, b""))
            found.add(KIND, _name(path), configured=value, live=now.value, differs=differs)


def configured(place, found):
    # type: (inside.Root, Found) -> Tuple[Dict[bytes, bytes], List[bytes]]
    """Key (as a path below /proc/sys) to value, the last setting of each; and the keys that no wildcard may set."""
    texts = [one.text for one in dropins.read(place, found, KIND, dropins.directories(b"sysctl.d"), b".conf")]
    if not any(files.is_there(place, path) for path in _SYSTEMD):
        # Elsewhere sysctl(8) sets them at boot, and it reads this one last; systemd does so only through a link.
        texts.append(dropins.read_one(place, found, KIND, b"/etc/sysctl.conf"))
    settings, left_out = {}, []  # type: Dict[bytes, bytes], List[bytes]
    for text in texts:
        for line in dropins.settings(text):
            key, equals, value = line.partition(b"=")
            path = _path(key.strip().lstrip(b"-").strip())
            if not path or {b".", b".."} & set(path.split(b"/")):
                continue
            if equals:
                settings[path] = b" ".join(value.split())
            elif line.startswith(b"-"):
                left_out.append(path)
    return settings, left_out


def _path(key):
    # type: (bytes) -> bytes
    """A key as a path: whichever of dot and slash comes first separates, and the other is part of a name."""
    first = min((key.find(mark) for mark in (b".", b"/") if mark in key), default=-1)
    if first >= 0 and key[first : first + 1] == b".":
        key = key.translate(bytes.maketrans(b"./", b"/."))
    return b"/".join(part for part in key.split(b"/") if part)


def _name(path):
    # type: (bytes) -> bytes
    return path.translate(bytes.maketrans(b"./", b"/."))


def _shown(found, path, value):
    # type: (Found, bytes, bytes) -> bytes
    if value and path.endswith(_SECRET):
        return b"hidden " + found.secret(value)
    return value


def _live(kernel, found, path, settings, left_out):
    # type: (system.System, Found, bytes, Dict[bytes, bytes], List[bytes]) -> Live
    if not any(mark in path for mark in _WILD):
        return Live(_value(kernel, found, path), [])
    values, differs = set(), []
    for match in _matches(kernel, path.split(b"/")):
        # What is set by its own name, or kept from wildcards, says nothing of this one.
        if match in settings or any(fnmatch.fnmatchcase(match, pattern) for pattern in left_out):
            continue
        value = _value(kernel, found, match)
        values.add(value)
        if value != settings.get(path):
            differs.append(_name(match))
    return Live(b", ".join(sorted(values)), differs)


def _matches(kernel, parts):
    # type: (system.System, List[bytes]) -> List[bytes]
    """The settings that a path with wildcards leads to; one does not reach over a slash."""
    found = [b""]
    for part in parts:
        if any(mark in part for mark in _WILD):
            found = [
                above + b"/" + name
                for above in found
                for name in kernel.names(b"/proc/sys" + above)
                if fnmatch.fnmatchcase(name, part)
            ]
        else:
            found = [above + b"/" + part for above in found]
        found = [path for path in found[:MATCHES_LIMIT] if kernel.there(b"/proc/sys" + path)]
    return [path[1:] for path in found]


def _value(kernel, found, path):
    # type: (system.System, Found, bytes) -> bytes
    try:
        value = b" ".join(kernel.read(b"/proc/sys/" + path, VALUE_LIMIT).split())
    except PermissionError as error:
        found.failed(KIND, b"/proc/sys/" + path, error)
        return b""
    except OSError:  # not there, a directory, or not to be read (those that only act)
        return b""
    return _shown(found, path, value)
