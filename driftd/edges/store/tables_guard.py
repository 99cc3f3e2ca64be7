"""The table of holds, and how replacements are found by group and time; as tables.py declares the others."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Table, text
from sqlmodel import Field, SQLModel

from driftd.edges.store.tables import REPLACEMENT, AnyText, Instant


class HoldTable(SQLModel, table=True):
    """``Hold``. Numbers are never given twice, so that an old one cannot mean a new row."""

    __tablename__ = "hold"
    __table_args__ = (Index("hold_instance", "instance_id"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True)
    instance_id: str = Field(sa_type=AnyText, nullable=False)
    group: str = Field(sa_type=AnyText, nullable=False)
    owner: str = Field(sa_type=AnyText, nullable=False)
    reason: str = Field(sa_type=AnyText, nullable=False)
    created_at: datetime = Field(sa_type=Instant, nullable=False)
    until: datetime = Field(sa_type=Instant, nullable=False)
    renewed_by: str = Field(sa_type=AnyText, nullable=False)
    released_at: datetime | None = Field(default=None, sa_type=Instant, nullable=True)
    released_by: str = Field(sa_type=AnyText, nullable=False)


HOLD: Table = SQLModel.metadata.tables["hold"]

Index("replacement_ended", REPLACEMENT.c.ended_at)
Index("replacement_ended_group", REPLACEMENT.c.group, REPLACEMENT.c.ended_at)
Index("replacement_group", REPLACEMENT.c.group, REPLACEMENT.c.created_at)
Index("replacement_stuck", REPLACEMENT.c.group, sqlite_where=text("state = 'stuck'"))
