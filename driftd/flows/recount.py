"""Recount: everything that store and journal know of a period, read once. Nothing is looked at, nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from driftd.core import checkpoint, period
from driftd.core.attributed import Attribution
from driftd.core.chain import Broken, Walk
from driftd.core.errors import BadInput
from driftd.core.journal import BEFORE_ALL
from driftd.core.memory import JournalLine, Store, Tx
from driftd.core.period import Came, Deed, Drift, Member, Period, Proof, Tripped
from driftd.core.upkeep import ChainState, KeptCheckpoint
from driftd.core.wording import keeping
from driftd.core.wording import period as say
from driftd.flows.vouch import against, lines_after

_MOST_RECORDS = 100_000

Every = Callable[[str], timedelta]
Tell = Callable[[str, int, int], None]


def recount(
    store: Store,
    since: datetime,
    until: datetime,
    now: datetime,
    *,
    every: Every,
    keys: checkpoint.Verifiers,
    tell: Tell,
) -> Period:
    """``every`` says how often a group wants a look; ``keys`` are those that a checkpoint counts by.

    ``tell`` hears what is done, how far, and of how much.
    """
    with store.read() as tx:
        fleet, sessions, drifts = _instances(tx, since, until, every, tell)
        holds = [one for one in tx.every_hold(since=since) if one.created_at < until and one.ended_at >= since]
        accepted = [
            one
            for one in tx.every_suppression()
            if one.created_at < until and min(one.expires_at, one.withdrawn_at or one.expires_at) >= since
        ]
        records = {one.rid: one for one in (*tx.ended_replacements(since), *tx.open_replacements())}
        pauses, breakers = tx.pauses(), [one for one in tx.breakers() if one.holds]
        facts, chain, last = tx.store_facts(), tx.chain(), tx.last_line()
        newest = next(iter(tx.checkpoints(1)), None)
    read = _Read(since, until, newest.seq if newest else 0)
    number = last.seq if last else 0
    for line in lines_after(store, BEFORE_ALL):
        read.step(line)
        if line.seq % 1000 == 0 or line.seq == number:
            tell("journal", line.seq, max(number, line.seq))
    return Period(
        since,
        until,
        now,
        facts.id,
        tuple(fleet),
        tuple(sorted(sessions, key=lambda one: (one.session.started_at, one.member.id))),
        tuple(sorted(drifts, key=lambda one: (one.row.first_seen, one.row.id))),
        period.within(records.values(), since, until),
        tuple(holds),
        tuple(accepted),
        tuple(pauses),
        tuple(read.deeds),
        tuple(read.tripped),
        tuple(breakers),
        read.proof(chain, newest, keys),
    )


def _instances(
    tx: Tx, since: datetime, until: datetime, every: Every, tell: Tell
) -> tuple[list[Member], list[Came], list[Drift]]:
    rows = [row for row in tx.instances(gone=True) if period.there(row, since, until)]
    rows.sort(key=lambda row: (row.group, row.slot, row.first_seen, row.id))
    by_id, looked = {row.id: row for row in rows}, tx.looked(since, until)
    found = [one for one in tx.findings_since(since) if one.first_seen < until and one.instance_id in by_id]
    fleet: list[Member] = []
    sessions: list[Came] = []
    tied: dict[int, Attribution] = {}
    for at, row in enumerate(rows, 1):
        attributions = tx.attributions(row.id, over=True)
        tied.update(attributions)
        fleet.append(period.member(row, looked.get(row.id), every(row.group), since, until))
        sessions += period.came(row, tx.sessions(row.id), attributions, since, until)
        tell("instances", at, len(rows))
    return fleet, sessions, [Drift(by_id[one.instance_id], one, tied.get(one.id)) for one in found]


@dataclass(slots=True)
class _Read:
    """One pass over the journal: the chain, what people did in the period, which breakers tripped in it."""

    since: datetime
    until: datetime
    signed: int  # the line that the newest checkpoint speaks of
    walk: Walk = field(default_factory=Walk)
    deeds: list[Deed] = field(default_factory=list)
    tripped: list[Tripped] = field(default_factory=list)
    first: int = 0
    last: int = 0
    hash: str = ""

    def step(self, line: JournalLine) -> None:
        self.walk.step(line)
        if line.seq == self.signed:
            self.hash = line.hash
        if not self.since <= line.at < self.until:
            return
        self.first, self.last = self.first or line.seq, line.seq
        if (did := period.deed(line)) is not None:
            self.deeds.append(did)
        if (opened := period.tripped(line)) is not None:
            self.tripped.append(opened)

    def proof(self, chain: ChainState, newest: KeptCheckpoint | None, keys: checkpoint.Verifiers) -> Proof:
        """What the chain amounts to; a break that was found before counts until somebody accepts it."""
        answer = against(self.walk.answer, chain)
        if isinstance(answer, Broken):
            good, lines, head, said = False, answer.seq - 1, answer.head, keeping.broken(answer.seq, answer.why)
        else:
            good, lines, head, said = True, answer.count, answer.head, keeping.holds(answer.count, answer.head)
        breaks = () if isinstance(answer, Broken) else answer.accepted
        told = [said, *(keeping.accepted(one.seq, one.why, one.line, one.by, one.reason) for one in breaks)]
        state, more = _signed(newest, self.hash, keys)
        line, at = (newest.seq, newest.at) if newest else (0, None)
        return Proof(good and state != "wrong", lines, head, self.first, self.last, state, line, at, (*told, more))


def _signed(newest: KeptCheckpoint | None, found: str, keys: checkpoint.Verifiers) -> tuple[str, str]:
    """How the newest checkpoint stands, and a sentence."""
    if newest is None:
        return "none", say.NO_CHECKPOINT
    try:
        opened = checkpoint.opened(newest.text)
    except BadInput as error:
        return "wrong", str(error)
    if newest.hash != found or (opened.said.seq, opened.said.hash) != (newest.seq, newest.hash):
        return "wrong", say.other_line(newest.seq)
    if opened.envelope is None:
        return "unsigned", say.unsigned(newest.seq, newest.at)
    why = checkpoint.unsigned(opened, keys)
    if not why:
        return "trusted", say.trusted(newest.seq, newest.at)
    return ("wrong" if "wrong" in why else "untrusted"), say.untrusted(newest.seq, why)
