"""A difference: one thing about an instance that is not what its manifest says; drift.py finds, policy.py judges."""

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

    ``kind`` is "file", "directory", "link", "device", "fifo", "socket", "session" or a kind of fact (docs/facts.md).
    ``subject`` is the raw path or name. ``expected`` and ``actual`` hold the fields that differ (for added and removed:
    all of them) as short texts: ``{"mode": "0644", "sha256": "ab…", "size": "12"}``. Where one kind of thing stands
    in the place of another, ``kind`` is what is there now and both sides have all their fields, "kind" among them.
    A fact that is configured and live has both of these whenever one of them differs.
    """

    kind: str
    subject: bytes
    change: Change
    expected: Mapping[str, str] = field(default_factory=dict)
    actual: Mapping[str, str] = field(default_factory=dict)
