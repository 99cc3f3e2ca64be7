"""Findings: differences that policy has judged, with evidence and reason; and the verdict over all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from driftd.core.difference import Change, Difference
from driftd.probe import wire


class Verdict(StrEnum):
    """What one look at one instance amounts to. UNKNOWN is "could not look": never clean, never drifted."""

    CLEAN = "clean"
    EXPLAINED = "explained"
    DRIFTED = "drifted"
    TAMPERED = "tampered"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """In rising order."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class Action(StrEnum):
    """What a rule asks for, in rising order; a group's ``enforce`` caps what is really done.

    OBSERVE is a finding that nobody gets a message of, ALERT one that people are told of. QUARANTINE replaces, too, and
    keeps the old one (core/quarantine.py).
    """

    IGNORE = "ignore"
    EXPLAIN = "explain"
    OBSERVE = "observe"
    ALERT = "alert"
    REPLACE = "replace"
    QUARANTINE = "quarantine"

    @property
    def rank(self) -> int:
        return list(Action).index(self)

    @property
    def replaces(self) -> bool:
        """Whether the instance makes room for another."""
        return self.rank >= Action.REPLACE.rank


@dataclass(frozen=True, slots=True)
class Finding:
    """``signature`` is the finding's normalised shape: the same on every host that drifted the same way.

    ``rule`` names the rule that judged it ("pack:id"), ``because`` is that rule's reason. A suppressed finding keeps
    its severity and says who accepted it until when. ``cause`` and ``about`` are the kind and subject of the cause that
    it has in common with others (core/causes.py); "" where it stands alone.
    """

    kind: str
    subject: bytes
    change: Change
    severity: Severity
    action: Action
    signature: str
    rule: str
    because: str
    expected: Mapping[str, str] = field(default_factory=dict)
    actual: Mapping[str, str] = field(default_factory=dict)
    suppressed_by: str = ""
    cause: str = ""
    about: bytes = b""


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A file that kept to its expectation as far as that could be told; ``why`` it could not be told wholly.

    ``cut``: the instance may have had a hand in that, so that it counts as not looked at.
    """

    path: bytes
    why: str
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """One instance's verdict with its reason (one sentence), the findings (worst first) and what was explained.

    ``action`` is the highest that any finding not suppressed asks for. ``ignored`` counts what rules left out.
    ``unchecked`` are those of the explained that could not be held against all of their expectation.
    """

    verdict: Verdict
    reason: str
    findings: tuple[Finding, ...] = ()
    explained: tuple[Finding, ...] = ()
    action: Action = Action.IGNORE
    ignored: int = 0
    unchecked: tuple[Unchecked, ...] = ()


# What tells two visits of the same person apart, but not two hosts that drifted the same way.
_OF_ONE_HOST = frozenset(
    {"started_at", "last_at", "port", "pid", "tty", "live", "times", "evidence", "same_as", "confidence"}
)


def signature(difference: Difference) -> str:
    """Sixteen hexadecimal digits that are the same wherever the same thing happened.

    They are over the kind, the subject, the change and what is there now (content by its digest). For something that
    is gone, what was there is left out, as the image says that. Times, ports and process ids are no part of it.
    """
    actual = {
        name.encode(): value.encode("utf-8", "surrogateescape")
        for name, value in difference.actual.items()
        if name not in _OF_ONE_HOST
    }
    shape = [b"driftd.finding/1", difference.kind.encode(), difference.subject, difference.change.encode(), actual]
    return hashlib.sha256(wire.pack(shape)).hexdigest()[:16]


def capped(action: Action, most: Action) -> Action:
    """``action``, but no more than ``most``: a group's ``enforce`` is the most that any rule may do there."""
    return min(action, most, key=lambda one: one.rank)


@dataclass(frozen=True, slots=True)
class Merged:
    """What a look changes in the store: findings to open, rows to touch with what is seen now, rows to resolve.

    ``uncovered`` are those that are still there and that nobody accepts any more.
    """

    opened: tuple[Finding, ...]
    still: tuple[tuple[int, Finding], ...]
    resolved: tuple[int, ...]
    uncovered: tuple[Finding, ...] = ()


def merge(open_rows: Iterable[tuple[int, str]], seen: Iterable[Finding]) -> Merged:
    """Hold the findings of one look against the open rows, (id, signature), of the same instance.

    Only for a look that saw: when nothing could be seen, nothing is resolved and this is not to be called.
    """
    rows: dict[str, int] = {}
    double: list[int] = []
    for row_id, shape in open_rows:
        if shape in rows:
            double.append(row_id)
        else:
            rows[shape] = row_id
    opened: list[Finding] = []
    still: list[tuple[int, Finding]] = []
    done: set[str] = set()
    for finding in seen:
        if finding.signature in done:
            continue
        done.add(finding.signature)
        if finding.signature in rows:
            still.append((rows[finding.signature], finding))
        else:
            opened.append(finding)
    resolved = [row_id for shape, row_id in rows.items() if shape not in done]
    return Merged(tuple(opened), tuple(still), tuple(sorted([*resolved, *double])))
