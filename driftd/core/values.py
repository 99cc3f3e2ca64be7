"""Values of an answer: facts, sessions, clues, each held to its shape, since an instance may have forged it.

Everything here raises ``WireError`` for what is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from sys import intern
from typing import Any

from driftd.core import confidence
from driftd.core.clues import Clue, Readings
from driftd.core.facts import CUT_SHORT, Fact, Kept, Session
from driftd.core.framing import text
from driftd.probe.wire import WireError, unpack

_DOORS = ("ssh", "console", "su", "sudo", "exec", "cloud", "service")
_TEXT_LIMIT = 64 * 1024
_HOWS = ("not available", "not permitted", CUT_SHORT)
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,31}")  # a kind of fact, the name of a field
_ORDER = attrgetter("kind", "name", "fields")  # of facts, as they compare
_FIELDS_LIMIT = 64  # of one fact
_WHY_LIMIT = 500
_ALIKE = 1024  # bytes of a row: no instance is to fill the memory with larger ones


def string(value: object) -> str:
    """A text, of whatever bytes."""
    if not isinstance(value, bytes) or len(value) > _TEXT_LIMIT:
        raise WireError("a text is not one, or too long")
    return text(value)


def number(value: object, below: int = 1 << 32) -> int:
    """An integer from 0 to ``below``, that one not included."""
    if not isinstance(value, int) or not 0 <= value < below:
        raise WireError("a number is not one, or out of bounds")
    return value


def _row(value: object, length: int) -> list[Any]:
    if not isinstance(value, list) or len(value) != length:
        raise WireError("a row of facts has not the right fields")
    return value


def time(value: object) -> datetime:
    """Seconds since 1970."""
    return datetime.fromtimestamp(number(value, 253402300800), UTC)  # up to the year 9999


def _choice(value: object, choices: Collection[str]) -> str:
    text = string(value)
    if text not in choices:
        raise WireError("a fact says what no probe says")
    return text


def _word(value: object) -> str:
    text = string(value)
    if not _WORD.fullmatch(text):
        raise WireError("a word of the facts is not one, or too long")
    return intern(text)  # there are few of them, a great many times


def _fact(value: object) -> Fact:
    """A fact, whatever its kind; kinds and fields that are unknown may be new."""
    kind, name, fields = _row(value, 3)
    if not isinstance(fields, dict) or len(fields) > _FIELDS_LIMIT or not all(fields.values()):
        raise WireError("a fact has not the right fields")
    found = tuple(sorted((_word(key), string(one)) for key, one in fields.items()))
    return Fact(_word(kind), string(name), found)


def sorted_facts(facts: Iterable[Fact], looked: Collection[str]) -> tuple[Fact, ...]:
    """The facts in their order, each of a kind that was looked for."""
    found = set(facts)
    if not {fact.kind for fact in found} <= set(looked):
        raise WireError("a fact is of a kind that was not looked for")
    return tuple(sorted(found, key=_ORDER))


def _kept(value: object) -> Kept:
    kind, how, why = _row(value, 3)
    return Kept(_word(kind), _choice(how, _HOWS), string(why)[:_WHY_LIMIT])


_SESSION_FIELDS = frozenset(
    b"door user source port key key_id started ended tty pid live ancestor evidence kind number".split(),
)


def _session(value: object) -> Session:
    if not isinstance(value, dict) or value.keys() != _SESSION_FIELDS:
        raise WireError("a session has not the right fields")
    return Session(
        door=_choice(value[b"door"], _DOORS),
        user=string(value[b"user"]),
        source=string(value[b"source"]),
        started_at=time(value[b"started"]),
        port=number(value[b"port"], 65536),
        ended_at=time(value[b"ended"]) if value[b"ended"] else None,
        key=string(value[b"key"]),
        key_id=string(value[b"key_id"]),
        tty=string(value[b"tty"]),
        pid=number(value[b"pid"]),
        live=bool(number(value[b"live"], 2)),
        ancestor=bool(number(value[b"ancestor"], 2)),
        evidence=string(value[b"evidence"]),
        kind=_choice(value[b"kind"], confidence.KINDS),
        number=number(value[b"number"]),
    )


_CLUE_FIELDS = frozenset(b"source door user peer port tty pid number started ended live note".split())


def _clue(value: object) -> Clue:
    if not isinstance(value, dict) or value.keys() != _CLUE_FIELDS:
        raise WireError("a clue has not the right fields")
    return Clue(
        source=_word(value[b"source"]),
        door=_choice(value[b"door"], _DOORS),
        user=string(value[b"user"]),
        started_at=time(value[b"started"]),
        peer=string(value[b"peer"]),
        port=number(value[b"port"], 65536),
        tty=string(value[b"tty"]),
        pid=number(value[b"pid"]),
        number=number(value[b"number"]),
        ended_at=time(value[b"ended"]) if value[b"ended"] else None,
        live=bool(number(value[b"live"], 2)),
        note=string(value[b"note"]),
    )


def _read(value: object) -> tuple[str, datetime]:
    source, since = _row(value, 2)
    return _word(source), time(since)


def readings(rows: dict[bytes, list[Any]]) -> Readings:
    """What the rows of a SESSIONS message say besides sessions."""
    since = dict(rows.get(b"reads", ()))
    counted = since.pop("counter", None) is not None
    return Readings(tuple(rows.get(b"clues", ())), since, tuple(sorted(rows.get(b"opened", ()))), counted)


ROWS: dict[bytes, Callable[[object], object]] = {
    b"clues": _clue,
    b"reads": _read,
    b"opened": time,
    b"facts": _fact,
    b"looked": _word,
    b"kept": _kept,
    b"sessions": _session,
}


def fact_of(row: bytes) -> Fact:
    """A fact from its packed row; of many instances most are alike."""
    return _fact_alike(row) if len(row) <= _ALIKE else _fact(unpack(row))


@lru_cache(maxsize=1 << 15)
def _fact_alike(row: bytes) -> Fact:
    return _fact(unpack(row))


def message(payload: bytes) -> dict[bytes, list[Any]]:
    """A FACTS message: its rows by their list."""
    found = unpack(payload)
    if not isinstance(found, dict):
        raise WireError("a message is not a dictionary")
    return {key: [ROWS[key](row) for row in found.get(key, ())] for key in (b"facts", b"looked", b"kept")}
