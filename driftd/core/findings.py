"""Findings: differences that policy has judged, with evidence and reason; and the verdict over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from driftd.core.drift import Change


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
    """What a rule asks for, in rising order; a group's ``enforce`` caps what is really done."""

    IGNORE = "ignore"
    EXPLAIN = "explain"
    ALERT = "alert"
    REPLACE = "replace"

    @property
    def rank(self) -> int:
        return list(Action).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """``signature`` is the finding's normalised shape: the same on every host that drifted the same way.

    ``rule`` names the rule that judged it ("pack:id"), ``because`` is that rule's reason. A suppressed finding keeps
    its severity and says who accepted it until when.
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


@dataclass(frozen=True, slots=True)
class Judgement:
    """One instance's verdict with its reason (one sentence), the findings (worst first) and what was explained.

    ``action`` is the highest that any finding not suppressed asks for.
    """

    verdict: Verdict
    reason: str
    findings: tuple[Finding, ...] = ()
    explained: tuple[Finding, ...] = ()
    action: Action = Action.IGNORE
