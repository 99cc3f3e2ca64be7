"""A group's terms for evidence, and the ports of what makes and keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol


class Contents(StrEnum):
    """Of which changed files the contents are kept: all that may be, those that a pack lists as showable, or none."""

    ALL = "all"
    SHOWN = "shown"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Terms:
    """How much is kept and for how long: ``keep`` from when it is taken; at most ``max_bytes`` of members in one bundle
    and ``file_bytes`` of one file; of which files the contents; whether the root volume is copied where that can be.
    """

    keep: timedelta = timedelta(days=30)
    max_bytes: int = 64 << 20
    file_bytes: int = 1 << 20
    contents: Contents = Contents.ALL
    root: bool = True


@dataclass(frozen=True, slots=True)
class Root:
    """A copy of the root volume that goes with a bundle: its id at the provider, or why there is none."""

    id: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a bundle; ``name`` is of our making, never the instance's."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """A bundle as it lies there: its size in bytes and its SHA-256 in hexadecimal digits."""

    size: int
    sha256: str


class Place(Protocol):
    """Where bundles lie, each under an id that is a ULID."""

    def keep(self, bundle_id: str, members: Sequence[Member], at: datetime) -> Held:
        """Make the bundle, whole and durable when this returns; one of the same id is replaced.

        The same members and time make the same bytes. Raises ``Refused`` where there is no room for it or it cannot be
        written, and leaves nothing behind then.
        """
        ...

    def size(self, bundle_id: str) -> int | None:
        """How long the file is; None where there is none."""
        ...

    def read(self, bundle_id: str, held: Held) -> bytes:
        """The bundle's bytes. Raises ``BadInput`` where they are gone, or not those that were kept."""
        ...

    def remove(self, bundle_id: str) -> None:
        """Remove it for good; gone already is success. Raises ``Refused`` where it cannot be removed."""
        ...
