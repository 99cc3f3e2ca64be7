"""Scenes: what the store knows now of the things that incidents are about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from driftd.core.cards import Scene
from driftd.core.memory import Tx
from driftd.core.outbox import Incident
from driftd.core.replacement import TERMINAL, Record


class Scenes:
    """Reads what several incidents share once. Good inside one transaction."""

    def __init__(self, tx: Tx, now: datetime, asks: Callable[[str], bool]) -> None:
        self._tx = tx
        self._asks = asks
        self._holds = {one.instance_id: one for one in tx.holds(now)}
        self._breakers = tx.breakers()
        self._records: dict[str, Record] = {one.old_id: one for one in tx.stuck_replacements()}
        self._records |= {one.old_id: one for one in tx.open_replacements()}

    def of(self, incident: Incident) -> Scene:
        """The scene of one incident."""
        name = incident.instance_id
        if not incident.key.startswith("instance/"):
            return Scene(breakers=self._breakers)
        return Scene(
            row=self._tx.instance(name),
            record=self._records.get(name),
            done=self._done(incident),
            hold=self._holds.get(name),
            findings=self._tx.open_findings(name),
            breakers=self._breakers,
            approve=self._asks(incident.group),
        )

    def _done(self, incident: Incident) -> Record | None:
        record = self._tx.replacement(incident.rid) if incident.rid else None
        return record if record is not None and record.state in TERMINAL else None
