"""Clues: what single sources of an instance say of logins, before they are reconciled (core/reconcile.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Clue:
    """What one source says of one login (docs/wire.md). ``number`` is the kernel's own of the login, 0: it has none.

    ``source``: "sweep", "outside", "socket", "logind", "utmp", "lastlog", "wtmpdb", "lastlog2", "audit", "residue" or
    "pam".
    """

    source: str
    door: str
    user: str
    started_at: datetime
    peer: str = ""
    port: int = 0
    tty: str = ""
    pid: int = 0
    number: int = 0
    ended_at: datetime | None = None
    live: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Readings:
    """All that a look read of logins beside the sessions that logs and processes tell of.

    ``since`` has, for each log that was read ("log", "journal"), the time of the first line of sshd in it. ``opened``
    are the times at which services opened sessions that the kernel numbers as it does logins. ``counted`` is true when
    the kernel's count is this instance's own.
    """

    clues: tuple[Clue, ...] = ()
    since: Mapping[str, datetime] = field(default_factory=dict)
    opened: tuple[datetime, ...] = ()
    counted: bool = False
