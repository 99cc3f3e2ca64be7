"""The kernel itself: its command line, release, taint, and what guards it.

Sources: proc(5) (cmdline, tainted), the kernel's admin-guide/tainted-kernels, securityfs, the files of SELinux and
AppArmor, UEFI variables; what is configured: GRUB's grub.cfg and the Boot Loader Specification's entries.
"""

import re
from typing import Dict, List, Optional

from driftd.probe import dropins, inside, system
from driftd.probe.found import Found

KIND = b"kernel"

# Bit 0 on; bit 0 alone has a letter for "not", too (G), which says nothing.
_TAINTS = b"PFSRMBUDAWCIOELKXTNJ"

# A parameter whose name has one of these in it may carry a secret; what a keyboard is called is none.
_SECRET = re.compile(rb"pass|secret|token|cred|auth|(?<!re)key(?!map|table|board|code|file)", re.IGNORECASE)
_IN_URL = re.compile(rb"(://[^/@\s:]*:)[^/@\s]*@")
_WORD = re.compile(rb'(?:[^\s"]|"[^"]*")+')

_GRUB = (b"/boot/grub/grub.cfg", b"/boot/grub2/grub.cfg")
_GRUB_LINE = re.compile(rb"^\s*linux(?:16|efi)?\s+\S+[ \t]*(.*?)\s*$", re.MULTILINE)
_ENTRIES = (b"/boot/loader/entries", b"/efi/loader/entries", b"/boot/efi/loader/entries")
_OF_THE_LOADER = (b"BOOT_IMAGE=", b"initrd=")

_EFI = b"/sys/firmware/efi"
_SECURE_BOOT = b"/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def collect(place, found, live, kernel=None):
    # type: (inside.Root, Found, bool, Optional[system.System]) -> None
    """One fact for each thing that can be said."""
    found.looked(KIND)
    now = {}  # type: Dict[bytes, bytes]
    if live:
        kernel = kernel or system.System()
        now = {
            b"cmdline": _hide(found, kernel.text(b"/proc/cmdline")),
            b"release": kernel.text(b"/proc/sys/kernel/osrelease"),
            b"version": kernel.text(b"/proc/sys/kernel/version"),
            b"taint": _taint(kernel.text(b"/proc/sys/kernel/tainted")),
            b"modules_disabled": kernel.text(b"/proc/sys/kernel/modules_disabled"),
            b"lockdown": _chosen(kernel.text(b"/sys/kernel/security/lockdown")),
            b"lsm": kernel.text(b"/sys/kernel/security/lsm"),
            b"selinux": _word(kernel.text(b"/sys/fs/selinux/enforce"), {b"1": b"enforcing", b"0": b"permissive"}),
            b"apparmor": kernel.text(b"/sys/module/apparmor/parameters/enabled"),
            b"fips": kernel.text(b"/proc/sys/crypto/fips_enabled"),
            b"kexec_loaded": kernel.text(b"/sys/kernel/kexec_loaded"),
            b"secureboot": _secure_boot(kernel, found),
        }
    wanted = _hide(found, configured(place, found))
    for name in sorted(now):
        if now[name] and name != b"cmdline":
            found.add(KIND, name, live=now[name])
    if wanted or now.get(b"cmdline"):
        found.add(KIND, b"cmdline", configured=wanted, live=now.get(b"cmdline", b""))


def configured(place, found):
    # type: (inside.Root, Found) -> bytes
    """The command line of the entry that is booted by default: GRUB's first, else the last of the loader's by name."""
    for path in _GRUB:
        line = _GRUB_LINE.search(dropins.read_one(place, found, KIND, path))
        if line:
            return line.group(1)
    for directory in _ENTRIES:
        for entry in reversed(dropins.read(place, found, KIND, (directory,), b".conf")):
            options = [line[7:].strip() for line in dropins.settings(entry.text) if line[:8].rstrip() == b"options"]
            if options and b"rescue" not in entry.name:
                return b" ".join(options)
    return b""


def _hide(found, line):
    # type: (Found, bytes) -> bytes
    """The parameters without what the loader adds, and without secrets: only a keyed digest of those is told."""
    words = []  # type: List[bytes]
    for word in _WORD.findall(line):
        if word.startswith(_OF_THE_LOADER):
            continue
        key, equals, value = word.partition(b"=")
        if equals and value and _SECRET.search(key):
            words.append(key + b"=(hidden " + found.secret(value) + b")")
        else:
            words.append(_IN_URL.sub(rb"\1(hidden)@", word))
    return b" ".join(words)


def _taint(text):
    # type: (bytes) -> bytes
    """The letters of what taints the kernel, "none" when nothing does."""
    if not text.isdigit() or len(text) > 20:
        return text
    bits, letters = int(text), []
    for bit in range(64):
        if bits >> bit & 1:
            letters.append(_TAINTS[bit : bit + 1] or b"(bit %d)" % bit)
    return b"".join(letters) or b"none"


def _chosen(text):
    # type: (bytes) -> bytes
    """The word in brackets: "[none] integrity confidentiality"."""
    return text.partition(b"[")[2].partition(b"]")[0]


def _word(text, words):
    # type: (bytes, Dict[bytes, bytes]) -> bytes
    return words.get(text, text)


def _secure_boot(kernel, found):
    # type: (system.System, Found) -> bytes
    """Either "on" or "off", from the variable's last byte, after four of attributes; b"" on a machine without UEFI."""
    if not kernel.there(_EFI):
        return b""
    try:
        data = kernel.read(_EFI + _SECURE_BOOT, 64)
    except FileNotFoundError:
        return b"off" if kernel.names(_EFI + b"/efivars") else b""
    except OSError as error:
        found.failed(KIND, _EFI + _SECURE_BOOT, error)
        return b""
    return b"on" if data[4:] == b"\1" else b"off"
