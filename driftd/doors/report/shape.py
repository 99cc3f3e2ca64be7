"""The report's shape: schema ``driftd.report/1`` (docs/report.md; docs/report.schema.json is made from here).

Additions may come under the same version; a field that is here keeps its name and meaning.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from driftd.core.attributed import Level
from driftd.core.difference import Change
from driftd.core.findings import Action, Severity, Verdict

SCHEMA: Literal["driftd.report/1"] = "driftd.report/1"
LINE_SCHEMA: Literal["driftd.report-line/1"] = "driftd.report-line/1"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SettingShape(_Strict):
    """One thing that a file says otherwise than it was baked; without ``before`` or ``after`` it did not say it."""

    path: str
    before: str | None = None
    after: str | None = None


class DiffShape(_Strict):
    """What a file says otherwise, its secrets taken out. ``lines`` are a unified comparison, ``note`` what is missing.

    ``cosmetic``: only comments, white space or an order without meaning differ.
    """

    settings: list[SettingShape]
    lines: list[str]
    cosmetic: bool
    note: str


class AttributionShape(_Strict):
    """Which session it is tied to, and how surely; without ``user`` nobody can be named.

    ``session`` is the confidence that there was such a session: "unverified" accuses nobody.
    """

    level: Level
    why: str
    user: str | None = None
    key: str | None = None
    key_id: str | None = None
    source: str | None = None
    started_at: datetime | None = None
    session: str | None = None


class FindingShape(_Strict):
    """One difference, judged. ``subject_bytes`` (base64) is there only where the name is not UTF-8, ``accepted`` only
    where somebody accepted it, ``diff`` only of files whose content may be shown, ``attribution`` of what was found by
    a look that saw the whole.
    """

    kind: str
    subject: str
    subject_bytes: str | None = None
    change: Change
    severity: Severity
    action: Action
    signature: str = Field(pattern=r"^[0-9a-f]{16}$")
    rule: str
    because: str
    expected: dict[str, str]
    actual: dict[str, str]
    accepted: str | None = None
    diff: DiffShape | None = None
    attribution: AttributionShape | None = None


class SessionShape(_Strict):
    """Somebody who was there; without ``ended_at`` no end is known. ``own`` marks driftd's visits."""

    door: str
    user: str
    source: str
    port: int
    key: str
    key_id: str
    started_at: datetime
    ended_at: datetime | None = None
    live: bool
    own: bool
    evidence: list[str]
    kind: str
    confidence: str


class KeptShape(_Strict):
    """Facts of one kind that were kept from the look: "not available", "not permitted" or "cut short", and why."""

    kind: str
    how: str
    why: str


class CoverageShape(_Strict):
    """What the look covered, counted. ``facts`` by kind; ``unbaked`` are kinds that the manifest says nothing of."""

    entries: int
    bytes_hashed: int
    unreadable: int
    covered: int
    reasons: dict[str, int]
    facts: dict[str, int]
    kept: list[KeptShape]
    unbaked: list[str]


class CauseShape(_Strict):
    """What brought findings about; every finding is in one. ``kind`` is "finding" for one that stands alone.

    ``findings`` are the signatures of its members, ``count`` is how many there are. ``accepted`` is true when somebody
    accepted every one of them.
    """

    kind: str
    subject: str
    severity: Severity
    signature: str = Field(pattern=r"^[0-9a-f]{16}$")
    sentence: str
    count: int
    findings: list[str]
    accepted: bool


class SpreadShape(_Strict):
    """A cause that several instances have."""

    signature: str = Field(pattern=r"^[0-9a-f]{16}$")
    severity: Severity
    sentence: str
    instances: list[str]


class InstanceShape(_Strict):
    """One look at one instance. ``root`` is hexadecimal, "" when nothing could be seen.

    ``accepted`` counts the findings that somebody accepted; they are among ``findings``. ``zone`` is the failure
    domain, where the provider tells one, ``means`` "disk" where a disk was read and no instance was asked.
    """

    id: str
    group: str
    slot: str
    address: str
    image: str
    verdict: Verdict
    reason: str
    hint: str
    root: str
    boot_id: str
    looked_at: datetime
    duration_s: float
    coverage: CoverageShape
    findings: list[FindingShape]
    causes: list[CauseShape]
    accepted: int
    explained: list[FindingShape]
    ignored: int
    sessions: list[SessionShape]
    zone: str | None = None
    means: str | None = None


class ReportShape(_Strict):
    """The whole report; ``verdicts`` counts the instances by verdict, ``alike`` is what several of them have."""

    schema_: Literal["driftd.report/1"] = Field(alias="schema")
    made_at: datetime
    verdicts: dict[Verdict, int]
    instances: list[InstanceShape]
    alike: list[SpreadShape]


class LineInstanceShape(_Strict):
    """Of which instance a line is."""

    id: str
    group: str
    slot: str
    address: str
    image: str
    zone: str | None = None
    verdict: Verdict
    reason: str
    hint: str
    looked_at: datetime
    means: str | None = None


class LineShape(_Strict):
    """One line of ``--format ndjson``: a finding with its instance, or a look ("look") that found nothing."""

    schema_: Literal["driftd.report-line/1"] = Field(alias="schema")
    type: Literal["finding", "look"]
    instance: LineInstanceShape
    finding: FindingShape | None = None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a report."""
    made = ReportShape.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA, **made}
