"""What is never learnt by itself: code, auth, units, schedules and boot. A person signs for it, or takes it out.

A pristine instance does these things, too (its cloud's agent adds an account, its first boot a unit). But whoever can
make three instances do something could then have it signed as expected, so a machine does not decide this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from driftd.core import severity
from driftd.core.difference import Change, Difference
from driftd.core.expect import PATH_KINDS, Expect, unmet
from driftd.core.findings import Severity
from driftd.core.globs import protected
from driftd.core.interpreted import config

# Every server makes its own; that it did, and that no two made the same, is what calibration sees.
HOST_KEY = re.compile(rb"/etc/ssh/ssh_host_[a-z0-9]+_key(?:\.pub)?")
_CODE = re.compile(
    rb".*\.(?:so(?:\.[0-9.]+)?|ko(?:\.[a-z0-9]+)?|a|o|py|pyc|pyo|pth|pl|pm|rb|sh|bash|php|js|lua|jar|class)", re.DOTALL
)

_AUTH = "it decides who may log in, or what they may do"
_SCHEDULE = "it says what runs, and when"
_RUNS = "it is code that the image does not have"
_KINDS: Mapping[str, str] = {
    "account": _AUTH,
    "group": _AUTH,
    "key": _AUTH,
    "nss": _AUTH,
    "pam": _AUTH,
    "sshd": _AUTH,
    "sudo": _AUTH,
    "at": _SCHEDULE,
    "cron": _SCHEDULE,
    "binfmt": _RUNS,
    "bpf": _RUNS,
    "container": _RUNS,
    "package": _RUNS,
    "preload": _RUNS,
    "process": _RUNS,
    "session": "somebody was there",
}
# Settings that name a program which the kernel itself starts.
_HELPERS = frozenset({"kernel.core_pattern", "kernel.hotplug", "kernel.modprobe", "kernel.poweroff_cmd"})
_ABOVE_MUCH = frozenset({b"/", b"/home", b"/srv", b"/var", b"/var/lib", b"/var/spool"})
_LIVE = re.compile(r"live(?:_[a-z]+)?")


def why_not(difference: Difference) -> str:
    """Why this is for a person to sign, as the end of a sentence; "" when a rule may be learnt of it."""
    if difference.kind in _KINDS:
        return _KINDS[difference.kind]
    if difference.kind in _FACTS:
        return _FACTS[difference.kind](difference)
    if difference.kind not in PATH_KINDS:
        return "this driftd does not know what it is"
    if difference.change is not Change.REMOVED and (why := unmet(Expect.EPHEMERAL, difference)):
        return why
    level, because = severity.base(difference)
    if level.rank >= Severity.HIGH.rank:
        return because
    if config(difference.subject) and not difference.subject.startswith(b"/etc/"):
        return "something obeys it at the next start, login or boot"
    if difference.kind in ("file", "link") and _CODE.fullmatch(difference.subject):
        return "it is named like code"
    return ""


def spoiled(difference: Difference) -> str:
    """Why the instance is not what was baked, so that nothing may be learnt of it; "" when it is.

    Code that was baked and is gone, or another. (Code that came is left for a person.)
    """
    if difference.change is Change.ADDED or difference.kind not in ("file", "link"):
        return ""
    was = int(difference.expected.get("mode", "0"), 8)
    library = _CODE.fullmatch(difference.subject) and protected(difference.subject)
    if not (difference.expected.get("kind", "file") == "file" and was & 0o111) and not library:
        return ""
    return "is gone" if difference.change is Change.REMOVED else "is not what was baked"


# --- facts -----------------------------------------------------------------------------------------------------------


def _kernel(difference: Difference) -> str:
    """Of a kernel that is the host's, nothing is the image's to decide."""
    if difference.actual.get("image_kernel") == "none":
        return ""
    return "it is how the kernel was started" if difference.kind == "kernel" else "it runs inside the kernel"


def _listener(difference: Difference) -> str:
    return _RUNS if difference.actual.get("baked", "yes") != "yes" else ""


def _mount(difference: Difference) -> str:
    place = difference.subject
    if not place.startswith(b"/"):
        return ""  # swap, which is mounted nowhere
    hides = protected(place) or config(place) or place in _ABOVE_MUCH
    return "it puts other files in the place of those that the image has" if hides else ""


def _sysctl(difference: Difference) -> str:
    named = difference.subject.decode("utf-8", "replace") in _HELPERS
    return "it names a program that the kernel starts" if named else ""


def _unit(difference: Difference) -> str:
    """What PID 1 says of a unit that was baked, and nothing of the unit itself."""
    fields = {*difference.expected, *difference.actual}
    live = difference.change is Change.MODIFIED and all(_LIVE.fullmatch(name) for name in fields)
    added = difference.actual.get("live_dropins") or difference.actual.get("live_fragment")
    return "" if live and not added else "it says what runs, with privilege and unasked"


def _described(_difference: Difference) -> str:
    return ""


_FACTS = {
    "firewall": _described,
    "hostkey": _described,
    "kernel": _kernel,
    "listener": _listener,
    "module": _kernel,
    "mount": _mount,
    "sysctl": _sysctl,
    "unit": _unit,
}
