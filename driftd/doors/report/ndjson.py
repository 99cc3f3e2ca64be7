"""The report line by line, for pipes: each finding is one JSON object with its instance (docs/report.md).

A look without findings is a line of its own, so that silence is never taken for health. Lines are ASCII.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from driftd.core import zones
from driftd.core.looks import Look
from driftd.doors.report.json import compact, finding_of
from driftd.doors.report.shape import LINE_SCHEMA, LineInstanceShape, LineShape


def render(looks: Sequence[Look], _now: datetime) -> str:
    """All lines, each with a line feed at its end; "" for no looks."""
    return "".join(line for look in looks for line in lines(look))


def lines(look: Look) -> Iterator[str]:
    """The lines of one look."""
    instance, judgement = look.instance, look.judgement
    brief = LineInstanceShape(
        id=instance.id,
        group=instance.group,
        slot=instance.slot,
        address=instance.address,
        image=instance.image,
        zone=zones.named(instance.zone) or None,
        verdict=judgement.verdict,
        reason=judgement.reason,
        hint=look.hint,
        looked_at=look.at,
        means=look.means or None,
    )
    if not judgement.findings:
        yield compact(LineShape(schema=LINE_SCHEMA, type="look", instance=brief))
    for one in judgement.findings:
        yield compact(LineShape(schema=LINE_SCHEMA, type="finding", instance=brief, finding=finding_of(look, one)))
