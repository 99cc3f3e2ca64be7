"""The table of driftd's own visits; as tables.py declares the others."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Table, text
from sqlmodel import Field, SQLModel

from driftd.core.visits import Parted
from driftd.edges.store.tables import AnyText, Instant, Word


def _later(default: str) -> Any:
    return Field(default=default, sa_type=AnyText, nullable=False, sa_column_kwargs={"server_default": default})


def _maybe() -> Any:
    return Field(default=None, sa_type=Instant, nullable=True)


class VisitTable(SQLModel, table=True):
    """A visit of driftd's own. Opened before the instance may be known, hence no foreign key."""

    __tablename__ = "visit"
    __table_args__ = (Index("visit_instance", "instance_id", "opened_at"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True)
    instance_id: str = Field(sa_type=AnyText, nullable=False)
    key: str = Field(sa_type=AnyText, nullable=False)
    opened_at: datetime = Field(sa_type=Instant, nullable=False)
    closed_at: datetime | None = _maybe()
    scan: str = _later("")
    source: str = _later("")
    user: str = _later("")
    parted: Parted = Field(
        default=Parted.OPEN, sa_type=Word(Parted), nullable=False, sa_column_kwargs={"server_default": ""}
    )
    port: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    certified: bool = Field(default=False, sa_column_kwargs={"server_default": text("0")})
    came_at: datetime | None = _maybe()
    entered_at: datetime | None = _maybe()
    parted_at: datetime | None = _maybe()
    pushed: bool = Field(default=False, sa_column_kwargs={"server_default": text("0")})


VISIT: Table = SQLModel.metadata.tables["visit"]
