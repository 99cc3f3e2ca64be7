"""Taint: distrust that a clean look cannot lift, since who was there may have removed the traces. Only a person can."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from driftd.core.acceptance import Acceptances
from driftd.core.findings import Action, Finding
from driftd.core.memory import FindingRow, Suppression

SESSION = "session"


def standing(rows: Iterable[FindingRow], suppressions: Sequence[Suppression], group: str) -> list[Finding]:
    """The session findings that still count: open in the store, whether or not the last look saw them, not accepted.

    ``suppressions`` are those in force now.
    """
    accepted = Acceptances(suppressions, group)
    return [row.finding for row in rows if row.finding.kind == SESSION and accepted.of(row.finding) is None]


def taint_action(sessions: Iterable[Finding]) -> Action:
    """The highest that any of them asks for."""
    return max((one.action for one in sessions), key=lambda action: action.rank, default=Action.IGNORE)
