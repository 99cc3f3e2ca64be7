"""Guards: what must be so before a replacement is let in, and before each call that changes something.

One guard a function, one family a file; each reads a ``Case`` and says nothing, or no with its arithmetic and what it
waits for. They decide nothing else: core/decide.py asks them. docs/guards.md tells each one with its default.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from driftd.core.guards import breakers, budget, health, others, pace, people, windows
from driftd.core.guards.case import Case, GroupFacts, GroupRules, Refusal

Guard = Callable[[Case, datetime], Refusal | None]

# Whether a change may begin at all, in the order in which a person wants to read it.
BEGIN: tuple[Guard, ...] = (
    others.cold,
    people.hold,
    people.approval,
    windows.window,
    others.foreign,
)
# Whether it is this one's turn.
TURN: tuple[Guard, ...] = (
    pace.stuck,
    pace.back_off,
    budget.alone,
    budget.zone,
    budget.budget,
    budget.fleet,
    pace.slow_start,
    pace.between,
    pace.hourly,
    pace.daily,
)
# Whether the group can do without the old one.
LEAVE: tuple[Guard, ...] = (people.session, health.without_it, health.quorum)

ADMISSION: tuple[Guard, ...] = (
    *BEGIN,
    breakers.breakers_against,
    people.session,
    *TURN,
    health.afterwards,
    health.quorum,
)

# The calls before which it is asked again, live. What is in none of them takes nothing away from anybody.
# A hook that is told of a call is asked about as that call is.
_BEGINNING = frozenset({"launch", "register", "post_attach", "pre_drain", "drain", "quiesce", "stop"})
_PACED = frozenset({"pre_drain", "drain", "quiesce", "stop"})
_IRREVERSIBLE = frozenset({"pre_terminate", "terminate", "isolate"})
_LEAVING = _PACED | _IRREVERSIBLE


def admission(case: Case, now: datetime) -> Sequence[Refusal]:
    """Everything that speaks against letting it in now; nothing when it may begin."""
    return [no for guard in ADMISSION if (no := guard(case, now)) is not None]


def allowed(case: Case) -> str:
    """Why it may begin, with the arithmetic: what stands in the journal where no guard refused."""
    name, facts = case.rules.name, case.facts
    asked = ", and a person asked for it" if case.by_hand else ""
    approved = f", and {case.record.approved_by} approved it" if case.record.approved_by else ""
    return (
        f"{name} has {facts.in_service} of {facts.size} in service, its minimum is {health.least(case)[1]}, and "
        f"{len(case.others)} other replacements are under way{asked}{approved}"
    )


def going_on(case: Case, verb: str, now: datetime) -> Refusal | None:
    """What speaks against a forward call (``core.world.Verb``) of one that was let in; None when it may go on.

    Once the old one is on its way out, neither a closing window nor a withdrawn approval nor anything else of that kind
    stops what is under way: half a move is worse for everybody than a whole one. A hold, people on the instance and
    the group's minimum count to the end. Where the slot serves nobody, going on is the shortest way back to service.
    """
    return next((no for guard in _before(case, verb) if (no := guard(case, now)) is not None), None)


def _before(case: Case, verb: str) -> tuple[Guard, ...]:
    out = case.record.drain_seen or case.record.quiesced or case.record.stop_sent
    guards: tuple[Guard, ...] = (others.cold,)
    if verb in _BEGINNING and not out:
        guards = BEGIN
    if verb == "launch" and not out:
        guards = (*guards, budget.alone)
    if verb in _PACED and not out:
        guards = (*guards, pace.one_leaves, pace.between)
    if verb in _IRREVERSIBLE or (verb in _BEGINNING and not out):
        guards = (*guards, breakers.breakers_against)
    if verb in _LEAVING or verb == "detach":
        guards = (*guards, people.hold)
    if verb in _LEAVING:
        guards = (*guards, *LEAVE)
    return guards


__all__ = ["ADMISSION", "Case", "GroupFacts", "GroupRules", "Guard", "Refusal", "admission", "allowed", "going_on"]
