"""Patterns of templates: regular expressions that no content can make slow, checked before any of them is used.

A pattern is matched where the file lies, on a server that may be hostile, so what is written in a policy must not give
that server a way to keep a look busy. Python's matcher goes back and tries again wherever a pattern could match in two
ways, for as long as there are ways. So a pattern has to be deterministic: at each point the next byte alone says which
part of the pattern it belongs to, and by which of its loops that part was reached (A. Brüggemann-Klein and D. Wood,
"One-unambiguous regular languages", 1998). Then nothing is tried twice, and time is linear in content and pattern.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# How ``re`` itself reads a pattern; nothing else tells that, and a reading of our own could differ from it.
_parser: Any = importlib.import_module("re._parser")
_MOST = 4096  # positions, repetitions written out
_SHOWN = 40
HOSTNAME = b"(?#hostname)"  # stands for the names of the instance (probe/asks.py), which are few
_NAMES = frozenset({256})  # ... and is none of the bytes
_PLACEHOLDER = b"\\x00"
_BYTES = frozenset(range(256))
_NEWLINE = 10
_LETTERS = {
    "CATEGORY_DIGIT": rb"\d",
    "CATEGORY_NOT_DIGIT": rb"\D",
    "CATEGORY_SPACE": rb"\s",
    "CATEGORY_NOT_SPACE": rb"\S",
    "CATEGORY_WORD": rb"\w",
    "CATEGORY_NOT_WORD": rb"\W",
}
_REFUSED = {
    "AT": "it has an anchor (^, $, \\b …), and it is held against the whole content anyway",
    "GROUPREF": "it refers back to what it matched before",
    "GROUPREF_EXISTS": "it depends on what it matched before",
    "ASSERT": "it looks ahead or behind",
    "ASSERT_NOT": "it looks ahead or behind",
    "ATOMIC_GROUP": "it has an atomic group, which older Pythons do not read",
    "POSSESSIVE_REPEAT": "it has a possessive repeat, which older Pythons do not read",
}


class _RefusedError(ValueError):
    """``str()`` says why, as a clause."""


@dataclass(frozen=True)
class _Part:
    """A piece of the pattern: whether it matches nothing, too, and the positions that it may begin and end with."""

    empty: bool
    first: tuple[int, ...]
    last: tuple[int, ...]


_NOTHING = _Part(True, (), ())  # noqa: FBT003  # "empty"


def why_not(pattern: str) -> str:
    """Why ``pattern`` is not to be used, as a clause; "" when it is fine."""
    raw = pattern.encode("utf-8", "surrogateescape")
    try:
        re.compile(raw)
        parsed = _parser.parse(raw.replace(HOSTNAME, _PLACEHOLDER))
        _Reading(parsed.state.flags).whole(parsed)
    except _RefusedError as refused:
        return str(refused)
    except (re.error, ValueError, OverflowError) as error:
        return f"it is no regular expression: {error}"
    except RecursionError:
        return "it is nested too deeply"
    return ""


class _Reading:
    """Goes through a parsed pattern once and knows, of each position, its bytes and what may follow it."""

    def __init__(self, flags: int) -> None:
        self._flags = flags
        self._bytes: list[frozenset[int]] = []
        self._follow: list[set[int]] = []

    def whole(self, parsed: Any) -> None:
        part = self._sequence(parsed, self._flags)
        self._decided(part.first)
        for after in self._follow:
            self._decided(after)

    def _decided(self, positions: Iterable[int]) -> None:
        """Of these one has to be chosen, and the next byte is all there is to choose by."""
        seen: set[int] = set()
        for position in sorted(positions):
            both = seen & self._bytes[position]
            if both:
                byte = min(both)
                shown = "the instance's name" if byte > 255 else repr(bytes([byte]))[1:]
                raise _RefusedError(
                    f"it can match {shown} in two ways at one place, which a hostile file could make slow"
                )
            seen |= self._bytes[position]

    # --- parts ---

    def _sequence(self, items: Any, flags: int) -> _Part:
        made = _NOTHING
        for operator, argument in items:
            made = self._joined(made, self._item(str(operator), argument, flags))
        return made

    def _joined(self, one: _Part, other: _Part) -> _Part:
        self._link(one.last, other.first)
        return _Part(
            one.empty and other.empty,
            one.first + other.first if one.empty else one.first,
            one.last + other.last if other.empty else other.last,
        )

    def _link(self, last: Sequence[int], first: Sequence[int]) -> None:
        for position in last:
            known = self._follow[position]
            if not known.isdisjoint(first):
                raise _RefusedError(
                    "a part of it that repeats lies in one that repeats, which a hostile file could make slow"
                )
            known.update(first)

    def _item(self, operator: str, argument: Any, flags: int) -> _Part:
        if operator in _REFUSED:
            raise _RefusedError(_REFUSED[operator])
        if operator == "SUBPATTERN":
            _, add, remove, inside = argument
            return self._sequence(inside, (flags | add) & ~remove)
        if operator == "BRANCH":
            parts = [self._sequence(branch, flags) for branch in argument[1]]
            if sum(part.empty for part in parts) > 1:
                raise _RefusedError(
                    "it can match nothing in two ways at one place, which a hostile file could make slow"
                )
            return _Part(
                any(part.empty for part in parts),
                tuple(one for part in parts for one in part.first),
                tuple(one for part in parts for one in part.last),
            )
        if operator in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, inside = argument
            return self._repeated(int(least), most, inside, flags)
        return self._position(_members(operator, argument, flags))

    def _repeated(self, least: int, most: Any, inside: Any, flags: int) -> _Part:
        endless = most is _parser.MAXREPEAT
        made = _NOTHING
        for _ in range(max(0, least - 1) if endless else least):
            made = self._joined(made, self._once(inside, flags))
        if endless:
            part = self._once(inside, flags)
            self._link(part.last, part.first)
            return self._joined(made, part if least else _Part(True, part.first, part.last))  # noqa: FBT003  # "empty"
        # One may follow another, each only where the one before it is: x(x(x)?)?
        rest = _NOTHING
        for _ in range(int(most) - least):
            part = self._once(inside, flags)
            whole = self._joined(part, rest)
            rest = _Part(True, whole.first, whole.last)  # noqa: FBT003  # "empty"
        return self._joined(made, rest)

    def _once(self, inside: Any, flags: int) -> _Part:
        part = self._sequence(inside, flags)
        if part.empty:
            raise _RefusedError("it repeats what can match nothing, which a hostile file could make slow")
        return part

    def _position(self, members: frozenset[int]) -> _Part:
        if len(self._bytes) >= _MOST:
            raise _RefusedError(f"written out it has more than {_MOST} parts")
        self._bytes.append(members)
        self._follow.append(set())
        here = (len(self._bytes) - 1,)
        return _Part(False, here, here)  # noqa: FBT003  # "empty"


def _members(operator: str, argument: Any, flags: int) -> frozenset[int]:
    """The bytes that one position matches."""
    if operator == "ANY":
        return _BYTES if flags & re.DOTALL else _BYTES - {_NEWLINE}
    if operator == "IN":
        negated = any(str(kind) == "NEGATE" for kind, _ in argument)
        found = frozenset().union(*(_one(str(kind), value) for kind, value in argument if str(kind) != "NEGATE"))
        found = _folded(found, flags)
        return _BYTES - found if negated else found
    if operator == "NOT_LITERAL":
        return _BYTES - _folded(frozenset({argument}), flags)
    if operator == "LITERAL":
        return _NAMES if argument == 0 else _folded(frozenset({argument}), flags)
    raise _RefusedError(f"it has a part that is not known here ({operator.lower()[:_SHOWN]})")


def _one(kind: str, value: Any) -> frozenset[int]:
    if kind == "RANGE":
        return frozenset(range(value[0], value[1] + 1))
    if kind == "CATEGORY":
        letter = re.compile(_LETTERS[str(value)])
        return frozenset(byte for byte in _BYTES if letter.match(bytes([byte])))
    return frozenset({value})


def _folded(members: frozenset[int], flags: int) -> frozenset[int]:
    if not flags & re.IGNORECASE:
        return members
    text = bytes(sorted(members))
    return members | frozenset(text.lower()) | frozenset(text.upper())
