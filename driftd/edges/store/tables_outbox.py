"""The tables of what each outlet has taken, shows and was clicked on; as tables.py declares the others."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Table, text
from sqlmodel import Field, SQLModel

from driftd.core.findings import Severity
from driftd.edges.store.tables import AnyText, Instant, Word


def _text(*, primary_key: bool = False) -> Any:
    return Field(sa_type=AnyText, nullable=False, primary_key=primary_key)


def _when(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_type=Instant, nullable=nullable)


class DeliveryTable(SQLModel, table=True):
    """What an outlet has made of a message. ``begun`` while an attempt was begun whose outcome is not known."""

    __tablename__ = "delivery"

    message_id: int | None = Field(
        default=None, primary_key=True, sa_column_args=(ForeignKey("message.id", ondelete="CASCADE"),)
    )
    outlet: str = _text(primary_key=True)
    attempts: int
    begun: bool
    tried_at: datetime = _when()
    taken_at: datetime | None = _when(nullable=True)


class IncidentTable(SQLModel, table=True):
    """``Incident``. Of an outlet, one that is open for each key."""

    __tablename__ = "incident"
    __table_args__ = (
        Index("incident_open", "outlet", "key", unique=True, sqlite_where=text("closed_at IS NULL")),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    outlet: str = _text()
    key: str = _text()
    ref: str = _text()
    group: str = _text()
    severity: str = Field(sa_type=Word(Severity), nullable=False)
    text: str = _text()
    last: str = _text()
    instance_id: str = _text()
    rid: str = _text()
    message_id: int
    digest: str = _text()
    crowd: bool
    step: int
    stepping: bool
    opened_at: datetime = _when()
    changed_at: datetime = _when()
    closed_at: datetime | None = _when(nullable=True)


class ClickTable(SQLModel, table=True):
    """A click that was taken, so that it is taken once."""

    __tablename__ = "click"

    key: str = _text(primary_key=True)
    by: str = _text()
    what: str = _text()
    at: datetime = _when()


DELIVERY: Table = SQLModel.metadata.tables["delivery"]
INCIDENT: Table = SQLModel.metadata.tables["incident"]
CLICK: Table = SQLModel.metadata.tables["click"]
