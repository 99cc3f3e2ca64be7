"""What a verified package holds, and the port of where verified packages come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from driftd.core.facts import Unseen


@dataclass(frozen=True, slots=True)
class Member:
    """One thing in a package: ``kind`` as in wire.py. ``sha256`` is of a file, ``target`` of a link."""

    kind: bytes
    mode: int
    uid: int
    gid: int
    sha256: bytes = b""
    target: bytes = b""


@dataclass(frozen=True, slots=True)
class Contents:
    """A package whose chain of signatures holds. ``members`` are by absolute path, ``control`` are the SHA-256 of its
    control files by name; ``settings`` are the paths that it leaves to the administrator (conffiles). ``release`` is
    who signed what, for people.
    """

    members: Mapping[bytes, Member]
    control: Mapping[bytes, bytes] = field(default_factory=dict)
    settings: frozenset[bytes] = frozenset()
    release: str = ""


class PackageSource(Protocol):
    """Where verified packages come from: a directory on the control host."""

    def contents(self, name: str, version: str, architecture: str, keyrings: frozenset[bytes]) -> Contents | Unseen:
        """The package, whose chain begins with one of ``keyrings`` (SHA-256 of the files); why not, as ``Unseen``."""
        ...
