"""A fingerprint: what one look saw of one instance, read from frames that the instance may have forged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from driftd.core.facts import Account, Coverage, Group, Package, Session
from driftd.probe.wire import Entry


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """``entries`` are sorted by raw path bytes and unique. ``root`` is the closed tree's digest (core/merkle.py).

    ``covered`` are directories that something is mounted over and whose beneath could not be looked at; ``unreadable``
    are paths whose content or listing was not permitted. What lies below either is unknown, never absent.
    """

    entries: tuple[Entry, ...]
    packages: tuple[Package, ...]
    accounts: tuple[Account, ...]
    groups: tuple[Group, ...]
    sessions: tuple[Session, ...]
    coverage: Coverage
    root: bytes
    boot_id: str = ""
    booted_at: datetime | None = None
    unreadable: tuple[bytes, ...] = ()
    covered: tuple[bytes, ...] = ()
    not_available: tuple[str, ...] = ()
