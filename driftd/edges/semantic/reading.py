"""Reading a configuration file by its format: as plain values (dict, list, str, …) that mean the same when equal.

What stands in no way for anything (comments, white space, an order that nobody reads) is not in a document; where an
order decides, it is. What is not read the way its program would read it raises ``UnreadableError``.
"""

from __future__ import annotations

import configparser
import json
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from driftd.core.errors import BadInput
from driftd.edges.semantic import tables, units
from driftd.edges.semantic.document import Document, UnreadableError, lines_of
from driftd.edges.semantic.sshd import sshd_config
from driftd.yamltext import parse

__all__ = ["READERS", "Document", "UnreadableError"]


_YAML_LIMIT = 16 * 1024  # characters: its reader takes a second for a few times as many


def _yaml(text: str) -> Document:
    if len(text) > _YAML_LIMIT:
        raise UnreadableError
    try:
        return Document(parse(text, "").value)
    except BadInput:
        raise UnreadableError from None


def _json(text: str) -> Document:
    try:
        # Numbers as they are written: 1 and 1.0 are two things to some programs.
        value = json.loads(
            text, object_pairs_hook=_once, parse_int=_Number, parse_float=_Number, parse_constant=_Number
        )
    except (ValueError, RecursionError):
        raise UnreadableError from None
    return Document(value)


class _Number(str):
    __slots__ = ()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnreadableError
    return found


def _toml(text: str) -> Document:
    try:
        return Document(tomllib.loads(text))
    except (ValueError, RecursionError):
        raise UnreadableError from None


def _ini(text: str) -> Document:
    parser = configparser.RawConfigParser(strict=True, allow_no_value=True, inline_comment_prefixes=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    try:
        parser.read_string("\n".join(lines_of(text)))
    except (configparser.Error, ValueError, AttributeError):
        raise UnreadableError from None
    value = {name: dict(section) for name, section in parser.items() if section or name != parser.default_section}
    return Document(value, sections=True)


READERS: Mapping[str, Callable[[str], Document]] = {
    "crontab": tables.crontab,
    "fstab": tables.fstab,
    "group": tables.group,
    "hosts": tables.hosts,
    "ini": _ini,
    "json": _json,
    "keyvalue": tables.keyvalue,
    "passwd": tables.passwd,
    "sshd_config": sshd_config,
    "sysctl": tables.sysctl,
    "toml": _toml,
    "unit": units.unit,
    "yaml": _yaml,
}
