"""The report as one HTML file that asks nobody for anything: to be opened, searched, printed and passed on.

Its content security policy lets nothing run or load but the style and the script that are written into it, which it
names by their digests; so even a name that broke out of its place could do nothing. Without JavaScript all is there
but the search. Templates escape whatever they are given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from markupsafe import Markup

from driftd import __version__
from driftd.core.causes import Cause, gather
from driftd.core.difference import Change
from driftd.core.findings import Finding, Severity, Verdict
from driftd.core.looks import Look
from driftd.core.wording import count, printable, shown
from driftd.doors.report import causes, told
from driftd.doors.report.document import environment, part, security

_OPEN = 30  # findings in all that are shown unfolded
_SOME = 100  # findings that a browser lays out together, when they come into view
_STYLES = {"+": "added", "-": "removed"}


def render(looks: Sequence[Look], now: datetime) -> str:
    """The whole page."""
    css, script = part("report.css"), part("report.js")
    verdicts = Counter(look.judgement.verdict for look in looks)
    findings = [one for look in looks for one in look.judgement.findings]
    severities = Counter(one.severity for one in findings)
    page = environment().get_template("report.html")
    made = page.render(
        version=__version__,
        title=_title(looks, verdicts),
        made_at=f"{now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        policy=security(css, script),
        css=Markup(css),  # noqa: S704  # our own file
        script=Markup(script),  # noqa: S704  # our own file
        verdicts=[(one, verdicts[one]) for one in Verdict if verdicts[one]],
        severities=[(one, severities[one]) for one in reversed(Severity) if severities[one]],
        accepted=any(one.suppressed_by for one in findings),
        alike=[(severity, printable(said)) for severity, said in causes.lines(looks)],
        total=len(findings),
        otherwise=told.ELSE,
        open=len(findings) <= _OPEN,
        some=_SOME,
        instances=[_instance(look) for look in looks],
    )
    return made + "\n"


def _title(looks: Sequence[Look], verdicts: Counter[Verdict]) -> str:
    drifted = sum(verdicts[one] for one in told.DRIFT)
    if len(looks) == 1:
        return f"driftd: {told.view(looks[0])} is {looks[0].judgement.verdict}"
    return f"driftd: {count(drifted, 'drifted instance')} of {len(looks)}"


# --- one instance ----------------------------------------------------------------------------------------------------


def _instance(look: Look) -> dict[str, Any]:
    judgement, (step, command) = look.judgement, told.step_and_command(look)
    return {
        "verdict": judgement.verdict,
        "name": told.view(look),
        "image": printable(look.instance.image),
        "particulars": told.particulars(look.instance),
        "reason": printable(judgement.reason),
        "next": step,
        "command": command,
        "count": len(judgement.findings),
        "groups": [_Group(look, tuple(some)) for _, some in groupby(gather(judgement.findings), _together)],
        "sessions": [told.session(one) for one in look.others],
        "notes": list(told.notes(look)),
    }


def _together(cause: Cause) -> str:
    """What has no cause but itself stands with its neighbours that have none."""
    return cause.signature if cause.kind else ""


@dataclass(frozen=True, slots=True)
class _Group:
    """A cause on its way into the page, or several of one finding each; these are made one by one, as it needs them."""

    look: Look
    causes: tuple[Cause, ...]

    @property
    def sentence(self) -> str:
        return printable(self.causes[0].sentence) if self.causes[0].kind else ""

    @property
    def severity(self) -> Severity:
        return self.causes[0].severity

    @property
    def signature(self) -> str:
        return self.causes[0].signature

    def findings(self) -> Iterator[dict[str, Any]]:
        return (_finding(one, self.look) for cause in self.causes for one in cause.members)


def _finding(finding: Finding, look: Look) -> dict[str, Any]:
    exhibit = told.exhibit_of(finding, look)
    settings, lines, note = [], [], ""
    if exhibit is not None:
        made = exhibit.comparison
        settings = [(printable(one.path), told.side(one.before), told.side(one.after)) for one in made.settings]
        lines = [(_STYLES.get(line[:1], ""), line) for line in told.compared(made.lines)]
        note = printable(made.note)
    return {
        "severity": finding.severity,
        "kind": printable(finding.kind),
        "subject": shown(finding.subject),
        "change": finding.change,
        "settings": settings,
        "sides": list(told.sides(finding)) if finding.change is Change.MODIFIED else [],
        "fields": "" if finding.change is Change.MODIFIED else told.fields(finding),
        "lines": lines,
        "note": note,
        "because": printable(finding.because),
        "whose": told.whose(finding, look),
        "accepted": printable(finding.suppressed_by),
        "signature": finding.signature,
        "rule": printable(finding.rule),
    }
