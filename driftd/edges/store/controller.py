"""Who holds the controller's lease, for those who only want to know whether a daemon runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from driftd.edges.store.holder import is_gone, short
from driftd.edges.store.sql import SqlStore
from driftd.edges.store.tables import LEASE


@dataclass(frozen=True, slots=True)
class Controller:
    """``who`` is host and process number."""

    who: str
    since: datetime


def controller(store: SqlStore, now: datetime) -> Controller | None:
    """Whose lease is in force; None when nobody's is, or its holder certainly runs no more. Raises StoreUnavailable."""
    with store.read() as tx:
        row = tx.one(select(LEASE))
    if row is None or not row["holder"] or row["expires_at"] <= now or is_gone(row["holder"]):
        return None
    return Controller(short(row["holder"]), row["taken_at"])
