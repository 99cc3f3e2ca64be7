"""Differences by hand, for tables of what a pack explains and what it does not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from trees import NOW

from driftd.core.difference import Change, Difference
from driftd.core.policy import Policy, judge
from driftd.edges.documents import load_policy


@dataclass(frozen=True)
class Case:
    """``explained`` says what the packs are to make of ``what``."""

    explained: bool
    what: Difference

    def __str__(self) -> str:
        word = "explained" if self.explained else "finding"
        return f"{self.what.subject.decode('utf-8', 'replace')}-{self.what.change}-{word}"


def explained(*differences: Difference) -> list[Case]:
    return [Case(explained=True, what=one) for one in differences]


def findings(*differences: Difference) -> list[Case]:
    return [Case(explained=False, what=one) for one in differences]


def new(path: str, mode: str = "0644", kind: str = "file", size: int = 40, **fields: str) -> Difference:
    actual = {"kind": kind, "mode": mode, "uid": "0", "gid": "0", **fields}
    if kind == "file":
        actual.update(size=str(size), sha256="ab" * 32)
    return Difference(kind, path.encode(), Change.ADDED, {}, actual)


def place(path: str, mode: str = "0755", **fields: str) -> Difference:
    return new(path, mode, "directory", **fields)


def link(path: str, target: str) -> Difference:
    return new(path, "0777", "link", target=target)


def changed(path: str, size: int = 40, was: int = 30, **fields: str) -> Difference:
    """Its content; ``fields`` changed, too, to these."""
    before = dict.fromkeys(fields, "0000")
    return Difference(
        "file",
        path.encode(),
        Change.MODIFIED,
        {"size": str(was), "sha256": "cd" * 32, **before},
        {"size": str(size), "sha256": "ab" * 32, **fields},
    )


def reset(path: str, **fields: str) -> Difference:
    """A baked directory whose ``fields`` are these now."""
    return Difference("directory", path.encode(), Change.MODIFIED, dict.fromkeys(fields, "0"), fields)


def gone(path: str) -> Difference:
    fields = {"kind": "file", "mode": "0644", "uid": "0", "gid": "0", "size": "30", "sha256": "cd" * 32}
    return Difference("file", path.encode(), Change.REMOVED, fields, {})


def fact(kind: str, name: str, change: Change = Change.ADDED, **fields: str) -> Difference:
    return Difference(kind, name.encode(), change, {}, fields)


@cache
def _policy(packs: tuple[str, ...]) -> Policy:
    return load_policy(packs)


def outcome(case: Case, packs: tuple[str, ...]) -> tuple[bool, str]:
    """(whether it was explained, the rule that judged it)."""
    judged = judge([case.what], _policy(packs), (), NOW)
    (found,) = (*judged.explained, *judged.findings)
    return found in judged.explained, found.rule
