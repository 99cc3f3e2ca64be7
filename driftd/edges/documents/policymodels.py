"""The shape of a policy document (docs/policy.md), and its JSON Schema for editors (docs/policy.schema.json)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from driftd.core import answers
from driftd.core.difference import Change
from driftd.core.expect import PATH_KINDS, Expect
from driftd.core.facts import FACT_KINDS
from driftd.core.findings import Action, Severity
from driftd.core.packs import LAYERS, SYSTEMS
from driftd.core.showable import FORMATS

SCHEMA = "driftd.policy/1"
KINDS = (*sorted(PATH_KINDS), *FACT_KINDS, "identity", "session")  # what a difference may be about


def _one_of(words: Iterable[str], what: str) -> Any:
    """A word of ``words``, and nothing else."""
    known = tuple(words)

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"{value!r} is no {what}; write one of: {', '.join(known)}")
        return value

    return AfterValidator(check)


def _several(value: Any) -> Any:
    """One value may stand where several may."""
    return [value] if isinstance(value, str) else value


def _day(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value!r} is not a day; write it like 2026-01-31") from None
    return value


def _one_or_more(item: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]})


def _words(words: Iterable[str]) -> WithJsonSchema:
    return _one_or_more({"type": "string", "enum": [str(word) for word in words]})


Text = Annotated[str, Field(min_length=1, max_length=4096)]
Texts = Annotated[
    list[Text],
    BeforeValidator(_several),
    Field(min_length=1, max_length=1000),
    _one_or_more({"type": "string", "minLength": 1}),
]
# Of a field "" is a value, too: that it is not there.
Values = Annotated[
    list[Annotated[str, Field(max_length=4096)]],
    BeforeValidator(_several),
    Field(min_length=1, max_length=1000),
    _one_or_more({"type": "string"}),
]
System = Annotated[str, _one_of(SYSTEMS, "system that driftd knows")]
Systems = Annotated[list[System], BeforeValidator(_several), Field(min_length=1), _words(SYSTEMS)]
Kind = Annotated[str, _one_of(KINDS, "kind")]
Kinds = Annotated[list[Kind], BeforeValidator(_several), Field(min_length=1), _words(KINDS)]
SessionKind = Annotated[str, _one_of(("", *answers.KINDS), "kind of session")]
SessionKinds = Annotated[
    list[SessionKind], BeforeValidator(_several), Field(min_length=1), _words(("", *answers.KINDS))
]
Changes = Annotated[list[Change], BeforeValidator(_several), Field(min_length=1), _words(Change)]
Format = Annotated[str, _one_of(FORMATS, "format"), WithJsonSchema({"type": "string", "enum": list(FORMATS)})]
Layer = Annotated[str, _one_of(LAYERS, "layer"), WithJsonSchema({"type": "string", "enum": list(LAYERS)})]
Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SessionMatch(_Strict):
    """Which sessions: each field given must fit."""

    door: Texts | None = None
    kind: SessionKinds | None = None
    user: Texts | None = None
    source: Texts | None = None
    key: Texts | None = None
    key_id: Texts | None = None
    evidence: Texts | None = None


class TransactionMatch(_Strict):
    """What a package transaction explains: of one of these packages (none: of any), known to be so at least."""

    package: Texts | None = None
    level: Literal["claimed", "verified"] = "verified"


class MatchModel(_Strict):
    """What a rule speaks of: each field given must fit; of several values, any one."""

    path: Texts | None = None
    kind: Kinds | None = None
    change: Changes | None = None
    account: Texts | None = None
    at: Texts | None = None
    binfmt: Texts | None = None
    bpf: Texts | None = None
    container: Texts | None = None
    cron: Texts | None = None
    firewall: Texts | None = None
    group: Texts | None = None
    hostkey: Texts | None = None
    kernel: Texts | None = None
    key: Texts | None = None
    listener: Texts | None = None
    module: Texts | None = None
    mount: Texts | None = None
    nss: Texts | None = None
    package: Texts | None = None
    pam: Texts | None = None
    preload: Texts | None = None
    process: Texts | None = None
    sshd: Texts | None = None
    sudo: Texts | None = None
    sysctl: Texts | None = None
    unit: Texts | None = None
    session: SessionMatch | None = None
    transaction: TransactionMatch | None = None
    fields: dict[Word, Values] | None = None


class RuleModel(_Strict):
    """One rule: either ``expect``, or ``severity`` and ``action``."""

    id: Word
    match: MatchModel
    because: Text
    expect: Expect | None = None
    template: str | None = None
    pattern: Text | None = None
    severity: Severity | None = None
    action: Action | None = None
    owner: str = ""
    expires: Annotated[date, BeforeValidator(_day)] | None = None
    evidence: Texts | None = None


class WhenModel(_Strict):
    """What an image must contain for ``auto`` to choose the document: each key given; of several values, any one."""

    packages: Texts | None = None
    paths: Texts | None = None
    os: Systems | None = None


class ShowModel(_Strict):
    """Files whose contents a finding may show, how they are read, and the fields that are taken out before."""

    path: Texts
    format: Format = "text"
    secrets: Texts | None = None


class PackModel(_Strict):
    """One document."""

    schema_: Literal["driftd.policy/1"] = Field(alias="schema")
    name: Word
    description: str = ""
    when: WhenModel | None = None
    layer: Layer = "service"
    show: list[ShowModel] = Field(default=[], max_length=1000)
    rules: list[RuleModel] = Field(max_length=10000)


def policy_schema() -> dict[str, Any]:
    """The JSON Schema of a policy document, for editors (docs/policy.schema.json)."""
    made = PackModel.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA, **made}
