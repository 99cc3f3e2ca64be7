"""The tables of the journal, and of what it and the store know of themselves; as tables.py declares the others."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, LargeBinary, Table, text
from sqlmodel import Field, SQLModel

from driftd.edges.store.tables import AnyText, Instant


def _text(*, primary_key: bool = False) -> Any:
    return Field(sa_type=AnyText, primary_key=primary_key, nullable=False)


def _when(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_type=Instant, nullable=nullable)


def _one() -> Any:
    return Field(default=None, primary_key=True)


class JournalTable(SQLModel, table=True):
    """``JournalLine``. ``at`` and ``body`` are the very text that was hashed, so that tampering shows."""

    __tablename__ = "journal"
    __table_args__ = (Index("journal_subject", "subject", "seq"),)

    seq: int | None = _one()
    at: str = _text()
    kind: str = _text()
    subject: str = _text()
    body: str = _text()
    prev: str = _text()
    hash: str = _text()
    epoch: int = Field(sa_column_kwargs={"server_default": text("0")})
    schema_: int = Field(sa_column_kwargs={"name": "schema", "server_default": text("1")})


class StoreTable(SQLModel, table=True):
    """``StoreFacts`` but for the lease's epoch: one row."""

    __tablename__ = "store"

    id: int | None = _one()
    store_id: str = _text()
    floor: int
    restored_at: datetime | None = _when(nullable=True)
    restored_from: str = _text()


class ChainTable(SQLModel, table=True):
    """``ChainState``: one row, once anything was verified."""

    __tablename__ = "chain"

    id: int | None = _one()
    count: int
    head: str = _text()
    checked_at: datetime | None = _when(nullable=True)
    whole_at: datetime | None = _when(nullable=True)
    broken: int
    why: str = _text()
    broken_at: datetime | None = _when(nullable=True)


class CheckpointTable(SQLModel, table=True):
    """``KeptCheckpoint``, the newest few hundred; the last one of those that were written for one line."""

    __tablename__ = "checkpoint"

    seq: int | None = _one()
    hash: str = _text()
    epoch: int
    at: datetime = _when()
    signed: bool
    text: bytes = Field(sa_type=LargeBinary, nullable=False)


class DoubtTable(SQLModel, table=True):
    """``Doubt``; a settled one is kept, so that the same is not doubted again."""

    __tablename__ = "doubt"

    code: str = _text(primary_key=True)
    subject: str = _text(primary_key=True)
    why: str = _text()
    since: datetime = _when()
    epoch: int
    settled_at: datetime | None = _when(nullable=True)
    settled_by: str = _text()
    reason: str = _text()


JOURNAL: Table = SQLModel.metadata.tables["journal"]
STORE: Table = SQLModel.metadata.tables["store"]
CHAIN: Table = SQLModel.metadata.tables["chain"]
CHECKPOINT: Table = SQLModel.metadata.tables["checkpoint"]
DOUBT: Table = SQLModel.metadata.tables["doubt"]
