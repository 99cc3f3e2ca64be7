r"""Names as vis(3) writes them, as every reader of mtree(5) understands them.

Written is one form only, ``\ooo`` with three octal digits, for every byte that is not printable ASCII, and for those
that mean something in a specification: space, ``\``, ``#`` and the glob characters ``*?[``. Read are all forms that
unvis(3) reads without flags: ``\ooo``, ``\xhh``, C's (``\n``), ``\s``, ``\E``, ``\^c``, ``\M-c``, ``\M^c``, ``\$``
(nothing) and ``\c`` for any other printable character.
"""

from __future__ import annotations

import re

_SPECIAL = b"\\#*?["
_TABLE = [bytes([b]) if 0x21 <= b < 0x7F and b not in _SPECIAL else b"\\%03o" % b for b in range(256)]
_PLAIN = re.compile(rb"[!-~]*")
_SPECIALS = re.compile(rb"[\\#*?\[]")

_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|(M[-^].)|(\^.)|(.)|$)", re.DOTALL)
_LETTERS = {
    b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"s": b" ", b"t": b"\t", b"v": b"\v",
    b"E": b"\x1b", b"$": b"",
}  # fmt: skip


def encode(name: bytes) -> bytes:
    """One word of a specification."""
    if _PLAIN.fullmatch(name) and not _SPECIALS.search(name):
        return name
    return b"".join([_TABLE[byte] for byte in name])


def decode(word: bytes) -> bytes:
    """The name that ``word`` stands for. Raises ValueError for an escape that vis(3) does not know."""
    return _ESCAPE.sub(_decoded, word) if b"\\" in word else word


def _decoded(match: re.Match[bytes]) -> bytes:
    octal, hexadecimal, meta, control, other = match.groups()
    if octal:
        return _byte(int(octal, 8))
    if hexadecimal:
        return _byte(int(hexadecimal, 16))
    if meta:
        low = _control(meta[2]) if meta[1:2] == b"^" else meta[2]
        return _byte(low | 0x80)
    if control:
        return _byte(_control(control[1]))
    if not other or (other.isalnum() and other not in _LETTERS):
        raise ValueError("it has an escape that vis(3) does not know")
    return _LETTERS.get(other, other)


def _control(character: int) -> int:
    return 0x7F if character == 0x3F else character & 0x1F


def _byte(value: int) -> bytes:
    if value > 255:
        raise ValueError("it has an escape that is no byte")
    return bytes([value])
