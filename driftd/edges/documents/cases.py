"""Cases on disk: differences that a policy is to judge in a known way (docs/policy.md). The file's name says the case.

YAML as people write it, or JSON as ``driftd policy record`` does. A text is UTF-8, or ``{base64: …}`` where it is not.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from driftd.core import strictjson
from driftd.core.classes import EXACT, Expected
from driftd.core.classes import parse as parse_class
from driftd.core.difference import Change, Difference
from driftd.core.errors import BadInput
from driftd.core.facts import fact
from driftd.core.findings import Action, Finding, Severity, Verdict
from driftd.core.manifest import Manifest
from driftd.core.trial import Case, Wanted
from driftd.edges.documents.files import read, write
from driftd.edges.documents.policymodels import KINDS
from driftd.edges.documents.refusals import unread, unwritten
from driftd.probe import wire
from driftd.probe.wire import Entry
from driftd.yamltext import Located, complaint, parse

SCHEMA = "driftd.case/1"
SUFFIXES = (".yaml", ".yml", ".json")
JSON_LIMIT = 64 * 1024 * 1024
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def _text(value: Any) -> Any:
    """``{base64: …}`` as the bytes that it stands for."""
    if not isinstance(value, dict):
        return value
    if set(value) != {"base64"} or not isinstance(value["base64"], str):
        raise ValueError("write a text, or {base64: …}")
    try:
        return base64.b64decode(value["base64"], validate=True)
    except binascii.Error:
        raise ValueError(f"{value['base64'][:40]!r} is not base64") from None


def _kind(value: str) -> str:
    if value not in KINDS:
        raise ValueError(f"{value!r} is no kind of difference")
    return value


Raw = Annotated[str | bytes, BeforeValidator(_text)]
Kind = Annotated[str, AfterValidator(_kind)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DifferenceModel(_Strict):
    """``broken`` says that it does not keep to what is expected of it, as only a look could find out."""

    kind: Kind
    subject: Raw
    change: Change
    expected: dict[str, Raw] = Field(default={})
    actual: dict[str, Raw] = Field(default={})
    broken: bool = False


class WantedModel(_Strict):
    """A finding, or what is explained: its subject, and of the rest what is given."""

    subject: Raw
    kind: Kind | None = None
    rule: str | None = None
    severity: Severity | None = None
    action: Action | None = None


class ExpectModel(_Strict):
    """What is to come of it. ``findings`` are all that there are; ``explained`` is among what is."""

    verdict: Verdict | None = None
    findings: list[WantedModel] | None = None
    explained: list[WantedModel] = []


class ImageModel(_Strict):
    """What ``auto`` and the manifest's classes are to know of the image."""

    name: str = "the image"
    packages: list[str] = []
    paths: list[Raw] = []
    classes: dict[str, str] = {}


class CaseModel(_Strict):
    """One case."""

    schema_: Literal["driftd.case/1"] = Field(alias="schema")
    about: str = ""
    policy: list[str] = []
    group: str = ""
    at: date | None = None
    image: ImageModel = ImageModel()
    differences: list[DifferenceModel]
    expect: ExpectModel


def case_files(places: Iterable[Path]) -> list[Path]:
    """Every case in these files and directories, by name. Raises BadInput where there is none."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = sorted(file for file in place.rglob("*") if file.suffix in SUFFIXES and file.is_file())
            if not inside:
                raise BadInput(f"{place}: there is no case in it", "a case is a .yaml or .json file (docs/policy.md)")
            found += inside
        else:
            found.append(place)
    return found


def load_case(file: Path) -> Case:
    """The case in ``file``. Raises BadInput with file, line (of YAML) and reason."""
    document = _read(file)
    if not isinstance(document.value, dict):
        raise BadInput(f"{file}:1: a case is a mapping", f'begin with "schema: {SCHEMA}"')
    try:
        model = CaseModel.model_validate(document.value)
        classes = {_bytes(path): parse_class(word) for path, word in model.image.classes.items()}
    except ValidationError as error:
        raise complaint(error, document, CaseModel) from None
    except ValueError as error:
        line = document.line(("image", "classes"))
        raise BadInput(
            f"{file}:{line}: {str(error)!r} is no class of a manifest", "docs/manifest.md lists them"
        ) from None
    expect = model.expect
    return Case(
        name=file.stem,
        differences=tuple(_difference(one) for one in model.differences),
        manifest=_manifest(model.image, classes),
        verdict=expect.verdict,
        findings=None if expect.findings is None else tuple(_wanted(one) for one in expect.findings),
        explained=tuple(_wanted(one) for one in expect.explained),
        policy=tuple(model.policy),
        group=model.group,
        at=datetime.combine(model.at, time(12), UTC) if model.at else None,
        broken=frozenset((one.kind, _bytes(one.subject), str(one.change)) for one in model.differences if one.broken),
    )


def _read(file: Path) -> Located:
    try:
        raw = read(file, JSON_LIMIT + 1)
        if len(raw) > JSON_LIMIT:
            raise BadInput(f"{file} is larger than a case may be ({JSON_LIMIT} bytes)", "record it in parts")
        if file.suffix == ".json":
            return Located(strictjson.read(raw), str(file), {(): 1})
        return parse(raw.decode("utf-8"), str(file))
    except OSError as error:
        raise unread(file, error) from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: not UTF-8 (byte {error.start + 1})", "save it as UTF-8") from None
    except ValueError as error:
        raise BadInput(f"{file}: {error}", "mend it, or record it anew: driftd policy record") from None


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _str(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "surrogateescape")


def _difference(model: DifferenceModel) -> Difference:
    expected = {name: _str(value) for name, value in model.expected.items()}
    actual = {name: _str(value) for name, value in model.actual.items()}
    return Difference(model.kind, _bytes(model.subject), model.change, expected, actual)


def _wanted(model: WantedModel) -> Wanted:
    return Wanted(_bytes(model.subject), model.kind, model.rule, model.severity, model.action)


def _manifest(image: ImageModel, classes: Mapping[bytes, Expected]) -> Manifest:
    """Only what is asked of it: which packages and paths there are, and of which class."""
    paths = sorted({_bytes(path) for path in image.paths})
    return Manifest(
        image=image.name,
        entries=tuple(Entry(path, wire.FILE, 0o644, 0, 0, 0, b"", b"", (0, 0), ()) for path in paths),
        facts=tuple(sorted(fact("package", name, source="recorded") for name in image.packages)),
        looked=("package",),
        root=b"",
        classes=classes,
    )


# --- recording -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recorded:
    """A look, to be kept as a case: what came of it is what is expected from then on."""

    name: str
    about: str
    group: str
    manifest: Manifest
    asked_paths: Sequence[bytes]
    verdict: Verdict
    findings: Sequence[Finding]
    explained: Sequence[Finding]
    broken: frozenset[tuple[str, bytes, str]]


def write_case(directory: Path, look: Recorded) -> Path:
    """Write it as JSON, called by its name. Raises BadInput when the disk refuses."""
    file = directory / f"{_NAME.sub('-', look.name).strip('-.') or 'case'}.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write(file, strictjson.pretty(_values(look)))
    except OSError as error:
        raise unwritten(file, error) from None
    return file


def _values(look: Recorded) -> dict[str, object]:
    manifest, seen = look.manifest, (*look.findings, *look.explained)
    differ = {one.subject for one in seen}
    there = {entry.path for entry in manifest.entries}
    return {
        "schema": SCHEMA,
        "about": look.about,
        "group": look.group,
        "image": {
            "name": manifest.image,
            "packages": sorted({one.name for one in manifest.facts if one.kind == "package"}),
            "paths": [_written(path) for path in sorted(set(look.asked_paths) & there)],
            "classes": {
                _str(path): given.word
                for path in sorted(differ & manifest.classes.keys())
                if (given := manifest.class_of(path)) != EXACT and _is_text(path)
            },
        },
        "differences": [
            {
                "kind": one.kind,
                "subject": _written(one.subject),
                "change": one.change.value,
                "expected": {name: _written(_bytes(value)) for name, value in one.expected.items()},
                "actual": {name: _written(_bytes(value)) for name, value in one.actual.items()},
                **({"broken": True} if (one.kind, one.subject, str(one.change)) in look.broken else {}),
            }
            for one in seen
        ],
        "expect": {
            "verdict": look.verdict.value,
            "findings": [_kept(one) for one in look.findings],
            "explained": [_kept(one) for one in look.explained],
        },
    }


def _kept(finding: Finding) -> dict[str, object]:
    return {"kind": finding.kind, "subject": _written(finding.subject)}


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _written(raw: bytes) -> object:
    return raw.decode("utf-8") if _is_text(raw) else {"base64": base64.b64encode(raw).decode("ascii")}
