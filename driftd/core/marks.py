"""Marks: what the store remembers of single files of an instance, so that a later look can be held against it.

What is set once at the first boot stays as the first look saw it, and what grows keeps what the last look saw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from driftd.core.attributed import Attribution
from driftd.core.facts import Session

SETTLING = timedelta(minutes=2)  # after the launch, in which the first boot may still be writing

UNSET = timedelta(minutes=10)  # after the launch: what the first boot has not set by then, it leaves as it was baked


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """``of`` is the expectation ("firstboot", "template", "growing", "rotated") whose reference this is.

    ``sha256``, 32 bytes: of the content, ``size`` bytes of it, for what grows; else of the whole entry, mode and owner
    included (evidence.py: ``state``). ``at``: when it was first seen, for what grows: when it was taken.
    """

    path: bytes
    of: str
    size: int
    sha256: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Twin:
    """Another instance whose identity file at ``path`` holds the same."""

    instance_id: str
    path: bytes


Twins = Callable[[Mapping[bytes, bytes]], "tuple[Twin, ...]"]


def _no_twins(_identities: Mapping[bytes, bytes]) -> tuple[Twin, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of an instance from earlier looks: its marks by path, and who has the identity that it shows now.

    ``twins`` is given identity files, path to digest, and is asked after the look. ``kinds`` are what others' sessions
    were for, by what makes one the same (core/taint.py), and ``sessions`` are they. ``looked_at`` is when the last look
    that saw it began, ``attributed`` what its open findings are attributed to, by signature. ``boot_id`` is the boot
    that the last look saw, "" where it was of another image.
    """

    marks: Mapping[bytes, Mark] = field(default_factory=dict)
    twins: Twins = _no_twins
    kinds: Mapping[tuple[object, ...], str] = field(default_factory=dict)
    sessions: Sequence[Session] = ()
    looked_at: datetime | None = None
    attributed: Mapping[str, Attribution] = field(default_factory=dict)
    boot_id: str = ""


NO_PAST = Past()
