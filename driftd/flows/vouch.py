"""Vouch: what a person, or a key, says about the journal and the store: checkpoints, breaks and doubts accepted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime

from driftd.core import checkpoint
from driftd.core.chain import SUBJECT, Broken, Verified, Walk, acceptance
from driftd.core.checkpoint import Checkpoint, CheckpointPlace
from driftd.core.errors import BadInput
from driftd.core.findings import Severity
from driftd.core.journal import BEFORE_ALL
from driftd.core.memory import JournalLine, Message, Store
from driftd.core.moves import doubted
from driftd.core.upkeep import ChainState, Doubt, KeptCheckpoint
from driftd.core.wording import keeping

PAGE = 1000  # lines that one read of the store brings
NOTHING = hashlib.sha256(b"").hexdigest()  # the seal over no line at all


def write_checkpoint(store: Store, place: CheckpointPlace, made: Checkpoint, generator: str) -> KeptCheckpoint:
    """Seal ``made``, put it where it is shipped from, and keep it in the store. Raises BadInput, StoreUnavailable.

    The file first: what cannot be put there is not kept, so that it is tried again. And in no transaction, since that
    place may be a slow one, and everybody who writes would wait for it.
    """
    text = place.seal(checkpoint.encode(made, generator))
    kept = KeptCheckpoint(
        made.seq, made.hash, made.epoch, made.at, checkpoint.opened(text).envelope is not None, text
    )  # fmt: skip
    place.write(text)
    with store.write() as tx:
        tx.add_checkpoint(kept)
    return kept


def walked(store: Store) -> tuple[Walk, int]:
    """The whole chain; and the number of the last line that was read."""
    walk, last = Walk(), BEFORE_ALL
    for line in lines_after(store, BEFORE_ALL):
        walk.step(line)
        last = line.seq
    return walk, last


def against(answer: Verified | Broken, known: ChainState) -> Verified | Broken:
    """``answer`` beside what was verified before: a chain that was cut, or rewritten whole, holds in itself."""
    if isinstance(answer, Broken):
        return answer
    if known.broken:
        return Broken(known.broken, known.why, 0, NOTHING, answer.head)
    if answer.count < known.count:
        why = keeping.cut_off(answer.count, known.count)
        return Broken(answer.count + 1, why, 0, NOTHING, answer.head)
    return answer


def lines_after(store: Store, after: int) -> Iterator[JournalLine]:
    """The journal's lines, page by page, so that nobody waits for whoever reads them."""
    while True:
        with store.read() as tx:
            lines = tx.journal_lines(after=after, limit=PAGE)
        yield from lines
        if len(lines) < PAGE:
            return
        after = lines[-1].seq


def sign_head(store: Store, place: CheckpointPlace, generator: str, now: datetime) -> KeptCheckpoint:
    """A checkpoint on demand, for a chain that was just verified whole. Raises BadInput when it is broken or empty."""
    with store.read() as tx:  # before: what is written and verified meanwhile is beyond it
        facts, state = tx.store_facts(), tx.chain()
        doubts = [doubt for doubt in tx.doubts() if doubt.settled_at is None]
    answer = against(walked(store)[0].answer, state)
    if isinstance(answer, Broken):
        raise BadInput(keeping.broken(answer.seq, answer.why), keeping.BROKEN_HINT)
    if doubts:
        raise BadInput(keeping.doubted(doubts[0].why), keeping.DOUBT_HINT)
    if not answer.count:
        raise BadInput("the journal has no line yet, so there is nothing to sign", "driftd run writes the first ones")
    return write_checkpoint(store, place, Checkpoint(facts.id, answer.count, answer.head, facts.epoch, now), generator)


def accept_break(store: Store, by: str, reason: str, now: datetime) -> str:
    """A person goes on from a broken chain: a line that names the break and seals what lies behind it; the sentence.

    Nothing is rewritten. Raises BadInput when nothing is broken.
    """
    walk, last = walked(store)
    with store.write() as tx:
        for added in tx.journal_lines(after=last):
            walk.step(added)
        broken = against(walk.answer, tx.chain())
        if isinstance(broken, Verified):
            raise BadInput(f"{keeping.holds(broken.count, broken.head)}, so there is nothing to accept", "")
        line = tx.journal("human", SUBJECT, acceptance(broken, by, reason), now)
        walk.step(line)
        if walk.broken:
            raise BadInput("the journal cannot go on from here", "restore a backup: driftd store restore FILE")
        tx.put_chain(ChainState(line.seq, line.hash, now, now))
        text = keeping.accepted(broken.seq, broken.why, line.seq, by, reason)
        tx.say(Message(f"journal/accepted/{line.seq}", "journal-accepted", Severity.HIGH, text), now)
    return text


def accept_store(store: Store, by: str, reason: str, now: datetime) -> Sequence[Doubt]:
    """A person looked, and says that the store may act again; what was settled. Raises BadInput when nothing was.

    Of what is under way the store knows only how it stood in the copy: each such record is marked ``doubted``.
    """
    with store.write() as tx:
        settled = tx.settle_doubts(by, reason, now)
        if not settled:
            raise BadInput("nothing is doubted about this store, so there is nothing to accept", "see: driftd status")
        body = {"did": "store accepted", "by": by, "reason": reason, "doubts": [doubt.why for doubt in settled]}
        tx.journal("human", SUBJECT, body, now)
        for record in tx.open_replacements():
            if not record.doubted:
                tx.save_replacement(doubted(record))
    return settled
