"""Globs and names of proposed rules: one path exactly, or all that differ only by a value that each instance has."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from driftd.core.globs import protected
from driftd.core.interpreted import config

_SPECIAL = re.compile(r"([\\*?\[\]])")
_UUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ADDRESS = rb"(?:[0-9]{1,3}\.){3}[0-9]{1,3}"
# What mkstemp(3) and mkdtemp(3) put at the end of a name; six letters that could be a word are taken for one.
_RANDOM = rb"(?<=[-._])(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{6}\Z"
_OTHERS = re.compile(
    rb"(?P<uuid>%s)|(?P<hex>[0-9a-f]{32,64})|(?P<address>%s)|(?P<random>%s)|(?P<number>[0-9]+)"
    % (_UUID, _ADDRESS, _RANDOM)
)
_WORD = re.compile(r"[^a-z0-9]+")
_WORD_LIMIT = 56


def plain(value: bytes) -> str:
    r"""The glob that matches ``value`` and nothing else. Whatever a document cannot hold is written as ``\xHH``."""
    text = _SPECIAL.sub(r"\\\1", value.decode("utf-8", "surrogateescape"))
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _bytes(c) for c in text)


def _bytes(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def plain_text(value: str) -> str:
    """``plain`` of a field's value."""
    return plain(value.encode("utf-8", "surrogateescape"))


def general(path: bytes, names: Sequence[bytes]) -> str:
    """A glob for ``path`` and its likes on other instances; "" when its name holds nothing that is one instance's.

    ``names`` are what this instance goes by. A machine's id, a UUID, an address, a number or a temporary name may
    stand for another of its kind. Nothing general is said of where something is obeyed: there every path is named for
    itself.
    """
    if protected(path) or config(path):
        return ""
    parts = [_general(part, names) for part in path.split(b"/")]
    written = "/".join(parts)
    return written if written != plain(path) else ""


def _general(part: bytes, names: Sequence[bytes]) -> str:
    known = b"|".join(re.escape(name) for name in sorted(set(names), key=lambda name: (-len(name), name)) if name)
    pattern = re.compile(b"(?P<known>" + known + b")|" + _OTHERS.pattern) if known else _OTHERS
    out, at = "", 0
    for found in pattern.finditer(part):
        out += plain(part[at : found.start()]) + _stands_for(found)
        at = found.end()
    return out + plain(part[at:])


def _stands_for(found: re.Match[bytes]) -> str:
    kind, length = found.lastgroup, len(found[0])
    if kind == "uuid":
        return "-".join("?" * number for number in (8, 4, 4, 4, 12))
    if kind in ("hex", "random"):
        return "?" * length
    return "[0-9]*" if kind in ("address", "number") else "*"


def word(text: str, taken: Collection[str]) -> str:
    """A rule's id made of ``text``: a word that is not ``taken``."""
    base = _WORD.sub("-", text.lower()).strip("-")[:_WORD_LIMIT].strip("-") or "rule"
    made, number = base, 2
    while made in taken:
        made, number = f"{base}-{number}", number + 1
    return made
