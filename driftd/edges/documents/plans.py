"""Plans on disk, ``driftd.plan/1``: their shape, for JSON Schema and for reading what a stranger may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from driftd.core import strictjson
from driftd.core.errors import BadInput
from driftd.core.planning.document import SCHEMA, fits
from driftd.core.wording import planning as said
from driftd.edges.documents.files import read
from driftd.edges.documents.refusals import too_large, unread

LIMIT = 64 * 1024 * 1024  # a plan of a thousand instances has 3 MB
_FAMILY = SCHEMA.partition("/")[0] + "/"

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Instant = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")]
Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Between(_Strict):
    """Seconds, from and to."""

    least_s: Count
    most_s: Count


class Lasts(Between):
    """How long one takes; ``past`` is how many of the group's past replacements said so, 0 where its limits did."""

    past: Count


class AtRisk(_Strict):
    """The blast radius. ``waiting`` are those that nothing known lets in."""

    instances: Count
    waiting: Count
    groups: Count
    zones: Count
    volumes: Count
    addresses: Count
    connections: Count


class Refused(_Strict):
    """One guard that says no, with its arithmetic; ``until`` is when asking again makes sense."""

    guard: str
    why: str
    until: Instant | None


class Guards(_Strict):
    """Every guard, in the turn of this replacement. ``skipped`` would wait were it not asked for by hand."""

    passes: list[str] = Field(alias="pass")
    wait: list[Refused]
    skipped: list[Refused]


class PlanStep(_Strict):
    """One call: in which state, on the "old" or the "new" one, about which volume or address."""

    state: str
    call: str
    on: str
    thing: str


class Replacement(_Strict):
    """One instance. ``wave`` is 0, and ``waits_for`` says why, where nothing known lets it in."""

    instance: str
    group: str
    slot: str
    zone: str
    image: str
    new_image: str
    asked_by: Literal["drift", "replacement", "hand"]
    why: str
    verdict: str
    looked_at: Instant | None
    look_age_s: int | None
    replacement: str
    variant: str
    steps: list[PlanStep]
    volumes: dict[str, str]
    addresses: dict[str, str]
    connections: Count
    lasts: Lasts
    wave: Count
    begins_s: Count | None
    ends_s: Count | None
    waits_for: str
    held_up: str
    guards: Guards


class WaveZone(_Strict):
    """One zone of a group once a wave is over."""

    zone: str
    in_service_after: Count


class WaveModel(_Strict):
    """What is let in together, and what is in service at the worst moment and after."""

    wave: int = Field(ge=1)
    instances: list[str]
    begins_s: Count
    in_service_lowest: Count
    in_service_after: Count
    zones: list[WaveZone]


class Zone(_Strict):
    """One zone of a group."""

    zone: str
    size: Count
    replaced: Count


class PlanGroup(_Strict):
    """One group. ``asked_later`` is what nobody asked for this plan."""

    group: str
    size: Count
    in_service: Count
    minimum: Count
    replaced: Count
    share_percent: Count
    connections: Count
    zones: list[Zone]
    waves: list[WaveModel]
    asked_later: list[str]


class GroupOrigin(_Strict):
    """What a plan rests on of a group: digests of what is configured, and how it stood."""

    configuration: str
    policy: str
    settings: dict[str, str]
    size: Count
    open: dict[str, str]
    stopped: str
    breakers: list[str]


class InstanceOrigin(_Strict):
    """What a plan rests on of an instance; volumes and addresses with whose they are."""

    group: str
    slot: str
    image: str
    zone: str
    verdict: str
    reason: str
    action: str
    taint: str
    root: str
    volumes: dict[str, str]
    addresses: dict[str, str]
    held: str
    replacement: str


class Origins(_Strict):
    """Everything that is read again before a plan is applied."""

    groups: dict[str, GroupOrigin]
    instances: dict[str, InstanceOrigin]


class PlanDocument(_Strict):
    """What ``driftd plan`` writes and ``driftd apply`` reads (docs/plan.md)."""

    schema_: Literal["driftd.plan/1"] = Field(alias="schema")
    digest: Digest
    store: str
    made_at: Instant
    valid_until: Instant
    made_by: str
    driftd: str
    asked: Literal["by hand", "by nobody"]
    at_risk: AtRisk
    takes: Between
    notes: list[str]
    groups: list[PlanGroup]
    replacements: list[Replacement]
    made_from: Origins
    made_from_digest: Digest


def load_plan(file: Path) -> dict[str, Any]:
    """The document in ``file``, whole and unchanged since it was made. Raises BadInput."""
    try:
        data = read(file, LIMIT + 1)
    except OSError as error:
        raise unread(file, error) from None
    if len(data) > LIMIT:
        raise too_large(file, LIMIT, "a plan may be")
    return _opened(file, data)


def _opened(file: Path, data: bytes) -> dict[str, Any]:
    try:
        found = strictjson.read(data)
        schema = strictjson.field(found, "schema", str)
    except ValueError as error:
        raise BadInput(said.no_plan(str(file), str(error)), said.WHAT_IS_A_PLAN) from None
    if schema.startswith(_FAMILY) and schema != SCHEMA:
        raise BadInput(f"{file}: {said.other_schema(schema[:40], SCHEMA)}", said.NEWER_HINT)
    if schema != SCHEMA or not isinstance(found, dict):
        raise BadInput(said.no_plan(str(file), f"its schema is {schema[:40]!r}"), said.WHAT_IS_A_PLAN)
    if not fits(found):
        raise BadInput(said.edited(str(file)), said.PLAN_ANEW)
    try:
        PlanDocument.model_validate(found)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise BadInput(said.no_plan(str(file), f"{where} is not what it should be"), said.WHAT_IS_A_PLAN) from None
    return found


def plan_schema() -> dict[str, Any]:
    """The JSON Schema of a plan, as docs/plan.schema.json holds it."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | PlanDocument.model_json_schema(by_alias=True)
