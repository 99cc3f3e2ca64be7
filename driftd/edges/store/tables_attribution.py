"""The table of what findings are attributed to; as tables.py declares the others."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Table
from sqlmodel import Field, SQLModel

from driftd.core.attributed import Level
from driftd.edges.store.tables import AnyText, Instant, Word


class AttributionTable(SQLModel, table=True):
    """``Attribution``, one for each finding; deleted with it. Of a session that is pruned only the rest is left."""

    __tablename__ = "attribution"

    finding_id: int | None = Field(
        default=None, primary_key=True, sa_column_args=(ForeignKey("finding.id", ondelete="CASCADE"),)
    )
    level: Level = Field(sa_type=Word(Level), nullable=False)
    why: str = Field(sa_type=AnyText, nullable=False)
    session_id: int | None = Field(
        default=None, nullable=True, sa_column_args=(ForeignKey("session.id", ondelete="SET NULL"),)
    )
    at: datetime = Field(sa_type=Instant, nullable=False)


ATTRIBUTION: Table = SQLModel.metadata.tables["attribution"]
