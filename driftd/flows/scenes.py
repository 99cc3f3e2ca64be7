"""Scenes: what the store knows now of the things that incidents are about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from driftd.core.cards import Scene
from driftd.core.findings import Verdict
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
        self._told_of: dict[tuple[str, str], bool] = {}

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
            others=self._others(incident),
        )

    def _others(self, incident: Incident) -> bool:
        """Drift that came alike on many is one message, and the incident of the first of them stands for all."""
        of = (incident.outlet, incident.group)
        if of not in self._told_of:
            told = {one.instance_id for one in self._tx.incidents(incident.outlet)}
            rows = [row for row in self._tx.instances(incident.group) if row.gone_at is None and row.id not in told]
            self._told_of[of] = any(row.verdict in {Verdict.DRIFTED, Verdict.TAMPERED} for row in rows)
        return self._told_of[of]

    def _done(self, incident: Incident) -> Record | None:
        record = self._tx.replacement(incident.rid) if incident.rid else None
        return record if record is not None and record.state in TERMINAL else None
