"""The report of a period as JSON. Everything outside ASCII is escaped, so no name does anything to a terminal."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from typing import Any

from driftd.core.attributed import Attribution
from driftd.core.period import Came, Drift, Member, Period, took
from driftd.core.replacement import TERMINAL, Record
from driftd.core.wording import shown
from driftd.doors.report.period.shape import (
    SCHEMA,
    AcceptanceShape,
    ActShape,
    AttributionShape,
    BreakerShape,
    CoverageShape,
    DriftShape,
    HoldShape,
    MemberShape,
    PauseShape,
    PeriodShape,
    ProofShape,
    ReplacementShape,
    SessionShape,
    TrippedShape,
)


def render(period: Period) -> str:
    """The report as text with a line feed at its end."""
    return json.dumps(shape(period).model_dump(mode="json", by_alias=True), indent=2) + "\n"


def shape(period: Period) -> PeriodShape:
    """The whole report in its shape."""
    return PeriodShape(
        schema=SCHEMA,
        made_at=period.made_at,
        since=period.since,
        until=period.until,
        store=period.store,
        fleet=[_member(one) for one in period.fleet],
        sessions=[_session(one) for one in period.sessions],
        drifts=[_drift(one) for one in period.drifts],
        replacements=[_replacement(one) for one in period.replacements],
        **_by_people(period),
        **_by_breakers(period),
        coverage=CoverageShape(
            never=[one.row.id for one in period.never],
            gaps=[one.row.id for one in period.holes],
            unknown=[one.row.id for one in period.unknown],
        ),
        proof=_proof(period),
    )


def _by_people(period: Period) -> dict[str, Any]:
    return {
        "holds": [
            HoldShape(
                instance=one.instance_id,
                group=one.group,
                owner=one.owner,
                reason=one.reason,
                began_at=one.created_at,
                ended_at=one.ended_at,
                renewed_by=one.renewed_by,
                released_by=one.released_by,
            )
            for one in period.holds
        ],
        "acceptances": [
            AcceptanceShape(
                no=one.id,
                signature=one.signature,
                cause=one.cause,
                group=one.group,
                owner=one.owner,
                reason=one.reason,
                began_at=one.created_at,
                expires_at=one.expires_at,
                withdrawn_at=one.withdrawn_at,
                withdrawn_by=one.withdrawn_by,
                hits=one.hits,
            )
            for one in period.acceptances
        ],
        "pauses": [PauseShape(**asdict(one)) for one in period.pauses],
        "acts": [
            ActShape(line=one.seq, at=one.at, who=one.who, did=one.did, subject=one.subject, says=one.says)
            for one in period.deeds
        ],
    }


def _by_breakers(period: Period) -> dict[str, Any]:
    return {
        "tripped": [
            TrippedShape(line=one.seq, at=one.at, rule=one.rule, scope=one.scope, to=one.to, why=one.why)
            for one in period.tripped
        ],
        "breakers": [
            BreakerShape(rule=one.rule, scope=one.scope, state=one.state, why=one.why, opened_at=one.opened_at)
            for one in period.breakers
        ],
    }


def _proof(period: Period) -> ProofShape:
    proof = period.proof
    return ProofShape(
        ok=proof.good,
        lines=proof.lines,
        head=proof.head,
        first_line=proof.first,
        last_line=proof.last,
        checkpoint=proof.checkpoint,  # type: ignore[arg-type]  # pydantic checks the word
        checkpoint_line=proof.checkpoint_line,
        checkpoint_at=proof.checkpoint_at,
        said=list(proof.said),
    )


def _member(one: Member) -> MemberShape:
    row = one.row
    return MemberShape(
        id=row.id,
        group=row.group,
        slot=row.slot,
        image=row.image,
        address=row.address,
        first_seen=row.first_seen,
        gone_at=row.gone_at,
        verdict=row.verdict,
        reason=row.reason,
        since=row.verdict_since,
        taint=row.taint,
        looks=one.looks,
        longest_gap_s=round(one.gap.total_seconds(), 3),
        gap_from=one.gap_from,
        hole=one.hole,
    )


def _session(one: Came) -> SessionShape:
    session = one.session
    return SessionShape(
        instance=one.member.id,
        group=one.member.group,
        door=session.door,
        kind=session.kind,
        user=session.user,
        source=session.source,
        key=session.key,
        key_id=session.key_id,
        started_at=session.started_at,
        ended_at=session.ended_at,
        live=session.live,
        confidence=session.confidence,
        drifts=one.drifts,
    )


def _drift(one: Drift) -> DriftShape:
    row, finding = one.row, one.row.finding
    return DriftShape(
        no=row.id,
        instance=one.member.id,
        group=one.member.group,
        kind=finding.kind,
        subject=shown(finding.subject),
        subject_bytes=_bytes(finding.subject),
        change=finding.change,
        severity=finding.severity,
        signature=finding.signature,
        rule=finding.rule,
        because=finding.because,
        opened_at=row.first_seen,
        resolved_at=row.resolved_at,
        accepted=finding.suppressed_by,
        attribution=_attribution(one.attribution),
    )


def _bytes(subject: bytes) -> str | None:
    try:
        subject.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(subject).decode("ascii")
    return None


def _attribution(made: Attribution | None) -> AttributionShape | None:
    if made is None:
        return None
    who = made.session
    if who is None:
        return AttributionShape(level=made.level, why=made.why)
    return AttributionShape(
        level=made.level, why=made.why, user=who.user, source=who.source, key=who.key_id or who.key or None
    )


def _replacement(one: Record) -> ReplacementShape:
    span = took(one)
    return ReplacementShape(
        id=one.rid,
        group=one.group,
        slot=one.slot,
        old=one.old_id,
        new=one.new_id,
        why=one.why,
        by_hand=one.manual,
        approved_by=one.approved_by,
        denied_by=one.denied_by,
        state=one.state,
        note=one.note,
        began_at=one.created_at,
        ended_at=one.entered_at if one.state in TERMINAL else None,
        took_s=None if span is None else round(span.total_seconds(), 3),
    )
