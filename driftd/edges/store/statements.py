"""What every part of a transaction shares: running a statement so that a failed one ends the whole transaction.

A statement that a daemon runs at every beat is made once, as a constant with ``bindparam``s: making it anew costs
about ten times what running it does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from sqlalchemy import Connection, CursorResult, Executable, Table
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.exc import SQLAlchemyError

from driftd.core.memory import StoreUnavailable
from driftd.edges.store.faults import said
from driftd.edges.store.reading import Row, question

FEW = 64  # rows of an answer that is worth keeping while a transaction lasts

# The statement is there so that no other one gets its ``id`` meanwhile.
_Told = tuple[Executable, Sequence[Row]]


class Statements:
    """One open transaction. ``broken`` is the first failure: after it nothing more runs and nothing is committed.

    SQLite may roll back by itself (a full disk); statements after that would each be a transaction of their own.
    What it has read stays true until it writes: the same question is not asked of the file again.
    """

    def __init__(self, connection: Connection, path: str) -> None:
        self._connection = connection
        self._raw: Any = connection.connection.driver_connection  # SQLite's own
        self._path = path
        self.broken: StoreUnavailable | None = None
        self._told: dict[tuple[object, ...], _Told] = {}

    def run(self, statement: Executable, values: Mapping[str, object] | None = None) -> CursorResult[Any]:
        """Run one statement; whatever goes wrong is ``StoreUnavailable``, now and for the rest of the transaction."""
        if self.broken is not None:
            raise self.broken
        self._told.clear()
        return self._run(statement, values)

    def _run(self, statement: Executable, values: Mapping[str, object] | None) -> CursorResult[Any]:
        try:
            return self._connection.execute(statement, values)
        except SQLAlchemyError as error:
            self.broken = said(error, self._path)
            raise self.broken from error

    def rows(self, statement: Executable, **values: object) -> Sequence[Row]:
        """The rows of a SELECT."""
        if self.broken is not None:
            raise self.broken
        asked = (id(statement), *values.items())
        if asked in self._told:
            return self._told[asked][1]
        rows = self._asked(statement, values)
        if len(rows) <= FEW:
            self._told[asked] = statement, rows
        return rows

    def _asked(self, statement: Executable, values: Mapping[str, object]) -> Sequence[Row]:
        ready = question(statement)
        if ready is None:
            return [dict(row) for row in self._run(statement, values).mappings()]
        try:
            return ready.ask(self._raw, values)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self.broken = said(error, self._path)
            raise self.broken from error

    def one(self, statement: Executable, **values: object) -> Row | None:
        """The first row of a SELECT that finds one at most."""
        return next(iter(self.rows(statement, **values)), None)

    def changed(self, statement: Executable, **values: object) -> int:
        """How many rows ``statement`` changed."""
        return self.run(statement, values).rowcount

    def add(self, table: Table, values: Mapping[str, object]) -> int:
        """The number of the new row; 0 when a row like it (by any uniqueness rule) is there already."""
        done = self.run(_insert(table), values)
        return int(done.lastrowid) if done.rowcount else 0

    def put(self, table: Table, values: Mapping[str, object]) -> None:
        """Insert, or replace the row with the same primary key."""
        self.run(_upsert(table), values)


@cache
def _insert(table: Table) -> Insert:
    return insert(table).on_conflict_do_nothing()


@cache
def _upsert(table: Table) -> Insert:
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    change = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=change)


def values_of(row: Any, *, without: Sequence[str] = ()) -> dict[str, Any]:
    """A dataclass's own fields by name, one level deep."""
    return {field.name: getattr(row, field.name) for field in fields(row) if field.name not in without}


def fields_of(kind: type[Any], row: Row, *, without: Sequence[str] = ()) -> dict[str, Any]:
    """Those columns of ``row`` that are fields of the dataclass ``kind``."""
    return {field.name: row[field.name] for field in fields(kind) if field.name not in without}
