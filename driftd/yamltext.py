"""YAML that a person wrote: read into plain values, each with its line, so that a complaint can point at it.

Only what a configuration needs: no tags, no anchors and aliases (so no value can explode), no duplicate keys.
The reader is ruamel.yaml's pure YAML 1.2 one.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, ScalarEvent

from driftd.core.errors import BadInput

SIZE_LIMIT = 1024 * 1024
DEPTH_LIMIT = 32
# Reading takes some ten microseconds for each; a document of this many is read in a few seconds.
VALUES_LIMIT = 50_000
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Located:
    """A document's plain value (dict, list, str, int, float, bool or None) and the line of every place in it."""

    value: Any
    name: str
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """The line of ``place``, or of the nearest place around it that the document has."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def parse(text: str, name: str) -> Located:
    """Read one document. Raises BadInput with file and line."""
    if len(text) > SIZE_LIMIT:
        said = f"{name}: {len(text)} characters are more than a document may have ({SIZE_LIMIT})"
        raise BadInput(said, "make several of it")
    try:
        _refuse_cleverness(text, name)
        tree = YAML(typ="rt", pure=True).load(text)
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = str(error.problem).split(" with ")[0]
        raise BadInput(f"{name}:{line}: {problem}", "keep one of the two") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = f"{name}:{mark.line + 1 if mark else 1}: not YAML: {error.problem or error.context}"
        raise BadInput(said, "text with signs of YAML's own in it goes in quotes") from None
    except (YAMLError, ValueError, RecursionError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{name}:{_line_of_value(text)}: not YAML: {said}", "put the value in quotes") from None
    lines: dict[Place, int] = {(): 1}
    return Located(_plain(tree, (), lines, name), name, lines)


def _line_of_value(text: str) -> int:
    """The line of the first value that looks like a number or a day and cannot be read as one; else the first."""
    with contextlib.suppress(YAMLError, RecursionError):
        for event in YAML(typ="rt", pure=True).parse(text):
            if isinstance(event, ScalarEvent) and event.style is None and event.value[:1] in "-+.0123456789":
                try:
                    YAML(typ="rt", pure=True).load(event.value)
                except (YAMLError, ValueError):
                    return int(event.start_mark.line) + 1
    return 1


def _refuse_cleverness(text: str, name: str) -> None:
    depth = values = 0
    for event in YAML(typ="rt", pure=True).parse(text):
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise BadInput(f"{name}:{line}: anchors and aliases are not read here", "write the value out")
        tag = getattr(event, "tag", None)
        if tag is not None and str(tag) != "!":
            raise BadInput(f"{name}:{line}: the tag {tag} is not read here", "write a plain value")
        if isinstance(event, ScalarEvent) and event.style is None and event.value == "<<":
            raise BadInput(f"{name}:{line}: '<<' merges, and is not read here", "write the keys out")
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if depth > DEPTH_LIMIT:
            raise BadInput(f"{name}:{line}: nested deeper than {DEPTH_LIMIT} levels", "write it flatter")
        values += not kind.endswith("EndEvent")
        if values > VALUES_LIMIT:
            raise BadInput(f"{name}:{line}: a document has at most {VALUES_LIMIT} values", "make several of it")


def _plain(tree: Any, place: Place, lines: dict[Place, int], name: str) -> Any:
    if isinstance(tree, CommentedMap):
        result = {}
        for key, value in tree.items():
            line = tree.lc.data[key][0] + 1
            if not isinstance(key, str):
                raise BadInput(f"{name}:{line}: the key {key!r} is not text", "put it in quotes")
            lines[(*place, key)] = line
            result[key] = _plain(value, (*place, key), lines, name)
        return result
    if isinstance(tree, CommentedSeq):
        for index in range(len(tree)):
            lines[(*place, index)] = tree.lc.data[index][0] + 1
        return [_plain(value, (*place, index), lines, name) for index, value in enumerate(tree)]
    for plain in (bool, int, float, str):
        if isinstance(tree, plain):
            return plain(tree)
    if tree is None:
        return None
    if type(tree) is date:
        return tree.isoformat()
    raise BadInput(f"{name}:{lines.get(place, 1)}: {tree} is not text, a number, true or false", "put it in quotes")


def complaint(error: ValidationError, document: Located, model: type[BaseModel]) -> BadInput:
    """The first thing that pydantic has against ``document``, as one sentence with file, line, place and remedy."""
    first = error.errors(include_url=False)[0]
    place = tuple(_real(first["loc"], document.value))
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".")
    if first["type"] == "extra_forbidden":
        fields = _fields(model, place[:-1])
        close = difflib.get_close_matches(str(place[-1]), fields, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(sorted(fields))}"
        what = f"unknown key {where!r}"
    else:
        what, hint = f"{where}: {_sentence(first)}", _expected(first)
    return BadInput(f"{document.name}:{document.line(place)}: {what}", hint)


def _real(loc: Iterable[str | int], value: Any) -> Iterator[str | int]:
    """Only those parts of pydantic's location that stand in the document: it adds names of union members."""
    for part in loc:
        if isinstance(value, dict) and isinstance(part, str):
            yield part
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            yield part
            value = value[part]


def _fields(model: type[BaseModel], place: Place) -> list[str]:
    """The field names that ``model`` has at ``place``."""
    current: Any = model
    for part in place:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(part))
            current = field.annotation if field else None
        else:
            current = (getattr(current, "__args__", None) or (None,))[-1]
        for option in getattr(current, "__args__", ()):
            if (
                isinstance(option, type)
                and issubclass(option, BaseModel)
                and getattr(current, "__origin__", None) not in (list, dict, tuple)
            ):
                current = option
                break
    if isinstance(current, type) and issubclass(current, BaseModel):
        return [field.alias or name for name, field in current.model_fields.items() if not field.exclude]
    return []


def _sentence(first: ErrorDetails) -> str:
    if first["type"] == "missing":
        return "is required and not there"
    text = str(first["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return text[:1].lower() + text[1:]


def _expected(first: ErrorDetails) -> str:
    expected = (first.get("ctx") or {}).get("expected")
    return f"write one of: {expected}" if expected else ""
