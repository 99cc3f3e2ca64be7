"""The shape of a period's report: schema ``driftd.report-period/1`` (docs/report-period.schema.json is made from here).

Additions may come under the same version; a field that is here keeps its name and meaning.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from driftd.core.attributed import Level
from driftd.core.difference import Change
from driftd.core.findings import Severity, Verdict

SCHEMA: Literal["driftd.report-period/1"] = "driftd.report-period/1"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MemberShape(_Strict):
    """An instance. ``longest_gap_s`` is the longest time in the period without a look; ``hole``: much too long."""

    id: str
    group: str
    slot: str
    image: str
    address: str
    first_seen: datetime
    gone_at: datetime | None
    verdict: Verdict
    reason: str
    since: datetime
    taint: str
    looks: int
    longest_gap_s: float
    gap_from: datetime
    hole: bool


class SessionShape(_Strict):
    """Somebody who was there. ``drifts`` counts findings that are tied to it."""

    instance: str
    group: str
    door: str
    kind: str
    user: str
    source: str
    key: str
    key_id: str
    started_at: datetime
    ended_at: datetime | None
    live: bool
    confidence: str
    drifts: int


class AttributionShape(_Strict):
    """Whose a drift is; without ``user`` nobody can be named."""

    level: Level
    why: str
    user: str | None = None
    source: str | None = None
    key: str | None = None


class DriftShape(_Strict):
    """A finding. ``subject_bytes`` (base64) is there where the name is not UTF-8; ``accepted`` says who, until when."""

    no: int
    instance: str
    group: str
    kind: str
    subject: str
    subject_bytes: str | None = None
    change: Change
    severity: Severity
    signature: str
    rule: str
    because: str
    opened_at: datetime
    resolved_at: datetime | None
    accepted: str
    attribution: AttributionShape | None = None


class ReplacementShape(_Strict):
    """A replacement that was under way. ``took_s`` is null while it lasts."""

    id: str
    group: str
    slot: str
    old: str
    new: str
    why: str
    by_hand: bool
    approved_by: str
    denied_by: str
    state: str
    note: str
    began_at: datetime
    ended_at: datetime | None
    took_s: float | None


class HoldShape(_Strict):
    """A hold that was in force at some time of the period."""

    instance: str
    group: str
    owner: str
    reason: str
    began_at: datetime
    ended_at: datetime
    renewed_by: str
    released_by: str


class AcceptanceShape(_Strict):
    """An acceptance that was in force at some time of the period. ``group`` "" is every group."""

    no: int
    signature: str
    cause: str
    group: str
    owner: str
    reason: str
    began_at: datetime
    expires_at: datetime
    withdrawn_at: datetime | None
    withdrawn_by: str
    hits: int


class PauseShape(_Strict):
    """A pause that is in force now. ``group`` "" is everywhere; earlier ones are among ``acts``."""

    group: str
    owner: str
    reason: str
    since: datetime
    hard: bool


class ActShape(_Strict):
    """What a person did, by the journal's line."""

    line: int
    at: datetime
    who: str
    did: str
    subject: str
    says: str


class TrippedShape(_Strict):
    """A breaker that changed its state in the period, by the journal's line."""

    line: int
    at: datetime
    rule: str
    scope: str
    to: str
    why: str


class BreakerShape(_Strict):
    """A breaker that holds now."""

    rule: str
    scope: str
    state: str
    why: str
    opened_at: datetime


class ProofShape(_Strict):
    """The journal, verified for this report. ``first_line`` and ``last_line`` are the period's own, 0 for none."""

    ok: bool
    lines: int
    head: str
    first_line: int
    last_line: int
    checkpoint: Literal["trusted", "unsigned", "untrusted", "wrong", "none"]
    checkpoint_line: int
    checkpoint_at: datetime | None
    said: list[str]


class CoverageShape(_Strict):
    """What nobody can speak of, as ids of instances."""

    never: list[str]
    gaps: list[str]
    unknown: list[str]


class PeriodShape(_Strict):
    """The whole report."""

    schema_: Literal["driftd.report-period/1"] = Field(alias="schema")
    made_at: datetime
    since: datetime
    until: datetime
    store: str
    fleet: list[MemberShape]
    sessions: list[SessionShape]
    drifts: list[DriftShape]
    replacements: list[ReplacementShape]
    holds: list[HoldShape]
    acceptances: list[AcceptanceShape]
    pauses: list[PauseShape]
    acts: list[ActShape]
    tripped: list[TrippedShape]
    breakers: list[BreakerShape]
    coverage: CoverageShape
    proof: ProofShape


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a report."""
    made = PeriodShape.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA, **made}
