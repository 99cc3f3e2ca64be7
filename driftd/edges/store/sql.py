"""The store itself: transactions, and the controller's lease with its fencing epoch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, bindparam, select, update

from driftd.core.chain import Broken, Verified, Walk
from driftd.core.journal import BEFORE_ALL
from driftd.core.memory import LeaseHeld, StoreUnavailable
from driftd.edges.store.faults import translated
from driftd.edges.store.holder import is_gone, short
from driftd.edges.store.reading import Row
from driftd.edges.store.tables import LEASE
from driftd.edges.store.tx import SqlTx

# Lines verified at a time, so that a journal of any length fits in memory.
PAGE = 2000

_LEASE = select(LEASE)
_OURS = (LEASE.c.holder == bindparam("by")) & (LEASE.c.epoch == bindparam("under"))
_RENEW = update(LEASE).where(_OURS).values(expires_at=bindparam("until"))
_DROP = update(LEASE).where(_OURS).values(holder="")


@contextmanager
def begun(engine: Engine, begin: str) -> Iterator[Connection]:
    """A connection inside one transaction, begun by ``BEGIN`` or ``BEGIN IMMEDIATE``.

    Said to SQLite itself: a listener of the engine's would make SQLAlchemy look for listeners at every statement.
    Raises ``sqlite3.Error``, too, where it cannot begin.
    """
    with engine.connect() as connection, connection.begin():
        connection.connection.driver_connection.execute(begin)  # type: ignore[union-attr]  # it is there
        yield connection


class SqlStore:
    """``Store`` on one SQLite file. Made by ``open_store``; may be used from several threads.

    A store that took the lease is fenced: once another daemon has taken it over, every write raises ``LeaseHeld``.
    A store that never took it (a command that pauses, accepts, cancels) is not: what it writes are requests, each in
    its own immediate transaction, and they are as good under one daemon as under the next.
    """

    def __init__(
        self, engine: Engine, path: str, *, reading: Engine | None, patience_s: float, kept: Path | None = None
    ) -> None:
        """``reading`` has the connections that cannot write; without one the whole store is there to be read."""
        self.kept = kept  # the copy of an older store, where opening this one brought it up to date
        self._engine = engine
        self._reading = reading or engine
        self._path = path
        self._read_only = reading is None
        self._patience_s = patience_s
        self._epoch: int | None = None
        self._writing = threading.Lock()
        self._writer: int | None = None
        self._file = self._identity()

    @property
    def path(self) -> str:
        """The file, for messages."""
        return self._path

    # transactions

    @contextmanager
    def write(self) -> Iterator[SqlTx]:
        """One immediate transaction: what it reads stays true until it commits. Raises ``StoreUnavailable``."""
        with self._writable() as tx:
            self._fence(tx)
            yield tx

    @contextmanager
    def read(self) -> Iterator[SqlTx]:
        """A view of one moment; it waits for no writer and cannot write."""
        with self._transaction(self._reading, "BEGIN") as tx:
            yield tx

    @contextmanager
    def _writable(self) -> Iterator[SqlTx]:
        if self._read_only:
            raise StoreUnavailable(f"The store {self._path} was opened only to read.", "This is a mistake in driftd.")
        if self._writer == threading.get_ident():
            raise RuntimeError("a write inside a write: one transaction, or two one after the other")
        # Threads queue here, in turn; SQLite's own waiting would let them race.
        if not self._writing.acquire(timeout=self._patience_s):
            raise StoreUnavailable(
                f"The store {self._path} is busy: another task of this process writes for longer than "
                f"{self._patience_s:g} s.",
                "Look for a job that hangs in the log.",
            )
        self._writer = threading.get_ident()
        try:
            self._check_file()
            with self._transaction(self._engine, "BEGIN IMMEDIATE") as tx:
                yield tx
        finally:
            self._writer = None
            self._writing.release()

    @contextmanager
    def _transaction(self, engine: Engine, begin: str) -> Iterator[SqlTx]:
        with translated(self._path), begun(engine, begin) as connection:
            tx = SqlTx(connection, self._path)
            yield tx
            self._check_whole(connection, tx)

    @staticmethod
    def _check_whole(connection: Connection, tx: SqlTx) -> None:
        """Somebody may have caught the failure of a statement; the transaction has failed all the same."""
        if tx.broken is not None:
            raise tx.broken
        if connection.closed:
            raise RuntimeError("a transaction was ended from inside")

    def _identity(self) -> tuple[int, int] | None:
        try:
            stat = Path(self._path).stat()
        except OSError:
            return None
        return stat.st_dev, stat.st_ino

    def _check_file(self) -> None:
        """SQLite goes on writing to a file that was deleted or replaced, and all of it would be lost."""
        if self._identity() != self._file:
            raise StoreUnavailable(
                f"The store {self._path} was deleted or replaced while driftd ran.",
                "Stop driftd, put the right file in place, and start it again.",
            )

    # the lease

    def take_lease(self, holder: str, ttl_s: float, now: datetime) -> int:
        with self._writable() as tx:
            row = tx.one(_LEASE)
            if row is not None and row["holder"] and row["expires_at"] > now and not self._may_take(row, holder):
                raise LeaseHeld(
                    f"Another driftd runs on the store {self._path}: {short(row['holder'])}, "
                    f"since {row['taken_at']:%Y-%m-%d %H:%M:%S} UTC.",
                    f"Stop that one first, or give this one a store of its own; if it is gone for good, "
                    f"its lease runs out at {row['expires_at']:%H:%M:%S} UTC.",
                )
            # Above whatever was ever written here, and whatever a person took note of elsewhere.
            facts, last = tx.store_facts(), tx.last_line()
            epoch = max(facts.epoch, facts.floor, last.epoch if last else 0) + 1
            until = now + timedelta(seconds=ttl_s)
            tx.put(LEASE, {"id": 1, "holder": holder, "epoch": epoch, "taken_at": now, "expires_at": until})
        self._epoch = epoch
        return epoch

    def _may_take(self, row: Row, holder: str) -> bool:
        return (row["holder"] == holder and row["epoch"] == self._epoch) or is_gone(row["holder"])

    def renew_lease(self, holder: str, epoch: int, ttl_s: float, now: datetime) -> None:
        with self._writable() as tx:
            if not tx.changed(_RENEW, by=holder, under=epoch, until=now + timedelta(seconds=ttl_s)):
                raise self._lost(tx.one(_LEASE))

    def drop_lease(self, holder: str, epoch: int) -> None:
        """Give it back, so that the next one need not wait. No longer ours is success."""
        with self._writable() as tx:
            tx.changed(_DROP, by=holder, under=epoch)

    def _fence(self, tx: SqlTx) -> None:
        if self._epoch is None:
            return
        row = tx.one(_LEASE)
        if row is None or row["epoch"] != self._epoch:
            raise self._lost(row)

    def _lost(self, row: Row | None) -> LeaseHeld:
        if row is None or not row["holder"]:
            return LeaseHeld(
                f"This driftd no longer holds the lease of the store {self._path}.", "Start it again to take the lease."
            )
        return LeaseHeld(
            f"Another driftd took over the store {self._path}: {short(row['holder'])}, "
            f"since {row['taken_at']:%Y-%m-%d %H:%M:%S} UTC; this one changes nothing any more.",
            "Let that one work, or stop it and start this one again.",
        )

    # the journal

    def verify_journal(self) -> Verified | Broken:
        """Check the whole chain, page by page, as of one moment."""
        walk, last = Walk(), BEFORE_ALL
        with self.read() as tx:
            while lines := tx.journal_lines(after=last, limit=PAGE):
                for line in lines:
                    walk.step(line)
                last = lines[-1].seq
        return walk.answer

    def close(self) -> None:
        """Give back all connections; the last one to leave tidies the write-ahead log into the file."""
        self._reading.dispose()
        self._engine.dispose()
