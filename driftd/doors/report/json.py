"""The report as JSON, for programs. Everything outside ASCII is escaped, so no name does anything to a terminal."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import BaseModel

from driftd.core import zones
from driftd.core.attributed import Attribution
from driftd.core.causes import gather
from driftd.core.facts import Session
from driftd.core.findings import Finding
from driftd.core.looks import Look
from driftd.core.shown import Exhibit
from driftd.core.wording import shown
from driftd.doors.report import causes
from driftd.doors.report.shape import (
    SCHEMA,
    AttributionShape,
    CoverageShape,
    DiffShape,
    FindingShape,
    InstanceShape,
    KeptShape,
    ReportShape,
    SessionShape,
    SettingShape,
)
from driftd.doors.report.told import exhibit_of


def render(looks: Sequence[Look], now: datetime) -> str:
    """The report as text with a line feed at its end, instances in the order given."""
    verdicts = Counter(look.judgement.verdict for look in looks)
    report = ReportShape(
        schema=SCHEMA,
        made_at=now,
        verdicts=dict(sorted(verdicts.items())),
        instances=[_instance(look) for look in looks],
        alike=causes.spread_shapes(looks),
    )
    return json.dumps(report.model_dump(mode="json", by_alias=True, exclude_none=True), indent=2) + "\n"


def compact(shape: BaseModel) -> str:
    """One shape on one line, with a line feed at its end."""
    return json.dumps(shape.model_dump(mode="json", by_alias=True, exclude_none=True), separators=(",", ":")) + "\n"


def _instance(look: Look) -> InstanceShape:
    instance, judgement, coverage = look.instance, look.judgement, look.coverage
    return InstanceShape(
        id=instance.id,
        group=instance.group,
        slot=instance.slot,
        address=instance.address,
        image=instance.image,
        verdict=judgement.verdict,
        reason=judgement.reason,
        hint=look.hint,
        root=look.root.hex(),
        boot_id=look.boot_id,
        looked_at=look.at,
        duration_s=round(look.duration_s, 3),
        coverage=CoverageShape(
            entries=coverage.entries,
            bytes_hashed=coverage.bytes_hashed,
            unreadable=coverage.unreadable,
            covered=coverage.covered,
            reasons=dict(coverage.reasons),
            facts=dict(coverage.facts),
            kept=[KeptShape(kind=one.kind, how=one.how, why=one.why) for one in coverage.kept],
            unbaked=list(coverage.unbaked),
        ),
        findings=[finding_of(look, one) for one in judgement.findings],
        causes=[causes.shape(one) for one in gather(judgement.findings)],
        accepted=sum(1 for one in judgement.findings if one.suppressed_by),
        explained=[finding_of(look, one) for one in judgement.explained],
        ignored=judgement.ignored,
        sessions=[*_sessions(look.others, own=False), *_sessions(look.own, own=True)],
        zone=zones.named(instance.zone) or None,
        means=look.means or None,
    )


def diff(exhibit: Exhibit | None) -> DiffShape | None:
    """What can be shown of a finding; None when that is nothing."""
    if exhibit is None:
        return None
    made = exhibit.comparison
    settings = [SettingShape(path=one.path, before=one.before, after=one.after) for one in made.settings]
    return DiffShape(settings=settings, lines=list(made.lines), cosmetic=made.cosmetic, note=made.note)


def finding_of(look: Look, finding: Finding) -> FindingShape:
    """A finding of a look, with what can be shown of its content and whom it is tied to."""
    return finding_shape(finding, exhibit_of(finding, look), look.attributions.get(finding.signature))


def _attribution(made: Attribution | None) -> AttributionShape | None:
    if made is None or made.session is None:
        return AttributionShape(level=made.level, why=made.why) if made else None
    one = made.session
    return AttributionShape(
        level=made.level,
        why=made.why,
        user=one.user,
        key=one.key,
        key_id=one.key_id,
        source=one.source,
        started_at=one.started_at,
        session=one.confidence,
    )


def finding_shape(finding: Finding, exhibit: Exhibit | None, attribution: Attribution | None = None) -> FindingShape:
    """A finding as every report has it."""
    try:
        subject, raw = finding.subject.decode("utf-8"), None
    except UnicodeDecodeError:
        subject, raw = shown(finding.subject), base64.b64encode(finding.subject).decode("ascii")
    return FindingShape(
        kind=finding.kind,
        subject=subject,
        subject_bytes=raw,
        change=finding.change,
        severity=finding.severity,
        action=finding.action,
        signature=finding.signature,
        rule=finding.rule,
        because=finding.because,
        expected=dict(finding.expected),
        actual=dict(finding.actual),
        accepted=finding.suppressed_by or None,
        diff=diff(exhibit),
        attribution=_attribution(attribution),
    )


def _sessions(sessions: Iterable[Session], *, own: bool) -> list[SessionShape]:
    return [
        SessionShape(
            door=session.door,
            user=session.user,
            source=session.source,
            port=session.port,
            key=session.key,
            key_id=session.key_id,
            started_at=session.started_at,
            ended_at=session.ended_at,
            live=session.live,
            own=own,
            evidence=[part for part in session.evidence.split("+") if part],
            kind=session.kind,
            confidence=session.confidence,
        )
        for session in sessions
    ]
