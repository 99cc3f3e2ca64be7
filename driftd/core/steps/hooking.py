"""Hooks that are called once in a replacement, and what follows by their declared outcome when one fails.

How far a hook is stands in the record: announced before the call, its outcome written with the call's own. A hook has
the step's clock to itself: it starts with the first call and again when the hook is over, so that neither takes the
other's time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from driftd.core.hooks import CALLED_ONCE, OnFailure, Terms, Told
from driftd.core.replacement import Record, State
from driftd.core.world import Advance, Answer, Call, Do, Limits, Verb, World

ONCE = frozenset(Verb(name.value) for name in CALLED_ONCE)
# Whoever says when to ask again is believed up to this: nobody else looks at the replacement meanwhile.
LATEST = timedelta(minutes=5)
_KEPT = frozenset({Told.DONE, Told.PASSED})


def hooked(record: Record, world: World, call: Call, why: str, way_out: Callable[[str], Advance]) -> Answer | None:
    """The hook's next call, or the way out when it failed for good; None where there is none, or it is over."""
    name = call.verb.value
    told = record.hooks.get(name)
    if name not in world.manner.hooks or told in _KEPT:
        return None
    return way_out(record.fault) if told == Told.FAILED else Do(call, why)


def passed(record: Record, name: str) -> bool:
    """Whether the hook failed, and it was declared that the replacement goes on without."""
    return record.hooks.get(name) == Told.PASSED


def held(record: Record, terms: Terms) -> bool:
    """Whether the replacement is to wait for the hook however often it fails; not where nobody can cancel any more."""
    return terms.on_failure is OnFailure.HOLD and not record.stayed


def announced(record: Record, verb: Verb, now: datetime) -> Record:
    """The record with a hook that is about to be called: the first time its clock starts."""
    if verb not in ONCE or record.hooks.get(verb.value) == Told.ASKED:
        return record
    return _with(replace(record, entered_at=now), verb, Told.ASKED)


def done(record: Record, verb: Verb, now: datetime) -> Record:
    """The record with a hook that did what it should."""
    return _with(replace(record, entered_at=now), verb, Told.DONE) if verb in ONCE else record


def settled(hooks: Mapping[str, str]) -> Mapping[str, str]:
    """What is kept of hooks when the state changes: one whose outcome is not known, or bad, is called again."""
    return {name: told for name, told in hooks.items() if told in _KEPT}


def failed(record: Record, verb: Verb, terms: Terms, limits: Limits, now: datetime) -> Record:
    """The record after a hook's call that failed, by its declared outcome; ``note`` says why it failed.

    Until its time is over it is only asked again. Of the hooks of an undo nothing is declared.
    """
    within = _within(record, verb, terms, limits)
    if within is None:
        return record
    if held(record, terms):
        said = f"{record.note}; on_failure is hold: it is asked again until it is done, or driftd cancel {record.rid}"
        return replace(record, note=said, entered_at=now)
    if now < record.entered_at + within:
        return record
    if terms.on_failure is OnFailure.CONTINUE:
        said = f"{record.note}; on_failure is continue: the replacement goes on without"
        return _with(replace(record, note=said, entered_at=now, tries=0, next_at=None), verb, Told.PASSED)
    return _with(replace(record, fault=record.note, next_at=None), verb, Told.FAILED) if verb in ONCE else record


def unfinished(record: Record, verb: Verb, terms: Terms, limits: Limits, now: datetime, after_s: float) -> Record:
    """The record while a hook is being done: asked again when it said, or as it fails once its time is over."""
    within = _within(record, verb, terms, limits)
    if within is not None and now >= record.entered_at + within:
        late = f"{record.note}, and its time of {within.total_seconds():.0f} s is over"
        after = failed(replace(record, note=late, tries=record.tries + 1), verb, terms, limits, now)
        if after.hooks != record.hooks:
            return after
        record = after
    pause = min(max(timedelta(seconds=after_s), limits.poll), LATEST)
    return replace(record, next_at=now + pause)


def _within(record: Record, verb: Verb, terms: Terms, limits: Limits) -> timedelta | None:
    """How long the hook is asked again; None for a call that is no hook's, or an undo's."""
    if verb in ONCE:
        return terms.within
    steps = {Verb.QUIESCE: (State.QUIESCING, limits.quiesce_timeout), Verb.SERVE: (State.SERVING, limits.serve_timeout)}
    state, within = steps.get(verb, (None, None))
    return within if record.state is state else None


def _with(record: Record, verb: Verb, told: Told) -> Record:
    return replace(record, hooks={**record.hooks, verb.value: told.value})
