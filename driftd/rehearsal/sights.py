"""What a look at an instance finds."""

from __future__ import annotations

from driftd.core.difference import Change, Difference
from driftd.core.findings import Action, Finding, Judgement, Severity, Verdict, signature

CLEAN = Judgement(Verdict.CLEAN, "nothing differs from golden")


def finding(difference: Difference) -> Finding:
    """One that asks for a replacement."""
    return Finding(
        difference.kind,
        difference.subject,
        difference.change,
        Severity.HIGH,
        Action.REPLACE,
        signature(difference),
        "test:rule",
        "because",
        difference.expected,
        difference.actual,
    )


def edited(path: str) -> Finding:
    """Somebody edited a file."""
    return finding(Difference("file", path.encode(), Change.MODIFIED, {"sha256": "aa"}, {"sha256": "bb"}))
