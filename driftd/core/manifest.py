"""A manifest: what an image contains, as text that a person can read and git can diff (docs/manifest.md)."""

from __future__ import annotations

from dataclasses import dataclass

from driftd.core.facts import Account, Group, Package
from driftd.probe.wire import Entry


@dataclass(frozen=True, slots=True)
class Manifest:
    """``entries`` are sorted by raw path bytes. ``provisional`` means it was read off a running server."""

    image: str
    entries: tuple[Entry, ...]
    packages: tuple[Package, ...]
    accounts: tuple[Account, ...]
    groups: tuple[Group, ...]
    root: bytes
    provisional: bool = False
