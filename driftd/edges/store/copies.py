"""Copies of a store's file, made by SQLite's own means while somebody writes to it: whole, private, or not at all."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from driftd.core.memory import StoreUnavailable
from driftd.edges.store.faults import said

_BUSY_S = 10.0
# How SQLite is asked for a file that ``stands_alone``.
ALONE = "mode=ro&immutable=1"


@contextmanager
def reading(path: str) -> Iterator[sqlite3.Connection]:
    """The file at ``path``, opened only to be read; whatever goes wrong is ``StoreUnavailable``."""
    try:
        with closing(_reader(path)) as raw:
            yield raw
    except sqlite3.Error as error:
        raise said(error, path) from error


def stands_alone(path: str, error: BaseException | None) -> bool:
    """Whether ``error`` is that this user may not write beside the file, and no log is there: then the file alone is
    the whole truth.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) and not Path(f"{path}-wal").exists()


def _reader(path: str) -> sqlite3.Connection:
    raw = _connected(path, "mode=ro")
    try:
        raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raw.close()
        if not stands_alone(path, error):
            raise
        raw = _connected(path, ALONE)
    return raw


def _connected(path: str, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(path)}?{mode}", uri=True, timeout=_BUSY_S)


def damage(raw: sqlite3.Connection) -> str:
    """What SQLite itself finds wrong with a file; "" when nothing is."""
    found = [str(row[0]) for row in raw.execute("PRAGMA integrity_check(3)")]
    if found != ["ok"]:
        return "; ".join(found)
    strays = raw.execute("PRAGMA foreign_key_check").fetchmany(1)
    return f"a row of {strays[0][0]} belongs to nothing" if strays else ""


def copy(source: str, target: Path, *, replaces: bool) -> None:
    """Put a copy of the store ``source`` at ``target``: of one moment, checked, readable by its owner alone.

    Raises ``StoreUnavailable``; then ``target`` is as it was. ``replaces`` allows another file to be there.
    """
    where = _blank(target)
    try:
        with reading(source) as raw:
            _fill(raw, where, target)
        try:
            if replaces:
                where.replace(target)
            else:
                target.hardlink_to(where)
            sync(target.parent)
        except OSError as error:
            raise _cannot(target, error) from error
    finally:
        for leftover in (where, Path(f"{where}-wal"), Path(f"{where}-shm"), Path(f"{where}-journal")):
            leftover.unlink(missing_ok=True)


def copy_aside(path: str, word: str) -> Path:
    """A copy of the store beside it, under a name that nothing has yet: ``driftd.db.schema-0006``. It is returned."""
    number = 1
    while True:
        target = Path(f"{path}.{word}" if number == 1 else f"{path}.{word}.{number}")
        if not target.exists():
            copy(path, target, replaces=False)
            return target
        number += 1


def sync(directory: Path) -> None:
    """Names in ``directory`` are on the disk, too."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _blank(target: Path) -> Path:
    if target.is_dir() or (target.exists() and not target.is_file()):
        raise StoreUnavailable(f"The copy cannot be made: {target} is no file.", "Name a file, which is made.")
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:64]}.")
    except OSError as error:
        raise _cannot(target, error) from error
    os.close(handle)
    return Path(name)


def _fill(raw: sqlite3.Connection, where: Path, target: Path) -> None:
    try:
        with closing(sqlite3.connect(where, timeout=_BUSY_S)) as made:
            # All pages in one step: the view of one moment, which writers do not disturb and which disturbs none.
            raw.backup(made, pages=-1)
            # One file that stands for itself; whoever opens it as a store makes the log anew.
            made.execute("PRAGMA journal_mode = DELETE")
            wrong = damage(made)
    except sqlite3.Error as error:
        # Which of the two files failed, SQLite does not say; the source was just opened, so it is named where it lies.
        raise StoreUnavailable(f"The copy {target} cannot be made: {error}.", _hint(error)) from error
    if wrong:
        raise StoreUnavailable(
            f"The copy {target} was not made, since the store is damaged: {wrong}.", "Restore it: driftd store restore"
        )
    fd = os.open(where, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _hint(error: sqlite3.Error) -> str:
    full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return "Make room on that file system." if full else "Look at both file systems, then try again."


def _cannot(target: Path, error: OSError) -> StoreUnavailable:
    why = (error.strerror or str(error)).lower()
    return StoreUnavailable(f"The copy {target} cannot be made: {why}.", "Name a file in a directory one may write to.")
