"""The part of a transaction about the journal, and about what the store knows of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from driftd.core import journal
from driftd.core.journal import BEFORE_ALL
from driftd.core.memory import JournalLine, StoreUnavailable
from driftd.core.upkeep import ChainState, Doubt, KeptCheckpoint, StoreFacts
from driftd.edges.store.reading import Row
from driftd.edges.store.statements import Statements, fields_of, values_of
from driftd.edges.store.tables import LEASE
from driftd.edges.store.tables_journal import CHAIN, CHECKPOINT, DOUBT, JOURNAL, STORE

# How many checkpoints are kept: those that were written to files are the proof, these are for convenience.
CHECKPOINTS_KEPT = 300
# Not by line: where lines were cut off and a person accepted it, the newest is of a lower one.
_NEWEST_FIRST = (CHECKPOINT.c.at.desc(), CHECKPOINT.c.seq.desc())
_LINES = select(JOURNAL).where(JOURNAL.c.seq > bindparam("after")).order_by(JOURNAL.c.seq).limit(bindparam("most"))
_LINES_OF = _LINES.where(JOURNAL.c.subject == bindparam("subject"))
_LAST = select(JOURNAL).order_by(JOURNAL.c.seq.desc()).limit(1)
_EPOCH = select(LEASE.c.epoch)
_STORE, _CHAIN = select(STORE), select(CHAIN)
_DOUBTS = select(DOUBT).order_by(DOUBT.c.since, DOUBT.c.code, DOUBT.c.subject)
_CHECKPOINTS = select(CHECKPOINT).order_by(*_NEWEST_FIRST).limit(bindparam("most"))
# What any reader of JSON holds exactly. A line with a higher number was not written by driftd.
SEQ_LIMIT = 2**53


def _line(row: Row) -> JournalLine:
    """A line as it stands, however damaged: ``core.chain`` says what is wrong with it."""
    at, body = journal.read_instant(row["at"]), journal.read_body(row["body"])
    if at is None:
        at, body = journal.UNREADABLE_INSTANT, {"unreadable": repr((row["at"], row["body"]))}
    epoch, schema = (row[name] if isinstance(row[name], int) else -1 for name in ("epoch", "schema"))
    kind, subject, prev, digest = (str(row[name]) for name in ("kind", "subject", "prev", "hash"))
    return JournalLine(row["seq"], at, kind, subject, body, prev, digest, epoch, schema)


class JournalPart(Statements):
    """``Tx`` for the journal and the store's knowledge of itself."""

    # Nobody else writes while this transaction does, so what follows on what is read once.
    _newest: JournalLine | None = None
    _newest_epoch = 0

    def journal(self, kind: str, subject: str, body: Mapping[str, object], now: datetime) -> JournalLine:
        """Add a line. Only whole numbers, text, times, bytes, lists and mappings have a place in ``body``.

        Its epoch is the newest lease's: a transaction of a daemon whose lease is older never gets here.
        """
        last = self._newest
        if last is None:
            last, self._newest_epoch = self.last_line(), self._epoch()
        if last is not None and not 0 <= last.seq < SEQ_LIMIT:
            raise StoreUnavailable(
                f"The journal's last line has the number {last.seq}, which driftd never gave it.",
                "Somebody changed the store; restore a backup: driftd store restore FILE",
            )
        epoch = max(self._newest_epoch, last.epoch if last else 0)
        line = journal.next_line(last, kind, subject, body, now, epoch)
        kept = {"at": journal.instant(line.at), "body": journal.canonical(line.body).decode()}
        self.add(JOURNAL, values_of(line) | kept)
        self._newest = line
        return line

    def journal_lines(
        self, subject: str | None = None, after: int = BEFORE_ALL, *, limit: int | None = None
    ) -> Sequence[JournalLine]:
        """In order, from the line after number ``after``; at most ``limit``."""
        most = -1 if limit is None else limit  # SQLite's word for "all"
        if subject is None:
            rows = self.rows(_LINES, after=after, most=most)
        else:
            rows = self.rows(_LINES_OF, after=after, most=most, subject=subject)
        return [_line(row) for row in rows]

    def last_line(self) -> JournalLine | None:
        """The newest line."""
        row = self.one(_LAST)
        return _line(row) if row else None

    def _epoch(self) -> int:
        row = self.one(_EPOCH)
        return int(row["epoch"]) if row else 0

    # what the store knows of itself

    def store_facts(self) -> StoreFacts:
        row = self.one(_STORE)
        if row is None:
            raise StoreUnavailable(
                "The store does not know who it is: its own row is gone.",
                "Somebody changed the store; restore a backup: driftd store restore FILE",
            )
        return StoreFacts(row["store_id"], self._epoch(), row["floor"], row["restored_at"], row["restored_from"])

    def note_restored(self, doubt: Doubt, source: str) -> None:
        """This file was put in place of another: for ``driftd store restore`` alone. No lease in it counts."""
        floor = func.max(STORE.c.floor, doubt.epoch)
        self.run(update(STORE).values(restored_at=doubt.since, restored_from=source, floor=floor))
        self.run(update(LEASE).values(holder="", expires_at=doubt.since))
        self.add_doubt(doubt)

    def chain(self) -> ChainState:
        row = self.one(_CHAIN)
        return ChainState(**fields_of(ChainState, row)) if row else ChainState(head=journal.GENESIS)

    def put_chain(self, state: ChainState) -> None:
        self.put(CHAIN, {"id": 1} | values_of(state))

    def doubts(self) -> Sequence[Doubt]:
        """Oldest first, settled ones too."""
        return [Doubt(**row) for row in self.rows(_DOUBTS)]

    def add_doubt(self, doubt: Doubt) -> bool:
        return self.run(insert(DOUBT).on_conflict_do_nothing(), values_of(doubt)).rowcount > 0

    def settle_doubts(self, by: str, reason: str, now: datetime) -> Sequence[Doubt]:
        doubts = [doubt for doubt in self.doubts() if doubt.settled_at is None]
        settled = update(DOUBT).where(DOUBT.c.settled_at.is_(None))
        self.run(settled.values(settled_at=now, settled_by=by, reason=reason))
        epoch = max((doubt.epoch for doubt in doubts), default=0)
        self.run(update(STORE).values(floor=func.max(STORE.c.floor, epoch)))
        return doubts

    def checkpoints(self, limit: int = 50) -> Sequence[KeptCheckpoint]:
        return [KeptCheckpoint(**row) for row in self.rows(_CHECKPOINTS, most=limit)]

    def add_checkpoint(self, checkpoint: KeptCheckpoint) -> None:
        self.put(CHECKPOINT, values_of(checkpoint))
        kept = select(CHECKPOINT.c.seq).order_by(*_NEWEST_FIRST).limit(CHECKPOINTS_KEPT)
        self.run(delete(CHECKPOINT).where(CHECKPOINT.c.seq.not_in(kept)))
