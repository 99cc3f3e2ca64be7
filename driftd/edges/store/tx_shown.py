"""The part of a transaction about contents: what may be shown of a changed file, as it was seen."""

from __future__ import annotations

from sqlalchemy import select

from driftd.core.shown import Shown
from driftd.edges.store.statements import Statements, fields_of, values_of
from driftd.edges.store.tables import SHOWN


class ShownPart(Statements):
    """``Tx`` for what files say. It goes with its finding."""

    def shown(self, finding_id: int) -> Shown | None:
        row = self.one(select(SHOWN).where(SHOWN.c.finding_id == finding_id))
        return Shown(**fields_of(Shown, row)) if row else None

    def put_shown(self, finding_id: int, shown: Shown) -> None:
        self.put(SHOWN, values_of(shown) | {"finding_id": finding_id})
