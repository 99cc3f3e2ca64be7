"""Which of two versions of a Debian package is later. Source: deb-version(7), Debian Policy 5.6.12."""

from __future__ import annotations

import re

_PARTS = re.compile(r"(\D*)(\d*)")


def later(one: str, than: str) -> bool:
    """Whether ``one`` is later than ``than``."""
    return _key(one) > _key(than)


def _key(version: str) -> tuple[int, list[tuple[list[int], int]], list[tuple[list[int], int]]]:
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isdigit():
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return int(epoch[:18]), _parts(upstream if dash else rest), _parts(revision if dash else "0")


def _parts(text: str) -> list[tuple[list[int], int]]:
    """Alternating non-digits and numbers; a list that ends sorts before one that goes on, save with a tilde."""
    found = [([_weight(c) for c in word] + [0], int(number[:64] or 0)) for word, number in _PARTS.findall(text)]
    return [*(part for part in found if part != ([0], 0)), ([0], 0)]


def _weight(character: str) -> int:
    """A tilde comes before even the end, letters before all else."""
    if character == "~":
        return -1
    return ord(character) if character.isascii() and character.isalpha() else ord(character) + 0x110000
