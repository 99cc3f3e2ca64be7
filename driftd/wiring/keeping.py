"""Keeping, joined together: the journal's proof and the store's care."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from driftd import __version__
from driftd.core import checkpoint, export
from driftd.core.chain import Accepted, Broken, Verified
from driftd.core.errors import BadInput
from driftd.core.journal import BEFORE_ALL, instant
from driftd.core.wording import count, keeping, putback
from driftd.doors.desks.keeping import CheckpointMade, Proven, Stopped, StoreState
from driftd.edges import documents
from driftd.edges import store as stores
from driftd.edges.store import SqlStore, open_store
from driftd.flows.vouch import accept_break, accept_store, against, lines_after, sign_head

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse

GENERATOR = f"driftd {__version__}"


class Keeping:
    """Implements ``driftd.doors.desks.keeping.KeepingDesk`` for one house."""

    def __init__(self, house: WiredHouse) -> None:
        self._house = house

    def place(self) -> documents.CheckpointFile:
        """Where this store's newest checkpoint lies."""
        settings = self._house.settings
        store = Path(stores.path_of(self._house.store_url))
        directory = settings.path(settings.journal.checkpoints) if settings.journal.checkpoints else store.parent
        key = settings.path(settings.trust.signing_key) if settings.trust.signing_key else None
        return documents.CheckpointFile(directory / f"{store.name}.checkpoint.json", key)

    # --- the journal ---

    def stopped(self) -> Sequence[Stopped]:
        with self._opened(read_only=True) as store, store.read() as tx:
            chain = tx.chain()
            doubts = [doubt for doubt in tx.doubts() if doubt.settled_at is None]
        found = [Stopped(doubt.code, keeping.doubted(doubt.why), keeping.DOUBT_HINT) for doubt in doubts]
        if chain.broken:
            why = keeping.journal_broken(chain.broken, chain.why)
            found.insert(0, Stopped("journal-broken", why, keeping.BROKEN_HINT))
        return found

    def verify(self) -> Mapping[str, object]:
        with self._opened(read_only=True) as store:
            with store.read() as tx:  # before: what a daemon writes meanwhile is beyond what it had verified
                state = tx.chain()
            answer = against(store.verify_journal(), state)
        if isinstance(answer, Broken):
            return {"ok": False, "lines": answer.seq, "head": "", "said": keeping.broken(answer.seq, answer.why)}
        said = keeping.holds(answer.count, answer.head)
        accepted = [_accepted(one) for one in answer.accepted]
        also = "".join(f"; {one}" for one in accepted)
        return {"ok": True, "lines": answer.count, "head": answer.head, "said": said + also, "accepted": accepted}

    def export(self, since: int) -> Iterator[bytes]:
        with self._opened(read_only=True) as store:
            with store.read() as tx:
                header = export.Header(tx.store_facts().id)
                if since:
                    before = tx.journal_lines(after=since - 1, limit=1)
                    if not before or before[0].seq != since:
                        raise BadInput(f"the journal has no line {since}", "see: driftd journal show")
                    header = export.Header(header.store, since, before[0].hash, before[0].epoch)
            yield export.head_line(header)
            # Page by page: who reads this may be slow, and a transaction that stays open lets the store's log grow.
            for line in lines_after(store, since or BEFORE_ALL):
                yield export.body_line(line)

    def prove(self, file: Path, checkpoint: Path | None, keys: Sequence[Path]) -> Proven:
        return prove(file, checkpoint, keys)

    def checkpoint(self, file: Path | None) -> CheckpointMade:
        place = self.place()
        if file is not None:
            place = documents.CheckpointFile(file, place.key)
        with self._opened() as store:
            made = sign_head(store, place, GENERATOR, self._now())
        return CheckpointMade(place.file, made.seq, made.hash, made.signed)

    def accept_break(self, reason: str) -> str:
        with self._opened() as store:
            said = accept_break(store, self._house.person(), reason, self._now())
            self._sign_anew(store)
        return said

    def _sign_anew(self, store: SqlStore) -> None:
        """So that the checkpoint speaks for what was accepted; where it cannot, the daemon does it later."""
        with suppress(BadInput):
            sign_head(store, self.place(), GENERATOR, self._now())

    # --- the store ---

    def check(self) -> StoreState:
        return _state(stores.check(self._house.store_url))

    def backup(self, file: Path) -> StoreState:
        return _state(stores.backup(self._house.store_url, file))

    def restore(self, file: Path) -> Sequence[str]:
        done = stores.restore(self._house.store_url, file, self._house.person(), self._now())
        said = [f"{done.path}: {done.why}"]
        if done.aside is not None:
            said.append(f"what was there before is kept: {done.aside}")
        if isinstance(done.chain, Broken):
            said.append(keeping.broken(done.chain.seq, done.chain.why))
        said += _lost(done.lost, self._now())
        return [*said, f"nothing is changed in the fleet until somebody has looked: {keeping.DOUBT_HINT}"]

    def upgrade(self) -> Sequence[str]:
        before, kept = stores.upgrade(self._house.store_url)
        if kept is None:
            return [f"the store is up to date (schema {before})"]
        return [f"the store was brought up to date, from schema {before}", f"as it was before, it is kept: {kept}"]

    def accept(self, reason: str) -> Sequence[str]:
        with self._opened() as store:
            settled = accept_store(store, self._house.person(), reason, self._now())
            self._sign_anew(store)
        return [doubt.why for doubt in settled]

    @contextmanager
    def _opened(self, *, read_only: bool = False) -> Iterator[SqlStore]:
        store = open_store(self._house.store_url, read_only=read_only)
        try:
            yield store
        finally:
            store.close()

    def _now(self) -> datetime:
        return self._house.now()


def prove(file: Path, checkpoint_file: Path | None, keys: Sequence[Path]) -> Proven:
    """See ``KeepingDesk.prove``."""
    claim, against, said = None, "", []
    if checkpoint_file is not None:
        found = checkpoint.opened(documents.load_checkpoint(checkpoint_file))
        if not keys:
            raise BadInput("without a key the checkpoint proves nothing", "say whose signature counts: --key FILE.pub")
        claim = found.said
        against = checkpoint.unsigned(found, documents.verifiers([documents.load_public(key) for key in keys]))
    with documents.lines_of(file, export.LINE_LIMIT) as lines:
        header = export.read_header(next(lines, b""))
        proof = export.prove(header, lines, claim)
    said.append(f"store {header.store[:8]}, {count(proof.lines, 'line')}: the chain holds up to line {proof.good}")
    said += [_accepted(one) for one in proof.accepted]
    if proof.against:
        said.append(proof.against)
    if against:
        said.append(against)
    elif claim is not None and not proof.against:
        here = (
            ", and all before it,"
            if claim.seq > header.after
            else ", which is not in this file and on which it follows,"
        )
        said.append(f"line {claim.seq}{here} is as it was signed at {instant(claim.at)}")
    elif claim is None:
        said.append("nothing was said about lines cut off its end: no checkpoint was given")
    return Proven(not proof.against and not against, proof, said)


def _accepted(one: Accepted) -> str:
    return keeping.accepted(one.seq, one.why, one.line, one.by, one.reason)


def _lost(lost: stores.Stops | None, now: datetime) -> Sequence[str]:
    """What people said to the store that was replaced, and nobody knows any more."""
    if lost is None:
        return [putback.UNREAD]
    paused = [putback.paused(one.group, one.owner, one.reason, hard=one.hard) for one in lost.pauses]
    return [*paused, *(putback.held(one.instance_id, one.owner, one.reason, one.until, now) for one in lost.holds)]


def _state(found: stores.Checked) -> StoreState:
    chain, facts = found.chain, found.facts
    said = [f"{found.path}: {found.size} bytes, of them {found.free} free; {found.log} more in its log"]
    said.append(f"the file is damaged: {found.damage}" if found.damage else "SQLite finds nothing wrong with it")
    newest = "the newest" if found.schema == found.newest else f"the newest is {found.newest}: driftd store upgrade"
    said.append(f"its schema is {found.schema}, {newest}")
    if isinstance(chain, Broken):
        said.append(keeping.broken(chain.seq, chain.why))
    elif chain is not None:
        said.append(keeping.holds(chain.count, chain.head))
    else:
        said.append("its journal was not looked at: that takes a whole file of the newest schema")
    good = not found.damage and not isinstance(chain, Broken)
    values: dict[str, object] = {
        "ok": good,
        "path": str(found.path),
        "store": facts.id if facts else "",
        "schema": found.schema,
        "newest_schema": found.newest,
        "damage": found.damage,
        "bytes": found.size,
        "log_bytes": found.log,
        "free_bytes": found.free,
        "journal": _chain_values(chain),
    }
    return StoreState(good, values, said)


def _chain_values(chain: Verified | Broken | None) -> Mapping[str, object] | None:
    if chain is None:
        return None
    if isinstance(chain, Broken):
        return {"ok": False, "line": chain.seq, "why": chain.why}
    return {"ok": True, "lines": chain.count, "head": chain.head}
