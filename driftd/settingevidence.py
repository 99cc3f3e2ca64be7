"""Settings of evidence (docs/evidence.md): what a group keeps of what it replaces, and where bundles lie."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from driftd.core.custody.terms import Contents
from driftd.settingparts import Duration, Strict

_SIZE = re.compile(r"(\d{1,12})([KMG]?)")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
MOST = 240 << 20  # bytes of one bundle: as much as one look may bring


def size(text: object) -> int:
    """A number of bytes written as people write it: ``500K``, ``64M``, ``4G``. Raises ValueError."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is no size; write it like 500K, 64M or 4G")
    return int(match[1]) * _UNITS[match[2]]


Size = Annotated[int, BeforeValidator(size)]


class Evidence(Strict):
    """What a group keeps of an instance before it is replaced: how much, for how long, and whether it has to."""

    take: bool = True
    require: bool = False
    rollouts: bool = False
    contents: Contents = Contents.ALL
    root: bool = True
    keep: Duration = Field(default=timedelta(days=30), gt=timedelta(0))
    max_bytes: Size = Field(default=64 << 20, ge=1 << 20, le=MOST)
    file_bytes: Size = Field(default=1 << 20, ge=0, le=16 << 20)


class EvidencePlace(Strict):
    """The directory of the bundles ("": ``evidence`` beside the store), and how much all of them may take."""

    directory: str = ""
    room: Size = Field(default=4 << 30, ge=1 << 20)
