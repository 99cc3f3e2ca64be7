"""Opening a store: which file, with which promises of SQLite, and at which step of its migrations."""

from __future__ import annotations

import os
import sqlite3
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import LRUCache

from driftd.core.errors import BadInput
from driftd.core.journal import instant
from driftd.core.memory import LeaseHeld, StoreUnavailable
from driftd.edges.store import copies
from driftd.edges.store.faults import translated
from driftd.edges.store.holder import is_gone, short
from driftd.edges.store.sql import SqlStore, begun

# "drft": says whose file it is, to file(1) and to us.
APPLICATION_ID = 0x64726674
# The newest step of the migrations; a test compares.
HEAD = "0016"
# How long a write waits for another process's write before it says that the store is locked.
PATIENCE_S = 10.0


def open_store(url: str, *, read_only: bool = False, patience_s: float = PATIENCE_S) -> SqlStore:
    """The store that ``url`` (``sqlite:///PATH``) names, made or brought up to date where need be.

    One that is of an older driftd is copied aside first (``SqlStore.kept``). ``read_only`` changes nothing, not even
    the schema, and works beside a daemon; it raises ``StoreUnavailable`` when there is no store yet. Raises
    ``BadInput`` for a URL of another kind, ``LeaseHeld`` where an older driftd still runs, ``StoreUnavailable`` for
    everything else.
    """
    return open_file(path_of(url), read_only=read_only, patience_s=patience_s)


def open_file(path: str, *, read_only: bool = False, patience_s: float = PATIENCE_S, keep_old: bool = True) -> SqlStore:
    """``open_store`` for a file. ``keep_old`` False makes no copy before it is brought up to date."""
    _check_place(path, read_only=read_only)
    engine = _engine(path, "mode=ro" if read_only else "mode=rw", patience_s)
    try:
        with translated(path):
            if read_only:
                engine = _readable(engine, path, patience_s)
            else:
                _use_wal(engine, path, patience_s)
            kept = _bring_up_to_date(engine, path, read_only=read_only, keep_old=keep_old)
    except BaseException:
        engine.dispose()
        raise
    reading = None if read_only else _engine(path, "mode=rw", patience_s, looks=True)
    return SqlStore(engine, path, reading=reading, patience_s=patience_s, kept=kept)


def path_of(url: str) -> str:
    """The file that ``url`` names, absolute. Raises ``BadInput``."""
    hint = "Write it as sqlite:///relative/path.db or sqlite:////absolute/path.db."
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise BadInput(f"store: {url!r} is not the address of a store.", hint) from None
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite") or parsed.host or parsed.query:
        shown = parsed.render_as_string(hide_password=True)
        raise BadInput(f"store: {shown} is not supported: this driftd keeps its store in a SQLite file.", hint)
    if not parsed.database or parsed.database == ":memory:":
        raise BadInput("store: the address names no file, and what driftd must remember cannot live in memory.", hint)
    return str(Path(parsed.database).absolute())


def _check_place(path: str, *, read_only: bool) -> None:
    """The plain reasons first, in plainer words than SQLite has for them; makes the file when there is none."""
    directory = str(Path(path).parent)
    if not Path(directory).is_dir():
        raise StoreUnavailable(f"The store's directory {directory} does not exist.", f"Make it: mkdir -p {directory}")
    if Path(path).is_dir():
        raise StoreUnavailable(f"The store {path} is a directory.", "Name a file in it.")
    try:
        if read_only:
            if not Path(path).exists():
                raise StoreUnavailable(f"There is no store at {path} yet.", "Start the daemon first: driftd run")
            return
        # Readable by its owner alone: what is in it names people.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"The store {path} cannot be opened: {(error.strerror or str(error)).lower()}.",
            "Run driftd as the user that owns the file and its directory, where there is room to write.",
        ) from error


_COMPILED: LRUCache[Any, Any] = LRUCache(1000)


@cache
def _dialect() -> Dialect:
    """SQLAlchemy's SQLite, as it knows it after a first connection. What it has compiled is found by it, too."""
    with create_engine("sqlite://").connect() as connection:
        return connection.dialect


def _engine(path: str, mode: str, patience_s: float, *, looks: bool = False) -> Engine:
    """``looks``: its connections cannot write. Said once, as a connection is made: SQLite prepares all of a
    connection's statements anew after each such word.
    """
    # Not through SQLAlchemy's URL: a path may hold anything, and would be unquoted once too often.
    file = f"file:{quote(path)}?{mode}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(file, uri=True, timeout=patience_s, isolation_level=None, check_same_thread=False)

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=28,
        pool_timeout=patience_s,
        hide_parameters=True,
        execution_options={"compiled_cache": _COMPILED},
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: Any) -> None:
        # Bytes that are not UTF-8 can only come from damage; they are shown as damage and not as an exception.
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        for pragma in ("foreign_keys = ON", "synchronous = FULL", "trusted_schema = OFF", f"query_only = {looks}"):
            connection.execute(f"PRAGMA {pragma}")

    # What one store's statements were compiled to serves every other one of this process.
    engine.dialect = _dialect()
    return engine


def _use_wal(engine: Engine, path: str, patience_s: float) -> None:
    """Readers never wait for the writer. Two processes that switch a new file at once may meet: SQLite says "busy"
    without waiting there, so the waiting is done here.
    """
    deadline = time.monotonic() + patience_s
    while True:
        raw = engine.raw_connection()
        try:
            mode = raw.driver_connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]  # type: ignore[union-attr]  # just checked out
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
            continue
        finally:
            raw.close()
        if mode != "wal":
            raise StoreUnavailable(
                f"The store {path} cannot keep a write-ahead log there (SQLite says {mode!r}).",
                "Keep it on a local file system.",
            )
        return


def _readable(engine: Engine, path: str, patience_s: float) -> Engine:
    """``engine``, or one for a file that stands alone."""
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    except DBAPIError as error:
        if not copies.stands_alone(path, error.orig):
            raise
        engine.dispose()
        return _engine(path, copies.ALONE, patience_s)
    return engine


# --- migrations ------------------------------------------------------------------------------------------------------


def _bring_up_to_date(engine: Engine, path: str, *, read_only: bool, keep_old: bool) -> Path | None:
    """The copy that was made of an older store before it was changed, if it was."""
    with begun(engine, "BEGIN") as connection:
        step = _check_ours(connection, path)
    if step == HEAD:
        return None
    if read_only:
        raise StoreUnavailable(
            f"The store {path} is of an older driftd and must be brought up to date before it can be read."
            if step
            else f"There is no store at {path} yet: the file is empty.",
            "Start the daemon, which does it, or say: driftd store upgrade" if step else "Start the daemon: driftd run",
        )
    with begun(engine, "BEGIN IMMEDIATE") as connection:
        # Another process may have done it while this one waited for its turn.
        step = _check_ours(connection, path)
        if step == HEAD:
            return None
        kept = None
        if step is not None:
            _check_idle(connection, path)
            kept = copies.copy_aside(path, f"schema-{step}") if keep_old else None
        from driftd.edges.store import upgrading  # noqa: PLC0415  # half a second that most openings need not spend

        upgrading.upgrade(connection)
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        return kept


def _check_idle(connection: Connection, path: str) -> None:
    """An older daemon that runs would go on writing as it knows how. Raises ``LeaseHeld``."""
    row = connection.exec_driver_sql("SELECT holder, expires_at FROM lease").first()
    if row is not None and row[0] and row[1] > instant(datetime.now(UTC)) and not is_gone(row[0]):
        raise LeaseHeld(
            f"An older driftd runs on the store {path} ({short(row[0])}), and it is not brought up to date under it.",
            "Stop that one first.",
        )


def _check_ours(connection: Connection, path: str) -> str | None:
    """The step that the store is at; None for an empty file. Raises for another program's file or a newer driftd's."""
    application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
    tables = set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars())
    if not tables and application == 0:
        return None
    if application != APPLICATION_ID or "alembic_version" not in tables:
        raise StoreUnavailable(
            f"The file {path} is a database of another program.", "Name another file as the store; driftd makes it."
        )
    step = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()
    if step != HEAD and not _is_known(step):
        raise StoreUnavailable(
            f"The store {path} was written by a newer driftd (its schema is {step!r}).",
            "Use that version of driftd, or restore the backup made before it (docs/store.md).",
        )
    return str(step)


def schema_of(path: str) -> str:
    """The step of the migrations that the store at ``path`` is at. Raises ``StoreUnavailable`` as opening it would."""
    with translated(path):
        engine = _engine(path, "mode=ro", PATIENCE_S)
        try:
            engine = _readable(engine, path, PATIENCE_S)
            with begun(engine, "BEGIN") as connection:
                step = _check_ours(connection, path)
        finally:
            engine.dispose()
    if step is None:
        raise StoreUnavailable(f"There is no store at {path} yet: the file is empty.", "Start the daemon: driftd run")
    return step


def _is_known(step: str | None) -> bool:
    from driftd.edges.store import upgrading  # noqa: PLC0415  # see above

    return step in upgrading.steps()
