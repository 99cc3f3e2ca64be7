"""What a verdict and a severity look like on a terminal. The word always stands beside it: no colour says it alone."""

from __future__ import annotations

from collections.abc import Mapping

from driftd.core.findings import Severity, Verdict

VERDICT_STYLES: Mapping[Verdict, str] = {
    Verdict.CLEAN: "bold green",
    Verdict.EXPLAINED: "green",
    Verdict.DRIFTED: "bold red",
    Verdict.TAMPERED: "bold white on red",
    Verdict.UNKNOWN: "bold yellow",
}
SEVERITY_STYLES: Mapping[Severity, str] = {
    Severity.INFO: "dim",
    Severity.LOW: "cyan",
    Severity.MEDIUM: "yellow",
    Severity.HIGH: "red",
    Severity.CRITICAL: "bold red",
}
