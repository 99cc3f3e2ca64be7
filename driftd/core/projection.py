"""A projection: a manifest in somebody else's format, with what that format has no place for told in sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from driftd.core.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Projection:
    """``chunks`` are the file's bytes, to be read once; ``losses`` are sentences ("mtree: 12 …")."""

    chunks: Iterable[bytes]
    losses: tuple[str, ...]

    def text(self) -> bytes:
        """The whole file."""
        return b"".join(self.chunks)


@dataclass(frozen=True, slots=True)
class Taken:
    """A manifest that was made from somebody else's file; ``losses`` are what that file does not say."""

    manifest: Manifest
    losses: tuple[str, ...]
