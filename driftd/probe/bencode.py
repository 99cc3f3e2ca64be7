"""Messages: bencode (BEP 3), strictly: one value has one encoding, and the decoder takes no other.

Integers, byte strings, lists, and dictionaries with sorted byte-string keys.
"""

from typing import Any, Dict, List, Tuple

DEPTH_LIMIT = 16


class WireError(Exception):
    """The bytes are not what the format says; the answer as a whole is worth nothing."""


def pack(value):
    # type: (Any) -> bytes
    """Bencode ``value``: int, bytes, list/tuple, or dict with bytes keys. Raises TypeError for anything else."""
    out = []  # type: List[bytes]
    _pack(value, out)
    return b"".join(out)


def _pack(value, out):
    # type: (Any, List[bytes]) -> None
    if isinstance(value, bool) or value is None:
        raise TypeError("bencode has no %r" % (value,))
    if isinstance(value, int):
        out.append(b"i%de" % value)
    elif isinstance(value, bytes):
        out.append(b"%d:" % len(value))
        out.append(value)
    elif isinstance(value, (list, tuple)):
        out.append(b"l")
        for item in value:
            _pack(item, out)
        out.append(b"e")
    elif isinstance(value, dict):
        out.append(b"d")
        for key in sorted(value):
            _pack(key, out)
            _pack(value[key], out)
        out.append(b"e")
    else:
        raise TypeError("bencode has no %s" % type(value).__name__)


def unpack(data):
    # type: (bytes) -> Any
    """The value of one bencoded message. Raises WireError for anything that ``pack`` would not have written."""
    value, end = _unpack(data, 0, 0)
    if end != len(data):
        raise WireError("bytes left over after the message")
    return value


def _integer(data, start, end):
    # type: (bytes, int, int) -> int
    text = data[start:end]
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or len(digits) > 20 or (digits[:1] == b"0" and text != b"0"):
        raise WireError("not an integer")
    return int(text)


def _unpack(data, at, depth):
    # type: (bytes, int, int) -> Tuple[Any, int]
    if depth > DEPTH_LIMIT:
        raise WireError("nested too deep")
    lead = data[at : at + 1]
    if lead == b"i":
        end = data.find(b"e", at, at + 24)
        if end < 0:
            raise WireError("integer without an end")
        return _integer(data, at + 1, end), end + 1
    if lead.isdigit():
        colon = data.find(b":", at, at + 12)
        if colon < 0:
            raise WireError("string without a length")
        stop = colon + 1 + _integer(data, at, colon)
        if stop > len(data):
            raise WireError("string longer than the message")
        return data[colon + 1 : stop], stop
    if lead == b"l":
        items = []  # type: List[Any]
        at += 1
        while data[at : at + 1] != b"e":
            item, at = _unpack(data, at, depth + 1)
            items.append(item)
        return items, at + 1
    if lead == b"d":
        return _unpack_dict(data, at + 1, depth)
    raise WireError("not a bencoded value")


def _unpack_dict(data, at, depth):
    # type: (bytes, int, int) -> Tuple[Dict[bytes, Any], int]
    result = {}  # type: Dict[bytes, Any]
    last = None
    while data[at : at + 1] != b"e":
        key, at = _unpack(data, at, depth + 1)
        if not isinstance(key, bytes) or (last is not None and key <= last):
            raise WireError("dictionary keys are not sorted byte strings")
        result[key], at = _unpack(data, at, depth + 1)
        last = key
    return result, at + 1
