"""Questions that are asked at every beat: SQLAlchemy writes the SQL of each once, then SQLite is asked directly.

For rows as few as ours most of the time that a statement takes is SQLAlchemy's. What goes in and what comes out is
converted by the columns' types all the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Executable, Select
from sqlalchemy.dialects.sqlite import pysqlite

Row = Mapping[str, Any]
_Convert = Callable[[Any], Any] | None

_DIALECT = pysqlite.dialect(paramstyle="named")


class Question:
    """One SELECT, ready to be asked."""

    def __init__(self, statement: Select[Any]) -> None:
        """Raises ``LookupError`` for one that has to be written anew for its values, or names two columns alike."""
        compiled = statement.compile(dialect=_DIALECT)
        columns = statement.selected_columns
        self._names = tuple(columns.keys())
        if compiled.post_compile_params or compiled.literal_execute_params or len(set(self._names)) != len(columns):
            raise LookupError
        self._sql = str(compiled)
        self._into = {name: _into(bind.type) for bind, name in compiled.bind_names.items()}
        self._usual = {name: bind.value for bind, name in compiled.bind_names.items() if not bind.required}
        out = [(_out(column.type), getattr(column.type, "passes", None)) for column in columns]
        self._out = [(at, convert, passes) for at, (convert, passes) in enumerate(out) if convert is not None]

    def ask(self, connection: sqlite3.Connection, values: Mapping[str, Any]) -> list[Row]:
        """All rows. Raises ``sqlite3.Error``, and ``KeyError`` where a value is missing."""
        given = {**self._usual, **values}
        asked = {name: given[name] if into is None else into(given[name]) for name, into in self._into.items()}
        found = connection.execute(self._sql, asked).fetchall()
        return [self._row(list(row)) for row in found]

    def _row(self, row: list[Any]) -> Row:
        for at, convert, passes in self._out:
            if row[at].__class__ is not passes:
                row[at] = convert(row[at])
        return dict(zip(self._names, row, strict=True))


def _into(kind: Any) -> _Convert:
    found: _Convert = kind.dialect_impl(_DIALECT).bind_processor(_DIALECT)
    return found


def _out(kind: Any) -> _Convert:
    found: _Convert = kind.dialect_impl(_DIALECT).result_processor(_DIALECT, None)
    return found


# None: asked once; False: SQLAlchemy has to run it.
_KNOWN: WeakKeyDictionary[Executable, Question | bool | None] = WeakKeyDictionary()


def question(statement: Executable) -> Question | None:
    """``statement`` ready to be asked; None where SQLAlchemy has to run it: what is asked once is not worth the making.

    A statement that is asked again is one that somebody keeps.
    """
    if statement not in _KNOWN:
        _KNOWN[statement] = None
        return None
    if _KNOWN[statement] is None:
        _KNOWN[statement] = _made(statement)
    found = _KNOWN[statement]
    return found if isinstance(found, Question) else None


def _made(statement: Executable) -> Question | bool:
    try:
        return Question(statement) if isinstance(statement, Select) else False
    except LookupError:
        return False
