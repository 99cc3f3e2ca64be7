"""The tables of circuit breakers and of what their rules remember; as tables.py declares the others."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Table
from sqlmodel import Field, SQLModel

from driftd.core.breakers.breaker import State
from driftd.edges.store.tables import AnyText, Instant, Word


class BreakerTable(SQLModel, table=True):
    """``Breaker``, one for each rule and scope."""

    __tablename__ = "breaker"

    rule: str = Field(sa_type=AnyText, primary_key=True, nullable=False)
    scope: str = Field(sa_type=AnyText, primary_key=True, nullable=False)
    state: State = Field(sa_type=Word(State), nullable=False)
    why: str = Field(sa_type=AnyText, nullable=False)
    opened_at: datetime = Field(sa_type=Instant, nullable=False)
    until: datetime | None = Field(default=None, sa_type=Instant, nullable=True)
    closes_by: str = Field(sa_type=AnyText, nullable=False)
    by: str = Field(sa_type=AnyText, nullable=False)
    changed_at: datetime | None = Field(default=None, sa_type=Instant, nullable=True)
    since: datetime | None = Field(default=None, sa_type=Instant, nullable=True)
    count: int
    probe: str = Field(sa_type=AnyText, nullable=False)
    basis: str = Field(sa_type=AnyText, nullable=False)
    seen_at: datetime | None = Field(default=None, sa_type=Instant, nullable=True)


class SightingTable(SQLModel, table=True):
    """``Sighting``, one for each instance and part of a drift's signature: the last time that it was so."""

    __tablename__ = "sighting"
    __table_args__ = (Index("sighting_ended", "ended_at"),)

    instance_id: str = Field(sa_type=AnyText, primary_key=True, nullable=False)
    signature: str = Field(sa_type=AnyText, primary_key=True, nullable=False)
    group: str = Field(sa_type=AnyText, nullable=False)
    slot: str = Field(sa_type=AnyText, nullable=False)
    short: str = Field(sa_type=AnyText, nullable=False)
    first_at: datetime = Field(sa_type=Instant, nullable=False)
    ended_at: datetime | None = Field(default=None, sa_type=Instant, nullable=True)


class PassTable(SQLModel, table=True):
    """``Pass``: the last few of each group."""

    __tablename__ = "pass"

    group: str = Field(sa_type=AnyText, primary_key=True, nullable=False)
    at: datetime = Field(sa_type=Instant, primary_key=True, nullable=False)
    size: int
    known: int
    expected: int
    reported: int
    unseen: str = Field(sa_type=AnyText, nullable=False)


class CallsTable(SQLModel, table=True):
    """``Calls``: one row for each account and minute, for an hour."""

    __tablename__ = "calls"

    account: str = Field(sa_type=AnyText, primary_key=True, nullable=False)
    minute: datetime = Field(sa_type=Instant, primary_key=True, nullable=False)
    calls: int
    failed: int
    refused: int
    why: str = Field(sa_type=AnyText, nullable=False)


class VersionTable(SQLModel, table=True):
    """``Version``: what it was last, and since when."""

    __tablename__ = "version"

    what: str = Field(sa_type=AnyText, primary_key=True, nullable=False)
    scope: str = Field(sa_type=AnyText, nullable=False)
    value: str = Field(sa_type=AnyText, nullable=False)
    since: datetime = Field(sa_type=Instant, nullable=False)


def _table(name: str) -> Table:
    return SQLModel.metadata.tables[name]


BREAKER = _table("breaker")
SIGHTING = _table("sighting")
PASS = _table("pass")
CALLS = _table("calls")
VERSION = _table("version")
