"""Expectations: what a rule says may differ, and whether one difference keeps to it.

``unmet`` holds one difference alone against an expectation: its kind, mode, owner, size. ``held`` goes on with what the
look was asked, what was baked and what earlier looks left (evidence.py): whether a value is of its form, a log's old
content still there, what was set once still so. What could not be told is neither kept nor broken.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from driftd.core import asks, growth
from driftd.core.asks import Ask
from driftd.core.difference import Change, Difference
from driftd.core.evidence import Evidence, state
from driftd.core.globs import protected
from driftd.core.templates import PYC, TEMPLATES, Template
from driftd.core.wording import listed
from driftd.probe import wire
from driftd.probe.wire import Entry

__all__ = ["PATH_KINDS", "TEMPLATES", "Expect", "Outcome", "held", "questions", "rotations", "unmet"]


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
class Outcome:
    """``why`` an expectation is broken, as the end of a sentence; "" when it is kept.

    ``faint``: it may well be nothing. ``unsure``: why it could not be told, where all that could be told was kept;
    ``cut``: and the instance may have had a hand in that.
    """

    why: str = ""
    faint: bool = False
    unsure: str = ""
    cut: bool = False


KEPT = Outcome()

PATH_KINDS = frozenset({"file", "directory", "link", "device", "fifo", "socket"})
_UNITS = (".service", ".socket", ".timer", ".path", ".mount", ".automount", ".swap", ".target", ".slice", ".scope")
_EXECUTE, _SET_ID, _OTHERS_WRITE = 0o111, 0o6000, 0o022
_CONTENT = frozenset({"size", "sha256"})
_NAMED = {"same": "hard links"}
_ROTATED = re.compile(rb"(/.+)(?:\.1|-[0-9]{8})", re.DOTALL)
NOT_ROTATED: Mapping[bytes, int] = {}


def unmet(
    expect: Expect,
    difference: Difference,
    template: str | Template | None = None,
    rotated: Mapping[bytes, int] = NOT_ROTATED,
) -> str:
    """Why ``difference`` is more than ``expect`` allows, as the end of a sentence; "" when it keeps to it.

    ``template`` is the form that a value is to have, or its name, with TEMPLATE.
    ``rotated`` says of logs how large the youngest file is that they were moved to (see ``rotations``).
    """
    if difference.kind not in PATH_KINDS:
        return "only a path can be expected to differ"
    if expect is Expect.TEMPLATE and template is not None:
        return _form(difference, template if isinstance(template, Template) else TEMPLATES[template])
    if expect is Expect.GROWING:
        return _growing(difference, rotated.get(difference.subject, -1))
    checks: Mapping[Expect, Callable[[Difference], str]] = {
        Expect.EXACT: lambda _: "it is not as it was baked",
        Expect.PRESENCE: _presence,
        Expect.FIRSTBOOT: _firstboot,
        Expect.VARIABLE: _variable,
        Expect.ROTATED: _rotated,
        Expect.EPHEMERAL: _ephemeral,
        Expect.OPEN_DIR: _open_dir,
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


def _content_only(difference: Difference) -> str:
    """... and not that of a program."""
    return _only_content(difference) or ("" if difference.kind == "directory" else _privileges(difference))


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
        return _content_only(difference)
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
    return _content_only(difference) if difference.change is Change.MODIFIED else _firstboot(difference)


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


def _rotated(difference: Difference) -> str:
    if difference.change is Change.REMOVED:
        return ""
    return _growing(difference, _baked_size(difference))


def _baked_size(difference: Difference) -> int:
    """What ``_growing`` is told of a rotated file, so that its size alone says nothing."""
    return _number(difference.expected, "size") or 0


def _open_dir(difference: Difference) -> str:
    return _ephemeral(difference) if difference.change is Change.ADDED else "it is not as it was baked"


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


def _form(difference: Difference, template: Template) -> str:
    if template is TEMPLATES[PYC] and difference.kind == "directory":
        named = difference.subject.endswith(b"/__pycache__")
        return _firstboot(difference) if named else "it is a directory, not a file"
    return _regular(difference) or _size_and_mode(difference, template)


def _size_and_mode(difference: Difference, template: Template) -> str:
    size = _number(difference.actual, "size")
    if size is not None and not template.least <= size <= template.most:
        return f"{size} bytes are not {template.says} ({template.least} to {template.most})"
    mode = difference.actual.get("mode")
    if mode is not None and mode not in template.modes:
        return f"mode {mode} is not one that {template.says} may have"
    return ""


# --- with evidence ---------------------------------------------------------------------------------------------------

_LINKS = 8
_UNDONE = {Expect.GROWING, Expect.ROTATED}
_SOURCE = re.compile(rb"(/.*/|/)__pycache__/([^/]+)\.(?!opt-)[a-z]+-[0-9]+(?:\.opt-[12])?\.pyc", re.DOTALL)


def questions(expect: Expect, difference: Difference, evidence: Evidence, template: Template | None) -> Iterator[Ask]:
    """What has to be asked so that ``held`` can tell; nothing where the difference alone breaks the expectation."""
    if difference.kind != "file":
        return
    if expect in _UNDONE:
        yield from growth.questions(difference.subject, evidence)
    elif expect is Expect.TEMPLATE and template is not None:
        ask = _ask(difference, template, evidence)
        if ask is not None and _has_content(difference) and not _form(difference, template):
            yield ask


def held(expect: Expect, difference: Difference, evidence: Evidence, template: Template | None = None) -> Outcome:
    """Whether ``difference`` keeps to ``expect``, by all that is known."""
    if expect in _UNDONE:
        return _log(expect, difference, evidence)
    if why := unmet(expect, difference, template):
        return Outcome(why)
    if difference.kind != "file":
        return KEPT
    if expect is Expect.FIRSTBOOT or (template is not None and template.once):
        why = _later(expect, difference, evidence)
        if why:
            return Outcome(why)
    return _value(difference, template, evidence) if template is not None else KEPT


def _log(expect: Expect, difference: Difference, evidence: Evidence) -> Outcome:
    gone = difference.change is Change.REMOVED
    why = "" if gone else unmet(expect, difference, rotated={difference.subject: _baked_size(difference)})
    if why:
        return Outcome(why)
    lost = growth.loss(difference.subject, evidence)
    return KEPT if lost is None else Outcome(lost.why, lost.faint, lost.unsure, lost.cut)


def _later(expect: Expect, difference: Difference, evidence: Evidence) -> str:
    """Set once, and set again since an earlier look."""
    mark, entry = evidence.mark(difference.subject, expect), evidence.is_there(difference.subject)
    if mark is None or evidence.settling(mark):
        return ""
    if entry is None:
        return "it is gone since the first boot"
    unread = entry.kind == wire.FILE and not entry.sha256
    changed = not unread and state(entry) != mark.sha256
    return f"it was changed after the first boot (first seen {mark.at:%Y-%m-%d %H:%M} UTC)" if changed else ""


def _has_content(difference: Difference) -> bool:
    return difference.change is Change.ADDED or bool(_CONTENT & difference.actual.keys())


def _ask(difference: Difference, template: Template, evidence: Evidence) -> Ask | None:
    if template is TEMPLATES[PYC]:
        source = _source_of(difference.subject, evidence)
        if source is None:
            return None
        return Ask(difference.subject, "pyc", source.path if source.path != _beside(difference.subject) else b"")
    return Ask(difference.subject, "match", template.pattern) if template.pattern else None


def _beside(path: bytes) -> bytes:
    """The source that a compiled module stands for by its name; b"" for what is none."""
    named = _SOURCE.fullmatch(path)
    return named[1] + named[2] + b".py" if named else b""


def _source_of(path: bytes, evidence: Evidence) -> Entry | None:
    """The source of a compiled module, there as it was baked; also through links that are (Debian's sitecustomize)."""
    at = _beside(path)
    for _ in range(_LINKS):
        was = evidence.was_baked(at)
        if was is None or was != evidence.is_there(at):
            return None
        if was.kind != wire.LINK:
            return was if was.kind == wire.FILE and was.sha256 else None
        at = posixpath.normpath(posixpath.join(wire.parent(at), was.target))
    return None


def _value(difference: Difference, template: Template, evidence: Evidence) -> Outcome:
    """Whether the content is of the template's form."""
    if not _has_content(difference):
        return KEPT
    ask = _ask(difference, template, evidence)
    if ask is None:
        return Outcome("its source is not there as it was baked" if template is TEMPLATES[PYC] else "")
    answer = evidence.answer(ask)
    if answer.how:
        return Outcome(unsure=answer.why or answer.how, cut=answer.how in (asks.CUT_SHORT, asks.CHANGED))
    if ask.what == "match":
        return KEPT if answer.yes else Outcome(f"what it holds is not {template.says}")
    source = _source_of(difference.subject, evidence)
    if answer.yes and source is not None and answer.sha256 == source.sha256:
        return KEPT
    return Outcome(answer.why or "its source says otherwise")
