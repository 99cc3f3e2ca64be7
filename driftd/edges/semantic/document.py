"""A configuration file that was read: plain values, what its places are called, and its order where that decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class UnreadableError(Exception):
    """The text is not read by its format; it is compared line by line instead."""


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
