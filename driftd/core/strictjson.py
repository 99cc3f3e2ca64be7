"""JSON from strangers: one value, no name twice, nothing that is no JSON; every failure is one ValueError."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def read(data: bytes) -> object:
    """The value that ``data`` is the text of, in UTF-8. Raises ValueError, with a clause for a sentence."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON (line {error.lineno})") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands in it twice")
    return made


def _constant(word: str) -> object:
    raise ValueError(f"{word} is not JSON")


def compact(value: object) -> bytes:
    """One line, names sorted, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def pretty(value: object) -> bytes:
    """For a file that people look at: two spaces of indent, names sorted, ASCII, a line feed at the end."""
    return json.dumps(value, sort_keys=True, indent=2, allow_nan=False).encode("ascii") + b"\n"


def field(value: object, name: str, kind: type) -> Any:
    """``value[name]``, which must be there and of this kind; True is no number. Raises ValueError."""
    if not isinstance(value, Mapping) or name not in value:
        raise ValueError(f"it has no {name!r}")
    found = value[name]
    if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
        raise ValueError(f"its {name!r} is not what it should be")
    return found
