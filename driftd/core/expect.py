"""Expectations: what a rule says may differ, and whether one difference keeps to it.

In this first version content is not carried from the instance; kind, mode, owner, size and digest are. So a
``template`` holds the size and the mode against what such a file has, not its text, and ``growing`` does not prove
that the old content is still the beginning of the new. docs/policy.md says so, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from driftd.core.difference import Change, Difference
from driftd.core.globs import protected
from driftd.core.wording import listed
from driftd.probe import wire


class Expect(StrEnum):
    """What may become of a path that the rule matches."""

    EXACT = "exact"
    PRESENCE = "presence"
    TEMPLATE = "template"
    FIRSTBOOT = "firstboot"
    VARIABLE = "variable"
    GROWING = "growing"
    ROTATED = "rotated"
    EPHEMERAL = "ephemeral"
    OPEN_DIR = "open-dir"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Template:
    """What is known of a kind of value: the least and most bytes of its file, and the modes that it may have."""

    says: str
    least: int
    most: int
    modes: frozenset[str]


_READABLE = frozenset({"0644", "0444", "0640", "0600"})
_SECRET = frozenset({"0600", "0400"})
TEMPLATES: Mapping[str, Template] = {
    "hex32": Template("32 hexadecimal digits, as in machine-id", 32, 33, _READABLE),
    "hostname": Template("one host name", 1, 254, _READABLE),
    "hosts": Template("a hosts(5) table", 1, 16384, _READABLE),
    "resolv-conf": Template("a resolv.conf(5)", 0, 4096, _READABLE),
    "ssh-public-key": Template("one public key", 60, 4096, _READABLE),
    "ssh-private-key": Template("one private key in OpenSSH's format", 250, 8192, _SECRET),
}

PATH_KINDS = frozenset({"file", "directory", "link", "device", "fifo", "socket"})
_UNITS = (".service", ".socket", ".timer", ".path", ".mount", ".automount", ".swap", ".target", ".slice", ".scope")
_EXECUTE, _SET_ID, _OTHERS_WRITE = 0o111, 0o6000, 0o022
_CONTENT = frozenset({"size", "sha256"})
_NAMED = {"same": "hard links"}
_ROTATED = re.compile(rb"(/.+)(?:\.1|-[0-9]{8})", re.DOTALL)
NOT_ROTATED: Mapping[bytes, int] = {}


def unmet(
    expect: Expect, difference: Difference, template: str = "", rotated: Mapping[bytes, int] = NOT_ROTATED
) -> str:
    """Why ``difference`` is more than ``expect`` allows, as the end of a sentence; "" when it keeps to it.

    ``rotated`` says of logs how large the youngest file is that they were moved to (see ``rotations``).
    """
    if difference.kind not in PATH_KINDS:
        return "only a path can be expected to differ"
    if expect is Expect.TEMPLATE:
        return _regular(difference) or _template(difference, TEMPLATES[template])
    if expect is Expect.GROWING:
        return _growing(difference, rotated.get(difference.subject, -1))
    checks: Mapping[Expect, Callable[[Difference], str]] = {
        Expect.EXACT: lambda _: "it is not as baked",
        Expect.PRESENCE: _presence,
        Expect.FIRSTBOOT: _firstboot,
        Expect.VARIABLE: _variable,
        Expect.ROTATED: _firstboot,
        Expect.EPHEMERAL: _ephemeral,
        Expect.OPEN_DIR: lambda _: "it is not as baked",
        Expect.ABSENT: lambda one: "" if one.change is Change.REMOVED else "it is there",
    }
    return checks[expect](difference)


def rotations(differences: Iterable[Difference]) -> dict[bytes, int]:
    """Path of a log → bytes in the file beside it that it was rotated to since the image (``.1`` or ``-20250131``)."""
    found: dict[bytes, int] = {}
    for one in differences:
        size = _number(one.actual, "size")
        name = _ROTATED.fullmatch(one.subject)
        if one.kind == "file" and name and size is not None:
            found[name[1]] = max(size, found.get(name[1], -1))
    return found


def _mode(difference: Difference) -> int:
    """The mode that is there now; 0 where it is the baked one, which needs no second look."""
    return int(difference.actual.get("mode", "0"), 8)


def _number(fields: Mapping[str, str], name: str) -> int | None:
    return int(fields[name]) if name in fields else None


def _only_content(difference: Difference) -> str:
    """For what was baked: nothing but its content may differ."""
    was, now = difference.expected, difference.actual
    other = sorted(name for name in (was.keys() | now.keys()) - _CONTENT if was.get(name) != now.get(name))
    return f"its {listed([_NAMED.get(name, name) for name in other])} changed" if other else ""


def _privileges(difference: Difference) -> str:
    """What nothing that comes after launch may have, wherever it is."""
    mode = _mode(difference)
    if len(difference.subject) > wire.PATH_LIMIT:
        return "its path is too long to look into it"
    if "xattr security.capability" in difference.actual:
        return "it has file capabilities"
    if special := "a device node" if difference.kind == "device" else difference.actual.get("flags"):
        return f"it is {special}"
    if difference.kind != "directory" and mode & _SET_ID:
        return "it runs as its owner or group (setuid or setgid)"
    if difference.kind == "file" and mode & _EXECUTE:
        return "it is executable"
    return ""


def _regular(difference: Difference) -> str:
    """Shared by all that expect a plain file to be there: added or modified, and nothing about it but content."""
    if difference.change is Change.REMOVED:
        return "it is gone"
    if difference.kind != "file":
        return f"it is a {difference.kind}, not a file"
    if difference.change is Change.MODIFIED:
        return _only_content(difference)
    return _privileges(difference) or _writable(difference) or _acl(difference)


def _writable(difference: Difference) -> str:
    """Others could change it afterwards, unseen by an expectation that allows its content to differ."""
    if _mode(difference) & _OTHERS_WRITE:
        return "its group or everybody may write it"
    roots = protected(difference.subject) and not difference.subject.startswith(b"/home/")
    if roots and difference.actual.get("uid", "0") != "0":
        return "it does not belong to root"
    return ""


def _acl(difference: Difference) -> str:
    lists = ("xattr system.posix_acl_access", "xattr system.posix_acl_default")
    return "it has an access list" if any(name in difference.actual for name in lists) else ""


def _presence(difference: Difference) -> str:
    return "it was not baked" if difference.change is Change.ADDED else _variable(difference)


def _variable(difference: Difference) -> str:
    if difference.change is Change.REMOVED:
        return "it is gone"
    return _only_content(difference) if difference.change is Change.MODIFIED else _firstboot(difference)


def _firstboot(difference: Difference) -> str:
    if difference.kind == "directory" and difference.change is Change.ADDED:
        special = "it has special mode bits" if _mode(difference) & 0o7000 else ""
        return special or _privileges(difference) or _writable(difference) or _acl(difference)
    return _regular(difference)


def _growing(difference: Difference, rotated: int) -> str:
    if difference.change is Change.ADDED and difference.kind == "file":
        # A log may belong to its program's user and be written by its group.
        return _privileges(difference) or ("everybody may write it" if _mode(difference) & 0o002 else "")
    problem = _regular(difference)
    if problem:
        return problem
    was, now = _number(difference.expected, "size"), _number(difference.actual, "size")
    if was is not None and now is not None and now < was and rotated < was:
        return f"it shrank from {was} to {now} bytes"
    return ""


def _ephemeral(difference: Difference) -> str:
    if difference.change is Change.REMOVED:
        return ""
    problem = _privileges(difference)
    if problem:
        return problem
    if difference.change is Change.MODIFIED and (problem := _opened(difference)):
        return problem
    if difference.kind in ("file", "link") and difference.subject.decode("latin-1").endswith(_UNITS):
        return "it is named like a unit of systemd"
    return ""


def _opened(difference: Difference) -> str:
    """Whoever may write what was baked shut can put things there that come and go, unseen."""
    if difference.kind == "link":
        return "it was no link" if "kind" in difference.actual else ""
    if _mode(difference) & 0o1002 == 0o0002:
        return "everybody may write it"
    if difference.kind == "directory":
        if difference.actual.keys() & {"uid", "gid"}:
            return "it belongs to others than before"
        if _mode(difference) & ~int(difference.expected.get("mode", "0"), 8) & 0o020:
            return "its group may write it"
    return _acl(difference)


def _template(difference: Difference, template: Template) -> str:
    size = _number(difference.actual, "size")
    if size is not None and not template.least <= size <= template.most:
        return f"{size} bytes are not {template.says} ({template.least} to {template.most})"
    mode = difference.actual.get("mode")
    if mode is not None and mode not in template.modes:
        return f"mode {mode} is not one that {template.says} may have"
    return ""
