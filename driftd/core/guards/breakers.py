"""Which circuit breakers hold a replacement (core/breakers)."""

from __future__ import annotations

from datetime import datetime

from driftd.core.breakers.breaker import (
    FLEET,
    Breaker,
    State,
    of_account,
    of_group,
    of_image,
    of_signature,
    of_slot,
    of_zone,
    place,
)
from driftd.core.breakers.signature import parts
from driftd.core.breakers.table import RULE, cannot_close
from driftd.core.guards.case import Case, Refusal
from driftd.core.guards.said import when
from driftd.core.zones import zone_of

NAME = "breaker"


def breakers_against(case: Case, now: datetime) -> Refusal | None:
    """The first that is open in any scope of the case; a half-open one lets its probe through.

    What a person asked for by hand is held only where the world would refuse it, or nobody can see it.
    """
    scopes = scopes_of(case)
    against = [one for one in case.facts.breakers if one.scope in scopes and _holds(one, case)]
    if not against:
        return None
    first = against[0]
    more = f" (and {len(against) - 1} more: driftd breakers)" if len(against) > 1 else ""
    untils = [one.until for one in against]
    latest = max((until for until in untils if until is not None), default=None)
    return Refusal(NAME, f"{_said(first, now)}{more}", None if None in untils else latest)


def scopes_of(case: Case) -> frozenset[str]:
    """Everywhere that a breaker may be to hold this case."""
    record, facts = case.record, case.facts
    zone = zone_of(record, facts.zones)
    return frozenset(
        {
            FLEET,
            of_group(record.group),
            of_slot(record.group, record.slot or record.old_id),
            of_image(record.image),
            *([of_account(facts.account)] if facts.account else ()),
            *([of_zone(zone)] if zone else ()),
            *(of_signature(part) for part in parts(record.signature)),
        }
    )


def _holds(one: Breaker, case: Case) -> bool:
    rule = RULE.get(one.rule)
    if not one.holds or (rule is not None and rule.shows):
        return False
    if case.by_hand and rule is not None and not rule.by_hand:
        return False
    return not (one.state is State.HALF_OPEN and one.probe == case.record.rid)


def _said(one: Breaker, now: datetime) -> str:
    closes = (
        f"driftd reset {one.rule} {one.scope} --reason …" if not cannot_close(one) else f"closes by {one.closes_by}"
    )
    if one.state is State.HALF_OPEN:
        probe = f"{one.probe} is its probe" if one.probe else "it waits for a probe"
        return f"{one.rule} is half-open for {place(one.scope)} ({one.why}); {probe}, {one.count} proven so far"
    until = f" until {when(one.until, now)}" if one.until is not None else ""
    return f"{one.rule} is open for {place(one.scope)}{until}: {one.why}; {closes}"
