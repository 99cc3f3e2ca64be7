"""Classes: what a manifest says of each entry about how an instance may differ there. ``exact`` is the default.

A class is a word of ``Expect``, a template's with its name (``template:hex32``). What each one checks is expect.py's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from driftd.probe import wire

_EVERYTHING = frozenset(wire.KINDS)
_FILES = frozenset((wire.FILE,))
# What an entry that was baked may be, by its kind. "absent" is not here: what was baked is there.
KINDS_OF: Mapping[str, frozenset[bytes]] = {
    "exact": _EVERYTHING,
    "presence": _EVERYTHING,
    "template": _FILES,
    "firstboot": _EVERYTHING,
    "variable": _EVERYTHING,
    "growing": _FILES,
    "rotated": _FILES,
    "ephemeral": _EVERYTHING,
    "open-dir": frozenset((wire.DIRECTORY,)),
}
_WORD = re.compile(r"([a-z-]{1,16})(?::([a-z][a-z0-9-]{0,31}))?")


@dataclass(frozen=True, slots=True, order=True)
class Expected:
    """``expect`` is a word of ``Expect``; ``template`` names the kind of value where it is "template", else is ""."""

    expect: str
    template: str = ""

    @property
    def word(self) -> str:
        """As it stands in a manifest."""
        return f"{self.expect}:{self.template}" if self.template else str(self.expect)

    def fits(self, kind: bytes) -> bool:
        """Whether an entry of this kind (of ``wire.KINDS``) can be of this class."""
        return kind in KINDS_OF.get(self.expect, frozenset())


EXACT = Expected("exact")
NO_CLASSES: Mapping[bytes, Expected] = MappingProxyType({})


def parse(word: str) -> Expected:
    """The class that ``word`` says. Raises ValueError for what is none."""
    match = _WORD.fullmatch(word)
    if match is None or match[1] not in KINDS_OF or (match[1] == "template") != bool(match[2]):
        raise ValueError(f"{word!r} is no class")
    return Expected(match[1], match[2] or "")
