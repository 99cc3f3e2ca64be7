"""What SQLite's and SQLAlchemy's errors are in driftd's words: one sentence, and what to do next."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from driftd.core.memory import StoreUnavailable

_BACKUP = "Restore it from a backup (docs/store.md); the damaged file is worth keeping as evidence."

# By SQLite's primary result code: what is said of the store, and the hint.
_SAID = {
    sqlite3.SQLITE_BUSY: (
        "is locked by another process for longer than driftd waits",
        "See which process holds it with: fuser -v FILE.",
    ),
    sqlite3.SQLITE_LOCKED: ("is locked by another process", "See which process holds it with: fuser -v FILE."),
    sqlite3.SQLITE_FULL: (
        "cannot grow: the disk is full",
        "Make room on that file system; nothing that was kept is lost.",
    ),
    sqlite3.SQLITE_CORRUPT: ("is damaged", _BACKUP),
    sqlite3.SQLITE_NOTADB: ("is not a database, or is damaged", _BACKUP),
    sqlite3.SQLITE_READONLY: (
        "cannot be written",
        "Run driftd as the user that owns the file and its directory, on a file system mounted for writing.",
    ),
    sqlite3.SQLITE_PERM: ("may not be opened", "Run driftd as the user that owns the file and its directory."),
    sqlite3.SQLITE_AUTH: ("may not be opened", "Run driftd as the user that owns the file and its directory."),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "Check that its directory exists and that this user may write in it.",
    ),
    sqlite3.SQLITE_IOERR: (
        "cannot be read or written: the disk answers with an error",
        "Check the disk and the file system (dmesg), then start driftd again.",
    ),
    sqlite3.SQLITE_CONSTRAINT: (
        "refused a change that contradicts what it holds",
        "Nothing of that change was kept. Please report it: driftd should not have asked.",
    ),
    sqlite3.SQLITE_TOOBIG: ("refused something too large", "Nothing of that change was kept."),
    sqlite3.SQLITE_NOMEM: ("cannot be read: no memory is left", "Free memory, then try again."),
}


def said(error: BaseException, path: str) -> StoreUnavailable:
    """``error`` as a sentence about the store at ``path``."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, UnicodeDecodeError):
        # What SQLite itself had to say quotes the damage, and Python could not read it.
        what, hint = _SAID[sqlite3.SQLITE_CORRUPT]
        return StoreUnavailable(f"The store {path} {what}.", hint)
    code = getattr(cause, "sqlite_errorcode", None)
    if code is None or code & 0xFF not in _SAID:
        first = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        return StoreUnavailable(f"The store {path} did not answer: {first}.", "See docs/store.md.")
    what, hint = _SAID[code & 0xFF]
    detail = f" ({cause})" if code & 0xFF == sqlite3.SQLITE_CONSTRAINT else ""
    return StoreUnavailable(f"The store {path} {what}{detail}.", hint.replace("FILE", path))


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Any error of the database inside the block leaves it as ``StoreUnavailable``."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError) as error:
        raise said(error, path) from error
