"""The tables of what earlier looks left of single files; as tables.py declares the others."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, Table
from sqlmodel import Field, SQLModel

from driftd.edges.store.tables import AnyText


def _instance() -> Any:
    # Deferred: within one transaction the order of statements does not matter.
    return Field(
        sa_type=AnyText,
        primary_key=True,
        nullable=False,
        sa_column_args=(ForeignKey("instance.id", deferrable=True, initially="DEFERRED"),),
    )


def _bytes(*, primary_key: bool = False) -> Any:
    return Field(sa_type=LargeBinary, primary_key=primary_key, nullable=False)


class MarksTable(SQLModel, table=True):
    """All ``Mark`` of one instance in one row, so that a look writes one: bencoded, see tx_marks.py."""

    __tablename__ = "marks"

    instance_id: str = _instance()
    body: bytes = _bytes()


class IdentityTable(SQLModel, table=True):
    """The digest of one identity file of one instance."""

    __tablename__ = "identity"
    __table_args__ = (Index("identity_sha256", "sha256"),)

    instance_id: str = _instance()
    path: bytes = _bytes(primary_key=True)
    sha256: bytes = _bytes()


MARKS: Table = SQLModel.metadata.tables["marks"]
IDENTITY: Table = SQLModel.metadata.tables["identity"]
