r"""Words of a line: any bytes as printable ASCII, so that no two look the same and none can end its line."""

from __future__ import annotations

import re

_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_PLAIN = {byte: bytes([byte]) for byte in range(0x21, 0x7F) if byte != 0x5C}


def escape(word: bytes, also: bytes = b"") -> bytes:
    r"""One word of a line: printable ASCII as it is; space, backslash, ``also`` and all else as ``\xHH``.

    An empty word is ``-``, and a word that is only ``-`` is ``\x2d``, so that no two words look the same.
    """
    if not word:
        return b"-"
    if word == b"-":
        return b"\\x2d"
    return b"".join(_PLAIN[byte] if byte in _PLAIN and byte not in also else b"\\x%02x" % byte for byte in word)


def unescape(word: bytes) -> bytes:
    """The word that ``escape`` wrote. The caller compares the way back to know that it was written so."""
    if word == b"-":
        return b""
    return _ESCAPED.sub(lambda match: bytes([int(match.group(1), 16)]), word) if b"\\" in word else word


def escape_text(value: str) -> bytes:
    """``escape`` for what is text to us; bytes that are no UTF-8 survive as surrogates."""
    return escape(value.encode("utf-8", "surrogateescape"))


def unescape_text(word: bytes) -> str:
    """The way back of ``escape_text``."""
    return unescape(word).decode("utf-8", "surrogateescape")
