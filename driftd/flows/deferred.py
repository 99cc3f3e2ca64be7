"""Deferred: what one round only learnt, and nothing was done about, is written together at its end.

A thousand replacements that wait, or that were let through a first look and wait then, are one transaction instead of a
thousand. Nothing is lost with a process that dies before: the next one looks and decides as ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from driftd.core.memory import StaleRecord, Store
from driftd.core.replacement import Record
from driftd.core.world import Advance, Finish, Halt
from driftd.flows.opening import write_move

Move = tuple[Record, Advance | Finish | Halt, datetime]


@dataclass(slots=True)
class _Entry:
    """A record as the store has it, as it is by now, and how it came there."""

    kept: Record
    now: Record
    moves: list[Move] = field(default_factory=list)


class Deferred:
    """What is still to be written in this round, by replacement."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._entries: dict[str, _Entry] = {}
        self._stale: set[str] = set()
        self._again: dict[str, tuple[int, datetime | None]] = {}  # the version for which it is meant, and when

    def begin(self, rids: frozenset[str]) -> None:
        """A round begins, in which these are open. What the last one could not write is decided anew."""
        self._entries.clear()
        self._stale.clear()
        self._again = {rid: kept for rid, kept in self._again.items() if rid in rids}

    def due(self, record: Record) -> datetime | None:
        """When to look at it again. For one that only waits on, that stands nowhere else."""
        version, at = self._again.get(record.rid, (-1, None))
        return at if version == record.version else record.next_at

    def waits(self, before: Record, after: Record) -> None:
        """It goes on waiting."""
        self._entry(before).now = after

    def moves(self, before: Record, after: Record, answer: Advance | Finish | Halt, now: datetime) -> None:
        """It moves, and takes nothing that another may want."""
        entry = self._entry(before)
        entry.now = after
        entry.moves.append((before, answer, now))

    def _entry(self, before: Record) -> _Entry:
        return self._entries.setdefault(before.rid, _Entry(before, before))

    def settled(self, record: Record) -> Record:
        """The record with the version that the store has, so that it can move on there. Raises ``StaleRecord``."""
        if record.rid not in self._entries:
            return record
        self.write()
        if record.rid in self._stale:
            raise StaleRecord(f"Replacement {record.rid} was changed by somebody else in the meantime.")
        return replace(record, version=record.version + 1)

    def write(self) -> None:
        """Write it all. Whoever moved one meanwhile (a cancel) knows better, and it is read again in the next round."""
        entries, self._entries = self._entries, {}
        changed = []
        for rid, entry in entries.items():
            # When to look again is not worth a line: after a restart, each is looked at once.
            if not entry.moves and entry.now == replace(entry.kept, next_at=entry.now.next_at):
                self._again[rid] = entry.kept.version, entry.now.next_at
            else:
                changed.append(entry)
        if not changed:
            return
        with self._store.write() as tx:
            for entry in changed:
                try:
                    tx.save_replacement(entry.now)
                except StaleRecord:
                    self._stale.add(entry.kept.rid)
                    continue
                for move in entry.moves:
                    write_move(tx, *move)
