"""Policy documents: YAML as people write it (docs/policy.md), read into the core's rules.

A document that is named later is asked first, so that a group's own file, named after the packs, has the last word.
Within a document the rules are asked from top to bottom.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

import driftd
from driftd.core import globs
from driftd.core.difference import Change
from driftd.core.errors import BadInput
from driftd.core.expect import PATH_KINDS, TEMPLATES, Expect
from driftd.core.facts import FACT_KINDS
from driftd.core.findings import Action, Severity
from driftd.core.globs import BadGlobError, Glob
from driftd.core.policy import NO_PATHS, Match, Policy, Rule, Source, too_broad
from driftd.yamltext import Located, complaint, parse

SCHEMA = "driftd.policy/1"
SUFFIXES = (".yaml", ".yml")
KINDS = (*sorted(PATH_KINDS), *FACT_KINDS, "session")  # what a difference may be about
_NARROWER = "name the files one by one; only a file's own name may have a wildcard there, after three plain letters"


def _kind(value: str) -> str:
    if value not in KINDS:
        raise ValueError(f"{value!r} is no kind; write one of: {', '.join(KINDS)}")
    return value


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
Kind = Annotated[str, AfterValidator(_kind)]
Kinds = Annotated[list[Kind], BeforeValidator(_several), Field(min_length=1), _words(KINDS)]
Changes = Annotated[list[Change], BeforeValidator(_several), Field(min_length=1), _words(Change)]
Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SessionMatch(_Strict):
    """Which sessions: each field given must fit."""

    door: Texts | None = None
    user: Texts | None = None
    source: Texts | None = None
    key: Texts | None = None
    key_id: Texts | None = None
    evidence: Texts | None = None


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
    fields: dict[Word, Values] | None = None


class RuleModel(_Strict):
    """One rule: either ``expect``, or ``severity`` and ``action``."""

    id: Word
    match: MatchModel
    because: Text
    expect: Expect | None = None
    template: str | None = None
    severity: Severity | None = None
    action: Action | None = None
    owner: str = ""
    expires: Annotated[date, BeforeValidator(_day)] | None = None


class PackModel(_Strict):
    """One document."""

    schema_: Literal["driftd.policy/1"] = Field(alias="schema")
    name: Word
    description: str = ""
    rules: list[RuleModel] = Field(max_length=10000)


def policy_schema() -> dict[str, Any]:
    """The JSON Schema of a policy document, for editors (docs/policy.schema.json)."""
    made = PackModel.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA, **made}


# --- finding ---------------------------------------------------------------------------------------------------------


def packs() -> dict[str, Path]:
    """The packs that come with driftd, by name: in the installed package, or beside it where it is checked out."""
    package = Path(driftd.__file__).parent
    for directory in (package / "policies", package.parent / "policies"):
        if directory.is_dir():
            return {file.stem: file for file in sorted(directory.glob("*.yaml"))}
    return {}


def load_policy(names: Sequence[str], base: Path | None = None) -> Policy:
    """The policy that ``names`` amount to: packs by their name, files by their path (relative to ``base``).

    Raises BadInput with file, line and remedy.
    """
    rules: list[Rule] = []
    seen: dict[str, str] = {}
    for name in names:
        file = _find(name, base or Path())
        if str(file) in seen:
            raise BadInput(f"the policy {name!r} is named twice", "name it once, after what it overrides")
        seen[str(file)] = name
        pack = _load(file)
        rules[:0] = pack
    return Policy(tuple(rules), tuple(names))


def _find(name: str, base: Path) -> Path:
    if "/" in name or name.endswith(SUFFIXES):
        return base / name
    known = packs()
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"packs: {', '.join(known)}; a file is named with its .yaml"
    raise BadInput(f"there is no policy pack {name!r}", hint)


def _load(file: Path) -> list[Rule]:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: not UTF-8 (byte {error.start + 1})", "save it as UTF-8") from None
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from None
    document = parse(text, str(file))
    if not isinstance(document.value, dict):
        raise BadInput(f"{file}:1: a policy is a mapping", f'begin with "schema: {SCHEMA}"')
    try:
        pack = PackModel.model_validate(document.value)
    except ValidationError as error:
        raise complaint(error, document, PackModel) from None
    return [_Reading(document, pack, index).rule() for index in range(len(pack.rules))]


# --- reading one rule ------------------------------------------------------------------------------------------------


class _Reading:
    """One rule of a document, on its way into the core; complains with the line."""

    def __init__(self, document: Located, pack: PackModel, index: int) -> None:
        self._document = document
        self._pack = pack
        self._index = index
        self._model = pack.rules[index]

    def rule(self) -> Rule:
        model = self._model
        if any(other.id == model.id for other in self._pack.rules[: self._index]):
            raise self._bad("id", f"another rule above is called {model.id!r}", "give each rule a name of its own")
        if not model.because.strip():
            raise self._bad("because", "it gives no reason", "say why this may be so, for whoever reads it next year")
        self._check_outcome()
        rule = Rule(
            pack=self._pack.name,
            id=model.id,
            match=self._match(),
            because=" ".join(model.because.split()),
            where=f"{self._document.name}:{self._line()}",
            expect=model.expect,
            template=model.template or "",
            severity=model.severity,
            action=model.action,
            owner=model.owner,
            expires=model.expires,
        )
        if rule.expect and rule.match.covers() & NO_PATHS:
            raise self._bad("expect", "expectations are about paths", "use action: explain, or match a path")
        why = too_broad(rule)
        if why:
            raise self._bad("match", why, _NARROWER if rule.match.paths else "say which ones, by name")
        return rule

    def _line(self, *place: str | int) -> int:
        return self._document.line(("rules", self._index, *place))

    def _bad(self, field: str, what: str, hint: str, *place: str | int) -> BadInput:
        where = self._line(field, *place)
        return BadInput(f"{self._document.name}:{where}: rule {self._model.id!r}: {what}", hint)

    def _check_outcome(self) -> None:
        model = self._model
        if model.expect is not None and (model.severity or model.action):
            raise self._bad("expect", "it has both expect and severity or action", "keep one of the two")
        if model.expect is None and model.severity is None and model.action is None:
            raise self._bad("id", "it says what it matches and not what then", "add expect, or severity and action")
        if model.template is not None and model.expect is not Expect.TEMPLATE:
            raise self._bad("template", "template goes with expect: template", "say expect: template, or remove it")
        if model.expect is Expect.TEMPLATE and model.template not in TEMPLATES:
            known = f"known: {', '.join(TEMPLATES)}"
            if model.template is None:
                raise self._bad("expect", "it does not say which template", known)
            raise self._bad("template", f"there is no template {model.template!r}", known)

    def _match(self) -> Match:
        model = self._model.match
        if not model.model_fields_set:
            raise self._bad(
                "match", "it matches everything", "say which path or kind, or which package, account, listener"
            )
        about = [name for name in (*FACT_KINDS, "session") if getattr(model, name) is not None]
        if len(about) + (model.path is not None) > 1:
            both = " and ".join([*(["path"] if model.path is not None else []), *about])
            raise self._bad("match", f"nothing is {both} at once", "write a rule for each")
        if model.fields and (model.path is not None or model.session is not None):
            raise self._bad("match", "fields are of facts, not of paths or sessions", "remove fields, or the other")
        match = Match(
            paths=self._globs("path", model.path, globs.path),
            kinds=frozenset(model.kind or ()),
            changes=frozenset(model.change or ()),
            facts={
                kind: self._globs(kind, getattr(model, kind), globs.word)
                for kind in FACT_KINDS
                if getattr(model, kind) is not None
            },
            fields={
                name: self._globs("fields", texts, globs.word) for name, texts in sorted((model.fields or {}).items())
            },
            session=self._session(model.session),
        )
        if not match.covers():
            raise self._bad("match", "no difference is of this kind and this path at once", "remove one of the two")
        return match

    def _globs(self, field: str, texts: Sequence[str] | None, read: Callable[[str], Glob]) -> tuple[Glob, ...]:
        found = []
        for at, text in enumerate(texts or ()):
            try:
                found.append(read(text))
            except BadGlobError as error:
                raise self._bad(
                    "match", f"{text!r}: {error}", "docs/policy.md tells how globs are written", field, at
                ) from None
        return tuple(found)

    def _session(self, model: SessionMatch | None) -> dict[str, tuple[Glob | Source, ...]]:
        if model is None:
            return {}
        if not model.model_fields_set:
            raise self._bad("match", "session names no field", "add door, user, source, key, key_id or evidence")
        found: dict[str, tuple[Glob | Source, ...]] = {}
        for field in sorted(model.model_fields_set):
            compiled = self._globs(field, getattr(model, field), globs.word)
            found[field] = tuple(map(_source, compiled)) if field == "source" else compiled
        return found


def _source(glob: Glob) -> Source:
    try:
        return Source(ipaddress.ip_network(glob.text), glob)
    except ValueError:
        return Source(None, glob)
