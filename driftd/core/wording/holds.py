"""Sentences about holds, approvals, and what waits long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from driftd.core.wording import lasting

RENEW_HINT = (
    "let driftd replace it, or find out why it has to stay: an instance that must never change is not in a fleet"
)


def at(moment: datetime) -> str:
    """``2026-01-31 08:00 UTC``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def held(instance: str, owner: str, until: datetime, reason: str) -> str:
    """What a new hold says."""
    return f"{instance} is held by {owner} until {at(until)}: {reason}"


def shortened(instance: str, until: datetime) -> str:
    """A hold that its owner made shorter."""
    return f"the hold of {instance} now ends at {at(until)}"


def renewed(instance: str, owner: str, by: str, until: datetime) -> str:
    """A hold that a second person made longer."""
    return f"{owner}'s hold of {instance} is renewed by {by} until {at(until)}; it cannot be renewed again"


def under_way(rid: str, state: str) -> str:
    """Added where what is held is being replaced already."""
    return (
        f"replacement {rid} of it is {state}: what is under way stops before its next step, "
        f"and driftd cancel {rid} undoes it"
    )


def released(instance: str, owner: str, by: str) -> str:
    """A hold that somebody ended."""
    return f"{owner}'s hold of {instance} is released by {by}"


def not_held(name: str) -> str:
    """Nothing to release."""
    return f"nothing called {name!r} is held"


def unknown(name: str) -> str:
    """No instance of that name."""
    return f"nothing that driftd knows is called {name!r}"


def no_group(name: str) -> str:
    """No group of that name."""
    return f"no group is called {name!r}"


def several(name: str, number: int) -> str:
    """More than one instance of that name."""
    return f"{name!r} names {number} instances"


def too_long(span: timedelta) -> str:
    """More than a hold may last."""
    return f"a hold of {lasting(span)} is longer than 72 h"


def renewed_already(instance: str, owner: str, by: str) -> str:
    """A second renewal."""
    return f"{owner}'s hold of {instance} was renewed by {by} already, and a hold is renewed once"


def own_renewal(instance: str, owner: str, ended: datetime, now: datetime) -> str:
    """A renewal by whose hold it is."""
    tense = "holds" if ended > now else "held"
    return f"{owner} {tense} {instance} until {at(ended)}, and only a second person can make that longer"


def ends_soon(instance: str, owner: str, until: datetime, reason: str) -> str:
    """Said an hour before."""
    return f"{owner}'s hold of {instance} ends at {at(until)} ({reason}): a second person can renew it once"


def over(instance: str, owner: str, reason: str) -> str:
    """Said when it ran out."""
    return f"{owner}'s hold of {instance} has run out ({reason}): it may be replaced again"


# --- approvals -------------------------------------------------------------------------------------------------------


def asks_approval(instance: str, group: str, rid: str, why: str) -> str:
    """Said once, where a group asks a person."""
    return (
        f"{instance} in {group} is to be replaced and waits for a person: driftd approve {rid}, or driftd deny {rid} "
        f"({why})"
    )


def approved(rid: str, instance: str, by: str) -> str:
    """An approval."""
    return f"replacement {rid} of {instance} is approved by {by}"


def approved_already(rid: str, by: str) -> str:
    """A second approval."""
    return f"replacement {rid} was approved already, by {by}"


def needs_none(rid: str) -> str:
    """An approval that nobody needs."""
    return f"replacement {rid} was asked for by hand, so it needs no approval"


def denied(rid: str, instance: str, by: str) -> str:
    """A denial."""
    return f"replacement {rid} of {instance} is denied by {by}: it is cancelled, and what was begun is undone"


def denied_lately(instance: str, by: str, until: datetime) -> str:
    """Why nothing is planned after a denial."""
    return f"{instance} is not replaced before {at(until)}, since {by} denied it"


def waits_long(instance: str, group: str, span: timedelta, note: str) -> str:
    """Said after a day and after a week."""
    return f"the replacement of {instance} in {group} waits for {lasting(span)} now: {note}"
