"""Compare: a manifest and a fingerprint in, the differences out. Nothing is judged here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Change(StrEnum):
    """What became of the subject."""

    ADDED = "added"
    REMOVED = "removed"
    MODIFIED = "modified"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing missing, extra or changed.

    ``kind`` is "file", "directory", "link", "device", "fifo", "socket", "package", "account", "group" or "session".
    ``subject`` is the raw path or name. ``expected`` and ``actual`` hold the fields that differ (for added and removed:
    all of them) as short texts: ``{"mode": "0644", "sha256": "ab…", "size": "12"}``.
    """

    kind: str
    subject: bytes
    change: Change
    expected: Mapping[str, str] = field(default_factory=dict)
    actual: Mapping[str, str] = field(default_factory=dict)
