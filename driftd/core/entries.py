"""Entries that are sorted by raw path bytes, as trees and manifests have them: found by path and not one by one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from driftd.probe.wire import Entry


def place(entries: Sequence[Entry], path: bytes, first: int = 0) -> int:
    """Where ``path`` is, or would be, at ``first`` or behind it."""
    return bisect_left(entries, path, first, key=_path)


def at(entries: Sequence[Entry], path: bytes) -> Entry | None:
    """The entry at ``path``."""
    here = place(entries, path)
    return entries[here] if here < len(entries) and entries[here].path == path else None


def beginning_with(entries: Sequence[Entry], start: bytes) -> Iterator[Entry]:
    """Those whose path begins with ``start``."""
    here = place(entries, start)
    while here < len(entries) and entries[here].path.startswith(start):
        yield entries[here]
        here += 1


def below(entries: Sequence[Entry], directory: bytes) -> Iterator[Entry]:
    """All that lies below ``directory``, which is not among them."""
    return (entry for entry in beginning_with(entries, directory.rstrip(b"/") + b"/") if entry.path != b"/")


def _path(entry: Entry) -> bytes:
    return entry.path
