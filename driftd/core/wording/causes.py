"""Sentences about causes: what happened, and how much came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from driftd.core.wording import count, listed, shown

if TYPE_CHECKING:  # the findings know no sentences, and sentences only read them
    from driftd.core.findings import Finding

_PATHS = frozenset(("file", "directory", "link", "device", "fifo", "socket"))
_WORDS = {"added": "added", "removed": "deleted", "modified": "changed"}


def lead(finding: Finding) -> str:
    """A finding's name: a path by itself, anything else with its kind."""
    return f"{'' if finding.kind in _PATHS else f'{finding.kind} '}{shown(finding.subject)}"


def drifted(severity: str, sentence: str, more: int) -> str:
    """A verdict's reason: the worst cause, and how many there are besides."""
    return f"{severity}: {sentence}" + (f"; and {count(more, 'more cause')}" if more else "")


def alike(code: str, group: str, rows: Sequence[tuple[str, str, int, Sequence[str], bool]]) -> str:
    """What happened on several instances: rows of severity, sentence, on how many, the first of them, and whether it
    was not the same on each; the worst first.
    """
    told = [
        f"{f'{severity}: ' if code == 'drift' else ''}{sentence}, on {_instances(number, named)}"
        + (" (not quite the same on each)" if differ else "")
        for severity, sentence, number, named, differ in rows[:_MOST]
    ]
    more = f"; and {count(len(rows) - _MOST, 'more cause')}" if len(rows) > _MOST else ""
    return f"{_ALIKE.get(code, code)} in {group}: {'; '.join(told)}{more}"


_MOST = 3
_ALIKE = {"drift": "drift", "session": "somebody was there", "resolved": "as baked again"}


def _instances(number: int, named: Sequence[str]) -> str:
    names = listed(list(named) + [""] * (number - len(named)), most=len(named)) if number else ""
    return f"{count(number, 'instance')} ({names})"


def alone(kind: str, subject: bytes, change: str) -> str:
    """A finding on its own: ``/etc/motd modified``, ``package curl:amd64 added``."""
    return f"{'' if kind in _PATHS else f'{kind} '}{shown(subject)} {change}"


def told(kind: str, subject: bytes, members: Sequence[Finding]) -> str:
    """One cause as one sentence without its full stop."""
    name = shown(subject)
    tell = {
        "mount": _mount,
        "package": _package,
        "packages": _packages,
        "account": _account,
        "tree-removed": lambda name, found: f"{name} was deleted{_with(found, below=subject)}",
        "tree-added": lambda name, found: f"{name} was added{_with(found, below=subject)}",
        "tree-moved": _moved,
        "file-moved": _moved,
        "unit": lambda name, found: _fact("unit", name, found),
        "file": _file,
        "permissions": _permissions,
    }[kind]
    return tell(name, members)


def _with(found: Sequence[Finding], below: bytes = b"") -> str:
    """``with 412 files``: what else there is, counted by kind; directories only where there is nothing else."""
    kinds = Counter(one.kind for one in found if one.subject != below)
    if set(kinds) - {"directory"}:
        del kinds["directory"]
    said = [count(number, kind, _many(kind)) for kind, number in sorted(kinds.items(), key=lambda k: (-k[1], k[0]))]
    return f" with {listed(said)}" if said else ""


def _many(kind: str) -> str:
    return {"directory": "directories", "process": "processes", "fifo": "fifos"}.get(kind, kind + "s")


def _mount(name: str, found: Sequence[Finding]) -> str:
    return f"something was mounted on {name}{_with([one for one in found if one.kind != 'mount'])} beneath it"


def _package(_name: str, found: Sequence[Finding]) -> str:
    return f"{_one_package(found)}{_with([one for one in found if one.kind != 'package'])}"


def _one_package(found: Sequence[Finding]) -> str:
    one = next((one for one in found if one.kind == "package"), found[0])
    name, was, now = shown(one.subject), one.expected.get("version", "?"), one.actual.get("version", "?")
    if one.change == "modified":
        versions = f" from {_plain(was)} to {_plain(now)}" if was != now else ""
        return f"package {name} was changed{versions}"
    return f"package {name} {_plain(now if one.change == 'added' else was)} was {_PACKAGE[one.change]}"


_PACKAGE = {"added": "installed", "removed": "removed"}


def _packages(_name: str, found: Sequence[Finding]) -> str:
    packages = sorted({one.subject for one in found if one.kind == "package"})
    names = listed([shown(one) for one in packages])
    rest = _with([one for one in found if one.kind != "package"])
    return f"{count(len(packages), 'package')} changed in one transaction ({names}){rest}"


def _fact(kind: str, name: str, found: Sequence[Finding]) -> str:
    first = next((one for one in found if one.kind == kind), found[0])
    return f"{kind} {name} was {_WORDS[first.change]}{_with([one for one in found if one.kind != kind])}"


def _account(name: str, found: Sequence[Finding]) -> str:
    return _fact("account", name, found)


def _moved(name: str, found: Sequence[Finding]) -> str:
    new = min((one.subject for one in found if one.change == "added"), default=b"?")
    gone = [one for one in found if one.change == "removed"]
    rest = _with(gone, below=min((one.subject for one in gone), default=b""))
    return f"{name} was moved to {shown(new)}{rest}"


def _file(name: str, found: Sequence[Finding]) -> str:
    file = next((one for one in found if one.kind in _PATHS), found[0])
    return f"{name} was {_WORDS[file.change]}{_with([one for one in found if one is not file])}"


def _permissions(name: str, found: Sequence[Finding]) -> str:
    words = {"uid": "owner", "gid": "group", "mode": "mode"}
    fields = {field for one in found for field in (*one.expected, *one.actual)}
    what = listed([words[field] for field in ("uid", "gid", "mode") if field in fields])
    return f"{what} of {name} and all that differs below it changed, {count(len(found), 'path')}"


def _plain(version: str) -> str:
    return shown(version.encode("utf-8", "surrogateescape"))
