"""The tables of rollouts and of the images that groups are to run; as tables.py declares the others."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Table, text
from sqlmodel import Field, SQLModel

from driftd.core.rollout import Stage
from driftd.edges.store.tables import REPLACEMENT, AnyText, Canonical, Instant, Word


def _text(*, primary_key: bool = False) -> Any:
    return Field(sa_type=AnyText, nullable=False, primary_key=primary_key)


class RolloutTable(SQLModel, table=True):
    """``Rollout``, whole, as JSON; what is searched by has columns beside it. A group has one that is ``open``."""

    __tablename__ = "rollout"
    __table_args__ = (
        Index("rollout_open", "group", unique=True, sqlite_where=text("open")),
        Index("rollout_group", "group", "created_at"),
    )

    id: str = _text(primary_key=True)
    group: str = _text()
    stage: str = Field(sa_type=Word(Stage), nullable=False)
    created_at: datetime = Field(sa_type=Instant, nullable=False)
    version: int
    open: bool
    rollout: str = Field(sa_type=Canonical, nullable=False)


class ChoiceTable(SQLModel, table=True):
    """``Choice``."""

    __tablename__ = "choice"
    __table_args__ = (Index("choice_group", "group"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, primary_key=True)
    group: str = _text()
    image: str = _text()
    configured: str = _text()
    since: datetime = Field(sa_type=Instant, nullable=False)
    rollout: str = _text()
    back: bool


ROLLOUT: Table = SQLModel.metadata.tables["rollout"]
CHOICE: Table = SQLModel.metadata.tables["choice"]

Index("replacement_rollout", REPLACEMENT.c.rollout, sqlite_where=text("rollout != ''"))
