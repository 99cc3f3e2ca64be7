"""A difference: one thing about an instance that is not what its manifest says; drift.py finds, policy.py judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Change(StrEnum):
    """What became of the subject."""

    ADDED = "added"
    REMOVED = "removed"
    MODIFIED = "modified"


# How far it is known that a package transaction explains something (core/transactions).
CLAIMED, VERIFIED = "claimed", "verified"


@dataclass(frozen=True, slots=True)
class Origin:
    """The package transaction that explains a difference, and how far that is proven: CLAIMED or VERIFIED.

    ``package`` is its fact's name, ``was`` the version before ("" for none). ``transaction`` is the run that the
    instance's books name, ``release`` who signed (when verified), ``doubt`` why it is not verified, where one knows.
    """

    package: str
    version: str
    was: str
    level: str
    transaction: str = ""
    release: str = ""
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing missing, extra or changed.

    ``kind`` is "file", "directory", "link", "device", "fifo", "socket", "session" or a kind of fact (docs/facts.md).
    ``subject`` is the raw path or name. ``expected`` and ``actual`` hold the fields that differ (for added and removed:
    all of them) as short texts: ``{"mode": "0644", "sha256": "ab…", "size": "12"}``. Where one kind of thing stands
    in the place of another, ``kind`` is what is there now and both sides have all their fields, "kind" among them.
    A fact that is configured and live has both of these whenever one of them differs. ``origin`` is no part of what
    differs, and of no signature.
    """

    kind: str
    subject: bytes
    change: Change
    expected: Mapping[str, str] = field(default_factory=dict)
    actual: Mapping[str, str] = field(default_factory=dict)
    origin: Origin | None = None


def content_aside(difference: Difference) -> Difference:
    """The same without the size and the digest of what is there now."""
    kept = {name: value for name, value in difference.actual.items() if name not in ("size", "sha256")}
    return replace(difference, actual=kept)
