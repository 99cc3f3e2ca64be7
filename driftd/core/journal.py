"""The journal's lines: their bytes and their hashes (docs/journal.md tells a stranger; core/chain.py checks many).

A line's hash is SHA-256 over canonical JSON of everything else in it. Of schema 2 that is ``{"at", "body", "epoch",
"kind", "prev", "schema", "seq", "subject"}``; lines from before epochs were written (schema 1) have neither ``epoch``
nor ``schema``. Canonical: UTF-8, keys sorted by code point, no space between tokens, whole numbers only, times as
``2026-01-31T08:00:00.000000Z``. A character that UTF-8 cannot carry (a lone surrogate, as undecodable bytes become in
Python) is written as its JSON escape. ``prev`` is the hash of the line before; the first line's is ``GENESIS``.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from driftd.core.memory import JournalLine

GENESIS = "0" * 64
# Below any number that a line can have, so that a line with an impossible one is read, too, and found.
BEFORE_ALL = -(2**63)
# What lines are written in now, and what the first ones were. Old lines stay as they are, and still verify.
SCHEMA = 2
OLDEST = 1
KINDS = frozenset({"intent", "result", "observation", "decision", "human"})

# What an instant that cannot be read becomes, so that a damaged line can still be shown, and fails its hash.
UNREADABLE_INSTANT = datetime.min.replace(tzinfo=UTC)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _no_fraction(text: str) -> object:
    raise ValueError(f"canonical JSON has no fractions: {text}")


_DECODER = json.JSONDecoder(parse_float=_no_fraction, parse_constant=_no_fraction)


def instant(at: datetime) -> str:
    """``at`` as it stands in canonical JSON: UTC, always six decimals, so that text order is time order."""
    if at.tzinfo is None:
        raise TypeError("a time without a zone cannot be kept")
    there = at if at.tzinfo is UTC else at.astimezone(UTC)
    return there.isoformat(timespec="microseconds")[:-6] + "Z"  # without +00:00


def read_instant(text: object) -> datetime | None:
    """The time that ``instant`` wrote; None for any other text."""
    if not isinstance(text, str) or not text.endswith("Z"):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if instant(at) == text else None


def joined(text: str) -> str:
    """``text`` with a high and a low surrogate side by side made one character, as any JSON reader would make them."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return text


def plain(value: object) -> object:
    """``value`` as canonical JSON reads back: times become text, bytes ``{"base64": …}``; TypeError for a fraction."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return joined(str(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, datetime):
        return instant(value)
    return _plain_compound(value)


def _plain_compound(value: object) -> object:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    raise TypeError(f"canonical JSON has no {type(value).__name__}: give whole numbers, text, times, lists or mappings")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"canonical JSON has only text as keys, not {type(key).__name__}")
    return joined(str(key))


def canonical(value: object) -> bytes:
    """The one encoding of ``value``. Raises TypeError for what ``plain`` refuses."""
    return _ENCODER.encode(plain(value)).encode("utf-8", "backslashreplace")


def read_canonical(text: object) -> object | None:
    """The value of canonical JSON; None when ``text`` is not byte for byte what ``canonical`` writes."""
    if not isinstance(text, str):
        return None
    try:
        value: object = _DECODER.decode(text)
        # What has neither fractions nor escaped characters is plain as it was read.
        ours = _ENCODER.encode(value) == text if text.isascii() and "\\u" not in text else False
        same = ours or canonical(value) == text.encode()
    except (ValueError, TypeError, RecursionError):
        return None
    return value if same else None


def read_body(text: object) -> Mapping[str, object]:
    """A line's body as stored; a body that is not canonical is kept as evidence, and then fails its line's hash."""
    value = read_canonical(text)
    return value if isinstance(value, dict) else {"unreadable": repr(text)}


def values_of(line: JournalLine) -> dict[str, object]:
    """What is hashed."""
    values: dict[str, object] = {
        "at": line.at,
        "body": line.body,
        "kind": line.kind,
        "prev": line.prev,
        "seq": line.seq,
        "subject": line.subject,
    }
    if line.schema == OLDEST and not line.epoch:
        return values
    # A line of the oldest schema has no epoch; one that has been given it no longer fits its hash.
    return values | {"epoch": line.epoch, "schema": line.schema}


def line_hash(line: JournalLine) -> str:
    """The hash that ``line`` should carry, from everything else in it."""
    return hashlib.sha256(canonical(values_of(line))).hexdigest()


def exported(line: JournalLine) -> str:
    """A line as a stranger can check it: canonical JSON of everything in it, ``hash`` included."""
    return canonical(values_of(line) | {"hash": line.hash}).decode()


def next_line(
    last: JournalLine | None, kind: str, subject: str, body: Mapping[str, object], now: datetime, epoch: int = 0
) -> JournalLine:
    """The line that follows ``last`` (None: the first). Its body is as it will be read back."""
    if kind not in KINDS:
        raise ValueError(f"a journal line is one of {', '.join(sorted(KINDS))}, not {kind!r}")
    kept = json.loads(canonical(dict(body)))
    seq, prev = (last.seq + 1, last.hash) if last else (1, GENESIS)
    bare = JournalLine(seq, now.astimezone(UTC), kind, joined(subject), kept, prev, "", epoch, SCHEMA)
    return replace(bare, hash=line_hash(bare))
