"""How a record moves: pure functions from one record to the next. Who calls them writes the result down."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from driftd.core.hooks import Terms
from driftd.core.replacement import UNSTARTED, Record, State
from driftd.core.steps import hooking
from driftd.core.variants import TRANSITIONS
from driftd.core.world import Advance, Call, Do, Finish, Halt, Limits, Verb, Wait

LONGEST_DOUBLINGS = 10


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
        asked="",
        asked_times=0,
        hooks=hooking.settled(record.hooks),
    )
    if not isinstance(answer, Advance):
        return after
    after = replace(after, verified=record.verified or answer.verified, next_at=answer.until)
    if record.state is State.UNDOING:
        # What its service does now the undo may not know: it is asked to start once more.
        after = replace(after, stayed=True, served=False)
    after = replace(after, canary=record.canary or answer.canary)
    if answer.plan is not None:
        plan = answer.plan
        after = replace(after, variant=plan.variant, volumes=plan.volumes, addresses=plan.addresses)
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


def unheeded(record: Record, answer: Do, now: datetime, limits: Limits) -> Wait | None:
    """A wait in place of a call that was answered "done" lately and shows no effect: it is made ever more rarely."""
    if record.asked != name_of(answer.call) or record.intent_at is None:
        return None
    due = record.intent_at + _pause(record.asked_times, limits)
    if now >= due:
        return None
    times = f"{record.asked_times} times" if record.asked_times > 1 else "once"
    said = f"{answer.why}: asked for {times} and answered, and nothing is to be seen of it yet"
    return Wait(min(due, now + limits.poll), said, record.streak)


def name_of(call: Call) -> str:
    """What tells one call from another, to know one that is made again."""
    return " ".join(part for part in (call.verb.value, call.instance_id, call.thing) if part)


def announced(record: Record, call: Call, intent: str, why: str, now: datetime) -> Record:
    """The record with a call that is about to be made."""
    about_old = call.instance_id == record.old_id
    verb = call.verb
    return replace(
        hooking.announced(record, verb, now),
        intent=intent,
        intent_at=now,
        note=why,
        next_at=None,
        drain_sent=record.drain_sent or (verb is Verb.DRAIN and about_old),
        stop_sent=record.stop_sent or (verb is Verb.STOP and about_old),
        quiesce_sent=record.quiesce_sent or (verb is Verb.QUIESCE and about_old),
        serve_sent=record.serve_sent or (verb is Verb.SERVE and not about_old),
        launched=record.launched or verb is Verb.LAUNCH,
        # An old one that carries a mark of its own is no member of its group any more.
        committed=record.committed or (verb in {Verb.TERMINATE, Verb.ISOLATE, Verb.TAG} and about_old),
        end_sent=record.end_sent or (verb is Verb.TERMINATE and call.instance_id == record.new_id),
    )


def doubted(record: Record) -> Record:
    """The record when its store was put back from a copy: whatever may have been done since counts as done."""
    begun = record.state not in UNSTARTED
    return replace(
        record,
        doubted=True,
        launched=record.launched or begun,
        quiesce_sent=record.quiesce_sent or begun,
        serve_sent=record.serve_sent or begun,
        next_at=None,
    )


def withdrawn(announced_record: Record, before: Record) -> Record:
    """The record when an announced call was not made after all."""
    return replace(before, version=announced_record.version)


def answered(record: Record, call: Call, made: str, now: datetime) -> Record:
    """The record after a call that succeeded; ``made`` is the id of what a launch, a snapshot or a capture made."""
    again = record.asked_times + 1 if record.asked == name_of(call) else 1
    after = hooking.done(record, call.verb, now)
    after = replace(after, intent="", tries=0, refusal="", asked=name_of(call), asked_times=again, next_at=None)
    about_old = call.instance_id == record.old_id
    if call.verb is Verb.LAUNCH and not record.new_id:
        return replace(after, new_id=made)
    if call.verb is Verb.SNAPSHOT:
        return replace(after, snapshots={**record.snapshots, call.thing: made})
    if call.verb is Verb.CAPTURE:
        return replace(after, captured=made)
    if call.verb in {Verb.QUIESCE, Verb.SERVE}:
        return _hooked(after, serves=call.verb is Verb.SERVE, about_old=about_old)
    return after


def _hooked(record: Record, *, serves: bool, about_old: bool) -> Record:
    """The record after a hook that did what it should; one that was undone counts as never asked for."""
    if about_old:
        return replace(record, quiesced=not serves, quiesce_sent=record.quiesce_sent and not serves)
    return replace(record, served=serves, serve_sent=record.serve_sent and serves)


def unanswered(
    record: Record,
    call: Call,
    sentence: str,
    limits: Limits,
    now: datetime,
    *,
    refused: bool,
    terms: Terms | None = None,
) -> Record:
    """The record after a call that failed or whose answer is lost. Two kinds of refusal only mean "not yet": of a
    deregistration while connections are open, and of a detachment while something is in use. ``terms`` are what is
    declared of the hook that was called.
    """
    tries = record.tries + 1
    not_yet = call.verb in {Verb.DEREGISTER, Verb.DETACH}
    after = replace(
        record,
        intent="",
        tries=tries,
        refusal=sentence if refused and not not_yet else "",
        next_at=now + _pause(tries, limits),
        note=sentence,
    )
    return hooking.failed(after, call.verb, terms or Terms(), limits, now)


def unfinished(
    record: Record, call: Call, sentence: str, limits: Limits, now: datetime, *, terms: Terms, after_s: float
) -> Record:
    """The record after a hook that was begun, and is to be asked again in ``after_s`` seconds."""
    after = replace(record, intent="", refusal="", note=sentence)
    return hooking.unfinished(after, call.verb, terms, limits, now, after_s)


def _pause(times: int, limits: Limits) -> timedelta:
    factor: int = 2 ** min(times - 1, LONGEST_DOUBLINGS)
    return min(limits.poll * factor, limits.longest_pause)
