"""Keep: verify the journal bit by bit, sign for its head now and then, and notice a store that is older than the world.

Whatever it finds is written to the store, where everything that changes the fleet reads it before each call
(flows/stops.py). Auditing never asks.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from driftd.core import checkpoint, restored
from driftd.core.chain import SUBJECT, Broken, Walk
from driftd.core.checkpoint import Checkpoint, CheckpointPlace
from driftd.core.errors import BadInput, ProviderError
from driftd.core.findings import Severity
from driftd.core.journal import BEFORE_ALL
from driftd.core.memory import JournalLine, Message, Store, Tx
from driftd.core.upkeep import ChainState, Doubt
from driftd.core.wording import keeping
from driftd.flows.groups import Group
from driftd.flows.vouch import NOTHING, PAGE, write_checkpoint

BUDGET_S = 1.0  # of one beat, for verifying
WHOLE_EVERY = timedelta(days=1)
MARKS_EVERY = timedelta(minutes=10)


class Keeper:
    """Keeps a store's proof. ``unready`` says what was not yet known since the start; until then nothing is changed.

    ``checkpoint_every`` is how often a checkpoint is written while the journal grows. ``generator`` is named in it.
    """

    def __init__(
        self,
        store: Store,
        groups: Mapping[str, Group],
        place: CheckpointPlace,
        *,
        clock: Callable[[], datetime],
        generator: str,
        checkpoint_every: timedelta = timedelta(hours=1),
        whole_every: timedelta = WHOLE_EVERY,
        marks_every: timedelta = MARKS_EVERY,
        budget_s: float = BUDGET_S,
        ticking: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._groups = groups
        self._place = place
        self._clock = clock
        self._generator = generator
        self._checkpoint_every = checkpoint_every
        self._whole_every = whole_every
        self._marks_every = marks_every
        self._budget_s = budget_s
        self._ticking = ticking
        self._whole: Walk | None = Walk()  # begun at each start
        self._whole_last = BEFORE_ALL
        self._caught_up = False
        self._far = (0, 0)
        self._marks_at: dict[str, datetime] = {}
        self._claim_read = False

    def unready(self, group: str) -> str:
        """Why nothing may be changed in ``group`` yet; "" once chain, checkpoint and marks were read."""
        if not self._caught_up:
            return keeping.journal_unverified(*self._far)
        if not self._claim_read or group not in self._marks_at:
            return keeping.unread(group)
        return ""

    def tick(self) -> list[str]:
        """One beat; what was found, in sentences. Raises ``StoreUnavailable``."""
        said = self._verify()
        said += self._doubt()
        self._checkpoint(due_only=True)
        return said

    def finish(self) -> None:
        """At the end: verify what was written last, and sign for it. Raises BadInput, ``StoreUnavailable``."""
        self._verify()
        self._checkpoint(due_only=False)

    # --- the chain ---

    def _verify(self) -> list[str]:
        now, until = self._clock(), self._ticking() + self._budget_s
        with self._store.read() as tx:
            state, last = tx.chain(), tx.last_line()
        if state.broken:
            self._caught_up = True
            return [keeping.broken(state.broken, state.why)]
        answer, at_end = self._newest(state, last, now, until)
        broken = answer or self._all(state, now, until)
        said = self._break(broken, now) if broken is not None else []
        # Only now: others ask while this runs, and a break holds them once it is written. To know of one is to know.
        self._caught_up |= at_end or broken is not None
        return said

    def _newest(
        self, state: ChainState, last: JournalLine | None, now: datetime, until: float
    ) -> tuple[Broken | None, bool]:
        """What was added since the last beat, or the last time driftd ran; and whether that is all."""
        end = last.seq if last is not None else 0
        if end < state.count:
            return Broken(end + 1, keeping.cut_off(end, state.count), 0, NOTHING), True
        known = self._line(state.count) if state.count else None
        if state.count and (known is None or known.hash != state.head):
            return Broken(state.count, keeping.rewritten(state.count), 0, NOTHING), True
        walk = Walk(state.count, state.head, known.epoch if known else 0)
        at_end, _ = self._advance(walk, state.count or BEFORE_ALL, until)
        self._far = (walk.count, end)
        answer = walk.answer
        if isinstance(answer, Broken):
            return answer, at_end
        if answer.count != state.count:
            self._save(state, replace(state, count=answer.count, head=answer.head, checked_at=now))
        return None, at_end

    def _all(self, state: ChainState, now: datetime, until: float) -> Broken | None:
        """The whole chain, once a day and after each start, as much of it as there is time for."""
        if self._whole is None:
            if state.whole_at is not None and now < state.whole_at + self._whole_every:
                return None
            self._whole, self._whole_last = Walk(), BEFORE_ALL
        at_end, self._whole_last = self._advance(self._whole, self._whole_last, until)
        if not at_end:
            return None
        answer = self._whole.answer
        if isinstance(answer, Broken):
            return answer  # and stays, until it is written
        self._whole = None
        with self._store.read() as tx:
            state = tx.chain()
        self._save(state, replace(state, whole_at=now))
        return None

    def _advance(self, walk: Walk, after: int, until: float) -> tuple[bool, int]:
        """Walk on while there is time; whether the end was reached, and the last line that was read."""
        while True:
            with self._store.read() as tx:
                lines = tx.journal_lines(after=after, limit=PAGE)
            for line in lines:
                walk.step(line)
                after = line.seq
            if len(lines) < PAGE:
                return True, after
            if self._ticking() >= until:
                return False, after

    def _line(self, seq: int) -> JournalLine | None:
        with self._store.read() as tx:
            found = tx.journal_lines(after=seq - 1, limit=1)
        return found[0] if found and found[0].seq == seq else None

    def _save(self, before: ChainState, after: ChainState) -> None:
        """Unless a person accepted a break in the meantime, which knows better."""
        with self._store.write() as tx:
            if tx.chain() == before:
                tx.put_chain(after)

    def _break(self, broken: Broken, now: datetime) -> list[str]:
        text = keeping.journal_broken(broken.seq, broken.why)
        with self._store.write() as tx:
            state = tx.chain()
            if not state.broken:
                tx.put_chain(replace(state, broken=broken.seq, why=broken.why, broken_at=now))
                tx.journal("observation", SUBJECT, {"broken": broken.seq, "why": broken.why}, now)
                key = f"journal/broken/{broken.seq}/{now:%Y%m%dT%H%M%S}"
                tx.say(Message(key, "journal-broken", Severity.CRITICAL, f"{text}; {keeping.BROKEN_HINT}"), now)
        self._whole = None  # whoever accepts it walks the whole chain
        return [text]

    # --- doubts ---

    def _doubt(self) -> list[str]:
        """A claim, and a group's marks, count as read once what they say against the store is written."""
        now = self._clock()
        said: list[str] = []
        if not self._claim_read:
            said += self._write_doubts(self._by_checkpoint(now), now)
            self._claim_read = True
        for name, group in self._groups.items():
            read_at = self._marks_at.get(name)
            if read_at is not None and now < read_at + self._marks_every:
                continue
            try:
                found = self._by_marks(group, now)
            except ProviderError as error:
                said.append(f"the marks of {name} could not be read: {error}")
                continue
            said += self._write_doubts(found, now)
            self._marks_at[name] = now
        return said

    def _by_checkpoint(self, now: datetime) -> list[Doubt]:
        try:
            text = self._place.read()
        except BadInput as error:
            with self._store.read() as tx:
                known = any(doubt.code == "checkpoint" and doubt.settled_at is None for doubt in tx.doubts())
            # What cannot be read at all has no digest: it is asked about anew with each start after it was settled.
            return [] if known else [restored.unreadable_checkpoint("", str(error), now)]
        if text is None:
            return []
        try:
            claim = checkpoint.opened(text).said
        except BadInput as error:
            return [restored.unreadable_checkpoint(hashlib.sha256(text).hexdigest(), str(error), now)]
        with self._store.read() as tx:
            last = tx.last_line()
            doubt = restored.by_checkpoint(
                tx.store_facts(), last.seq if last else 0, lambda seq: _hash_of(tx, seq), claim, now
            )
        return [doubt] if doubt is not None else []

    def _by_marks(self, group: Group, now: datetime) -> list[Doubt]:
        members = group.members()
        with self._store.read() as tx:
            return restored.by_marks(tx.store_facts(), members, lambda rid: tx.replacement(rid) is not None, now)

    def _write_doubts(self, found: Sequence[Doubt], now: datetime) -> list[str]:
        if not found:
            return []
        said = []
        with self._store.write() as tx:
            for doubt in found:
                if tx.add_doubt(doubt):
                    text = keeping.doubted(doubt.why)
                    tx.journal("observation", SUBJECT, {"doubt": doubt.code, "why": doubt.why}, now)
                    key = f"doubt/{doubt.code}/{doubt.subject}"
                    tx.say(Message(key, "store-doubted", Severity.CRITICAL, f"{text}; {keeping.DOUBT_HINT}"), now)
                    said.append(text)
        return said

    # --- checkpoints ---

    def _checkpoint(self, *, due_only: bool) -> None:
        """Write one for the last line that was verified, unless that is so already."""
        now = self._clock()
        with self._store.read() as tx:
            state, facts = tx.chain(), tx.store_facts()
            held = state.broken or any(doubt.settled_at is None for doubt in tx.doubts())
            newest = next(iter(tx.checkpoints(1)), None)
        if held or not state.count or not self._claim_read:
            return
        fresh = newest is not None and (newest.seq, newest.hash) == (state.count, state.head)
        young = newest is not None and now < newest.at + self._checkpoint_every
        if fresh or (due_only and young):
            return
        made = Checkpoint(facts.id, state.count, state.head, facts.epoch, now)
        write_checkpoint(self._store, self._place, made, self._generator)


def _hash_of(tx: Tx, seq: int) -> str:
    found = tx.journal_lines(after=seq - 1, limit=1)
    return found[0].hash if found and found[0].seq == seq else ""
