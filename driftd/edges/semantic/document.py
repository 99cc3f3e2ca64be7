"""A configuration file that was read: plain values, what its places are called, and its order where that decides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class UnreadableError(Exception):
    """The text is not read by its format; it is compared line by line instead."""


_ODD = re.compile(r"[^\S \t\n]|[\x00-\x08\x0e-\x1f\x7f]")


def lines_of(text: str) -> list[str]:
    """Lines as programs in C see them. Raises UnreadableError for white space that only some take for that."""
    if _ODD.search(text):
        raise UnreadableError
    return text.split("\n")


def words(text: str) -> str:
    """White space between words is one blank; within quotation marks, or after a backslash, nobody knows."""
    return text.strip() if re.search(r"[\"'\\]", text) else " ".join(text.split())


@dataclass(frozen=True, slots=True)
class Document:
    """``order`` are the names of lines in their order, where that decides something. ``sections``: the first key of a
    place is a section's name; ``between`` stands between the other keys. ``records``: what a place's first key names
    is a record that comes and goes as a whole.
    """

    value: Any
    order: tuple[str, ...] = ()
    sections: bool = False
    between: str = "."
    records: bool = False

    def name(self, place: Sequence[str | int]) -> str:
        """A place in plain words: ``[Service] ExecStart``, ``servers[0].port``."""
        parts = list(place)
        head = f"[{parts.pop(0)}]" if self.sections and parts else ""
        said = ""
        for part in parts:
            said += f"[{part}]" if isinstance(part, int) else f"{self.between if said else ''}{part}"
        return " ".join(one for one in (head, said) if one) or "the whole"
