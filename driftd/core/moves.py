"""How a record moves: pure functions from one record to the next. Who calls them writes the result down."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from driftd.core.replacement import TRANSITIONS, Record, State
from driftd.core.world import Advance, Call, Finish, Halt, Limits, Verb, Wait


def moved(record: Record, answer: Advance | Finish | Halt, now: datetime) -> Record:
    """The record in its next state. Raises ``ValueError`` for a transition that the table does not know."""
    if (record.state, answer.state) not in TRANSITIONS:
        raise ValueError(f"{record.rid}: no transition leads from {record.state} to {answer.state}")
    after = replace(
        record,
        state=answer.state,
        entered_at=now,
        note=f"{answer.why}; {answer.hint}" if isinstance(answer, Halt) else answer.why,
        next_at=None,
        tries=0,
        streak=0,
        refusal="",
    )
    if isinstance(answer, Advance):
        after = replace(after, verified=record.verified or answer.verified)
        if record.state is State.LAUNCHING and answer.state is State.UNDOING:
            # It was never listed, so the undo must first wait and see whether it appears: see core/undo.py.
            after = replace(after, new_id="")
        if answer.state is State.UNDOING and answer.outcome is not None:
            after = replace(after, outcome=answer.outcome.value, fault=answer.why)
    return after


def waiting(record: Record, answer: Wait, now: datetime) -> Record:
    """The record while it waits."""
    entered = now if answer.restart else record.entered_at
    return replace(record, next_at=answer.until, note=answer.why, streak=answer.good, entered_at=entered)


def announced(record: Record, call: Call, intent: str, why: str, now: datetime) -> Record:
    """The record with a call that is about to be made."""
    about_old = call.instance_id == record.old_id
    return replace(
        record,
        intent=intent,
        intent_at=now,
        note=why,
        next_at=None,
        drain_sent=record.drain_sent or (call.verb is Verb.DRAIN and about_old),
        committed=record.committed or (call.verb is Verb.TERMINATE and about_old),
    )


def withdrawn(announced_record: Record, before: Record) -> Record:
    """The record when an announced call was not made after all."""
    return replace(before, version=announced_record.version)


def answered(record: Record, call: Call, made: str) -> Record:
    """The record after a call that succeeded; ``made`` is the id of what a launch made."""
    new_id = made if call.verb is Verb.LAUNCH and not record.new_id else record.new_id
    return replace(record, intent="", tries=0, refusal="", new_id=new_id, next_at=None)


def unanswered(record: Record, call: Call, sentence: str, limits: Limits, now: datetime, *, refused: bool) -> Record:
    """The record after a call that failed or whose answer is lost. A refused deregistration only means "not yet"."""
    tries = record.tries + 1
    pause = min(limits.poll * 2 ** min(tries - 1, 10), limits.longest_pause)
    return replace(
        record,
        intent="",
        tries=tries,
        refusal=sentence if refused and call.verb is not Verb.DEREGISTER else "",
        next_at=now + pause,
        note=sentence,
    )
