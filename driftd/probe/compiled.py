"""Is a compiled Python module what its source compiles to? Told without loading it: loading could crash us, or worse.

A .pyc is a header (importlib's ``_bootstrap_external``: magic number, flags, then mtime and size, or a hash) and a code
object as marshal writes it (Python/marshal.c). The source is compiled anew, and both are compared as trees of values:
which of them are shared, and under which name the file was compiled, is nothing that the code does.
"""

import importlib.util
import marshal
import re
import struct
import sys
from typing import Any, List, Optional, Tuple

_NAME = re.compile(rb"(.+)\.((?!opt-)[a-z]+-[0-9]+)(?:\.opt-([12]))?\.pyc", re.DOTALL)
_MOST = 2000000  # bytes and values of one module, what is shared counted each time
_DEEPEST = 100
_REF = 0x80
_HEADER = 16 if sys.version_info >= (3, 7) else 12
_CHECKED = (0, 3)  # flags: compared with its source's mtime and size, or with its hash, whenever it is used

# A code object is so many numbers, eight objects, one more number, and so many objects; one of the eight is the name
# of the file that was compiled.
_NUMBERS = 6 if (3, 8) <= sys.version_info < (3, 11) else 5
_FILE = 5 if sys.version_info >= (3, 11) else 6
_TABLES = 2 if sys.version_info >= (3, 11) else 1

_FIXED = {b"i": 4, b"I": 8, b"g": 8, b"y": 16}
_SIZED = {b"s": 4, b"t": 4, b"u": 4, b"a": 4, b"A": 4, b"z": 1, b"Z": 1}
_MANY = {b"(": 4, b")": 1, b"[": 4, b"<": 4, b">": 4}
_NOTHING = b"0NFTS."
# What is written in several ways and is one kind of value.
_ALIKE = {b"t": b"u", b"a": b"u", b"A": b"u", b"z": b"u", b"Z": b"u", b")": b"("}


class _NotCodeError(ValueError):
    """The bytes are not a code object of this Python."""


def source_of(path):
    # type: (bytes) -> Optional[bytes]
    """Where the source of the compiled module at ``path`` is; None when this Python would not load it for one."""
    above, _, name = path.rpartition(b"/")
    found = _NAME.fullmatch(name)
    tag = (sys.implementation.cache_tag or "").encode()
    if found is None or not above.endswith(b"/__pycache__") or found.group(2) != tag:
        return None
    return above[: -len(b"__pycache__")] + found.group(1) + b".py"


def why_not(compiled, source, path):
    # type: (bytes, bytes, bytes) -> str
    """Why ``compiled``, found at ``path``, is not what ``source`` compiles to; "" when it is."""
    if compiled[:4] != importlib.util.MAGIC_NUMBER or len(compiled) < _HEADER:
        return "it is of another version of Python"
    if _HEADER == 16 and struct.unpack("<I", compiled[4:8])[0] not in _CHECKED:
        return "it is used whatever its source says"
    found = _NAME.fullmatch(path.rpartition(b"/")[2])
    level = int(found.group(3) or 0) if found else 0
    try:
        code = compile(source, "source", "exec", dont_inherit=True, optimize=level)
    except (SyntaxError, ValueError):
        return "its source does not compile"
    meant = marshal.dumps(code)
    try:
        return "" if _Reading(compiled[_HEADER:]).whole() == _Reading(meant).whole() else "its source says otherwise"
    except (_NotCodeError, struct.error):
        return "it is not a compiled module"


class _Reading(object):
    """Reads one value as marshal writes it, into tuples of its type and what it is."""

    def __init__(self, data):
        # type: (bytes) -> None
        self._data = data
        self._at = 0
        self._spent = 0
        self._shared = []  # type: List[Tuple[Any, int]]

    def whole(self):
        # type: () -> Any
        value = self._value(0)
        if self._at != len(self._data):
            raise _NotCodeError
        return value

    def _take(self, count):
        # type: (int) -> bytes
        end = self._at + count
        self._spend(count + 1)
        if count < 0 or end > len(self._data):
            raise _NotCodeError
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def _spend(self, count):
        # type: (int) -> None
        self._spent += count
        if self._spent > _MOST:
            raise _NotCodeError

    def _number(self, size):
        # type: (int) -> int
        return int.from_bytes(self._take(size), "little", signed=size == 4)

    def _value(self, depth):
        # type: (int) -> Any
        if depth > _DEEPEST:
            raise _NotCodeError
        first = self._take(1)[0]
        kind, before = bytes([first & ~_REF]), self._spent
        if kind == b"r":
            number = self._number(4)
            if not 0 <= number < len(self._shared):
                raise _NotCodeError
            value, cost = self._shared[number]
            self._spend(cost)
            return value
        place = len(self._shared)
        if first & _REF:
            self._shared.append((None, 0))
        value = self._of(kind, depth + 1)
        if first & _REF:
            self._shared[place] = value, self._spent - before
        return value

    def _of(self, kind, depth):
        # type: (bytes, int) -> Any
        if kind in _NOTHING:
            return kind
        if kind in _FIXED:
            return kind, self._take(_FIXED[kind])
        if kind in _SIZED:
            return _ALIKE.get(kind, kind), self._take(self._number(_SIZED[kind]))
        if kind in _MANY or kind == b":":
            return self._several(kind, depth)
        if kind == b"l":
            count = self._number(4)
            return kind, count, self._take(2 * abs(count))
        return self._code(kind, depth)

    def _several(self, kind, depth):
        # type: (bytes, int) -> Any
        count = self._number(_MANY[kind]) if kind in _MANY else 3  # a slice
        values = [self._value(depth) for _ in range(count)]
        if kind in b"<>":
            values.sort(key=repr)  # a set has no order of its own
        return _ALIKE.get(kind, kind), tuple(values)

    def _code(self, kind, depth):
        # type: (bytes, int) -> Any
        if kind != b"c":
            raise _NotCodeError
        numbers = self._take(4 * _NUMBERS)
        parts = [self._value(depth) for _ in range(8)]
        if parts[_FILE][:1] != (b"u",):
            raise _NotCodeError
        parts[_FILE] = None
        line = self._take(4)
        return kind, numbers, tuple(parts), line, tuple([self._value(depth) for _ in range(_TABLES)])
