"""The part of a transaction about what findings are attributed to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import bindparam, select

from driftd.core.attributed import Attribution
from driftd.edges.store.statements import Statements
from driftd.edges.store.tables import FINDING, SESSION
from driftd.edges.store.tables_attribution import ATTRIBUTION
from driftd.edges.store.tx_fleet import session_row

_OF = (
    select(ATTRIBUTION.c.finding_id, ATTRIBUTION.c.level, ATTRIBUTION.c.why, ATTRIBUTION.c.session_id)
    .join(FINDING, FINDING.c.id == ATTRIBUTION.c.finding_id)
    .where(FINDING.c.instance_id == bindparam("instance_id"))
)
_OF_OPEN = _OF.where(FINDING.c.resolved_at.is_(None))
_SESSIONS = select(SESSION).where(SESSION.c.instance_id == bindparam("instance_id"))


class AttributionPart(Statements):
    """``AttributionTx``."""

    def attributions(self, instance_id: str, *, over: bool = False) -> Mapping[int, Attribution]:
        rows = self.rows(_OF if over else _OF_OPEN, instance_id=instance_id)
        wanted = {row["session_id"] for row in rows} - {None}
        there = self.rows(_SESSIONS, instance_id=instance_id) if wanted else ()
        sessions = {row["id"]: session_row(row).session for row in there if row["id"] in wanted}
        return {
            row["finding_id"]: Attribution(row["level"], row["why"], sessions.get(row["session_id"])) for row in rows
        }

    def attribute(self, finding_id: int, attribution: Attribution, session_id: int | None, now: datetime) -> None:
        values = {"level": attribution.level, "why": attribution.why, "session_id": session_id}
        self.put(ATTRIBUTION, {"finding_id": finding_id, **values, "at": now})
