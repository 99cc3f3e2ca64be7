"""Ask the collectors what a tree is set up to be, and put files into it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from driftd.probe import facts, inside
from driftd.probe.found import Found

KEY = b"a key for digests, of 32 bytes.."
Rows = list[tuple[str, dict[str, str]]]


def put(tree: Path, path: str, text: bytes | str = b"", link: str = "") -> Path:
    """A file, or a link to ``link``, and the directories above it."""
    place = tree / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    if link:
        place.symlink_to(link)
    else:
        place.write_bytes(text.encode() if isinstance(text, str) else text)
    return place


def message(tree: Path, key: bytes = KEY) -> dict[bytes, Any]:
    """The FACTS message of a tree that is not the running system."""
    place, found = inside.Root(os.fsencode(tree)), Found(key)
    try:
        facts.collect(place, found, live=False)
    finally:
        place.close()
    return found.message()


def facts_of(tree: Path, kind: str, key: bytes = KEY) -> Rows:
    """Name and fields of each fact of one kind."""
    return [
        (_text(name), {_text(field): _text(value) for field, value in fields.items()})
        for one, name, fields in message(tree, key)[b"facts"]
        if one == kind.encode()
    ]


def names_of(tree: Path, kind: str) -> list[str]:
    return [name for name, _ in facts_of(tree, kind)]


def kept(tree: Path, kind: str) -> list[tuple[str, str]]:
    """How and why facts of a kind were kept from the collectors."""
    return [(_text(how), _text(why)) for one, how, why in message(tree)[b"kept"] if one == kind.encode()]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
