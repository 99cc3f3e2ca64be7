"""Care of a store: is it whole, copy it, put a copy back, bring it up to date. What people do, or a timer for them."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from driftd.core import restored
from driftd.core.chain import SUBJECT, Broken, Verified
from driftd.core.errors import BadInput
from driftd.core.holds import Hold
from driftd.core.memory import LeaseHeld, Pause, StoreUnavailable
from driftd.core.upkeep import StoreFacts
from driftd.edges.store import copies
from driftd.edges.store.holder import here
from driftd.edges.store.opening import HEAD, open_file, path_of, schema_of
from driftd.edges.store.sql import SqlStore

LEASE = timedelta(minutes=10)  # how long a restore may take, at most
# Where SQLite, as long as anybody has a store open, holds a lock on its -shm file (unixShmSystemLock, "DMS").
_OPEN_BYTE = 128


@dataclass(frozen=True, slots=True)
class Checked:
    """A store, looked at. ``damage`` is SQLite's sentence, "" when the file is whole.

    ``chain`` is None where it was not looked at: the file is damaged, or of an older driftd. A break that was found
    before counts until it is accepted, also where what is left holds in itself. ``size`` and ``log`` are bytes of the
    file and of its write-ahead log, ``free`` bytes in it that nothing uses.
    """

    path: Path
    schema: str
    newest: str
    damage: str
    chain: Verified | Broken | None
    facts: StoreFacts | None
    size: int
    log: int
    free: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What ``restore`` did: the store put in place, the one it replaced (None: there was none), and the sentence.

    ``lost`` is what people said to the one it replaced and the copy does not know; None where that could not be read.
    """

    path: Path
    aside: Path | None
    why: str
    chain: Verified | Broken
    lost: Stops | None


@dataclass(frozen=True, slots=True)
class Stops:
    """What people keep from being changed: pauses, and holds that have not ended."""

    pauses: Sequence[Pause] = ()
    holds: Sequence[Hold] = ()

    def without(self, known: Stops) -> Stops:
        """Those that ``known`` does not have, or has for less."""
        paused = {(one.group, one.hard) for one in known.pauses} | {(one.group, False) for one in known.pauses}
        until = {one.instance_id: one.until for one in known.holds}
        return Stops(
            [one for one in self.pauses if (one.group, one.hard) not in paused],
            [one for one in self.holds if one.instance_id not in until or until[one.instance_id] < one.until],
        )


def check(url: str) -> Checked:
    """Look at the store; nothing in it is changed. Raises ``StoreUnavailable`` for what is no store of driftd's."""
    return check_file(path_of(url))


def check_file(path: str) -> Checked:
    """``check`` for a file."""
    if not Path(path).is_file():
        raise StoreUnavailable(f"There is no store at {path}.", "Name the file of a store.")
    schema = schema_of(path)
    with copies.reading(path) as raw:
        damage = copies.damage(raw)
        page, free = (int(raw.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_size", "freelist_count"))
    chain, facts = None, None
    if schema == HEAD and not damage:
        store = open_file(path, read_only=True)
        try:
            chain = store.verify_journal()
            with store.read() as tx:
                facts, known = tx.store_facts(), tx.chain()
            if known.broken and isinstance(chain, Verified):
                chain = Broken(known.broken, known.why)
        finally:
            store.close()
    return Checked(Path(path), schema, HEAD, damage, chain, facts, _size(path), _size(f"{path}-wal"), page * free)


def backup(url: str, target: Path) -> Checked:
    """Copy the store to ``target`` while whoever writes to it goes on, and look at the copy. Raises as ``check``."""
    path = path_of(url)
    schema_of(path)
    if target.exists() and target.samefile(path):
        raise BadInput(f"{target} is the store itself", "name another file")
    copies.copy(path, target, replaces=True)
    return check_file(str(target))


def upgrade(url: str) -> tuple[str, Path | None]:
    """Bring the store up to date; the schema that it had, and the copy made before (None: it was up to date)."""
    path = path_of(url)
    if not Path(path).is_file():
        raise StoreUnavailable(f"There is no store at {path} yet.", "Start the daemon, which makes one: driftd run")
    before = schema_of(path)
    store = open_file(path)
    store.close()
    return before, store.kept


def restore(url: str, source: Path, by: str, now: datetime) -> Restored:
    """Put the backup ``source`` in the store's place; what was there is kept beside it.

    The restored store is marked: nothing is changed in the fleet until a person said ``driftd store accept``. Raises
    ``LeaseHeld`` while a daemon runs on the store, ``StoreUnavailable`` when the backup is damaged or a newer driftd's.
    """
    path = path_of(url)
    if Path(path).exists() and source.exists() and source.samefile(path):
        raise BadInput(f"{source} is the store itself", "name a backup")
    found = check_file(str(source.absolute()))
    if found.damage:
        raise StoreUnavailable(f"The backup {source} is damaged: {found.damage}.", "Restore another one.")
    made = Path(f"{path}.restoring-{os.getpid()}")
    with _alone(path, now) as (epoch, before):
        try:
            copies.copy(str(source.absolute()), made, replaces=True)
            doubt, chain, known = _mark(made, source, epoch, by, now)
            aside = _exchange(path, made, now)
        finally:
            for leftover in (made, Path(f"{made}-wal"), Path(f"{made}-shm")):
                leftover.unlink(missing_ok=True)
    return Restored(Path(path), aside, doubt, chain, before.without(known) if before is not None else None)


def _mark(made: Path, source: Path, epoch: int, by: str, now: datetime) -> tuple[str, Verified | Broken, Stops]:
    """Write into the copy, before it is anybody's store, that it was restored."""
    store = open_file(str(made), keep_old=False)
    try:
        chain = store.verify_journal()
        with store.write() as tx:
            last = tx.last_line()
            ends = f", whose journal ends at line {last.seq} of {last.at:%Y-%m-%d %H:%M:%S} UTC" if last else ""
            said = f"{source.name}{ends}"
            doubt = restored.put_back(now, said, epoch)
            tx.note_restored(doubt, said)
            tx.journal("human", SUBJECT, {"did": "store restored", "by": by, "from": said}, now)
            known = Stops(tx.pauses(), tx.holds(now))
    finally:
        store.close()
    return doubt.why, chain, known


@contextmanager
def _alone(path: str, now: datetime) -> Iterator[tuple[int, Stops | None]]:
    """Nobody runs on the store, nor begins to, inside the block. Gives its epoch, 0 where it can no longer tell, and
    what people keep from being changed, None where it cannot tell that.
    """
    holder, epoch = here(), 0
    stops = None if Path(path).exists() else Stops()
    if stops is None:
        with suppress(StoreUnavailable), _opened(path) as store:  # damaged: most likely why somebody restores
            epoch = store.take_lease(holder, LEASE.total_seconds(), now)
            with store.read() as tx:
                stops = Stops(tx.pauses(), tx.holds(now))
    try:
        _check_closed(path)
        yield epoch, stops
    except BaseException:
        if epoch:
            with suppress(StoreUnavailable), _opened(path) as store:
                store.drop_lease(holder, epoch)
        raise


def _check_closed(path: str) -> None:
    if user := open_by(path):
        raise LeaseHeld(f"Process {user} has the store {path} open.", "Stop driftd first, then restore.")


@contextmanager
def _opened(path: str) -> Iterator[SqlStore]:
    store = open_file(path)
    try:
        yield store
    finally:
        store.close()


def _exchange(path: str, made: Path, now: datetime) -> Path | None:
    """Put ``made`` in the store's place in one step; whoever opens the store finds the one or the other, never none."""
    aside, there = Path(f"{path}.replaced-{now:%Y%m%dT%H%M%S.%f}"), Path(path).exists()
    if there:
        aside.hardlink_to(path)
    # A log that was left belongs to the old file, also where that is gone, and would be played into the new one.
    for part in ("-wal", "-shm", "-journal"):
        if Path(path + part).exists():
            Path(path + part).rename(f"{aside}{part}")
    made.replace(path)
    copies.sync(Path(path).parent)
    return aside if there else None


def open_by(path: str) -> int:
    """The process that has the store open; 0 when none has. Not asked while this one has."""
    try:
        fd = os.open(f"{path}-shm", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        wish = struct.pack("@hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, _OPEN_BYTE, 1, 0)
        held: tuple[int, ...] = struct.unpack("@hhqqi4x", fcntl.fcntl(fd, fcntl.F_GETLK, wish))
    finally:
        os.close(fd)
    return held[4] if held[0] != fcntl.F_UNLCK else 0


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except FileNotFoundError:
        return 0
