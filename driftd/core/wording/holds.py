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
    return f"{instance} is held by {owner} until {at(until)}: {reason}"


def shortened(instance: str, until: datetime) -> str:
    return f"the hold of {instance} now ends at {at(until)}"


def renewed(instance: str, owner: str, by: str, until: datetime) -> str:
    return f"{owner}'s hold of {instance} is renewed by {by} until {at(until)}; it cannot be renewed again"


def under_way(rid: str, state: str) -> str:
    """Added where what is held is being replaced already."""
    return (
        f"replacement {rid} of it is {state}: what is under way stops before its next step, "
        f"and driftd cancel {rid} undoes it"
    )


def released(instance: str, owner: str, by: str) -> str:
    return f"{owner}'s hold of {instance} is released by {by}"


def not_held(name: str) -> str:
    return f"nothing called {name!r} is held"


def unknown(name: str) -> str:
    return f"nothing that driftd knows is called {name!r}"


def several(name: str, number: int) -> str:
    return f"{name!r} names {number} instances"


def too_long(span: timedelta) -> str:
    return f"a hold of {lasting(span)} is longer than 72 h"


def renewed_already(instance: str, owner: str, by: str) -> str:
    return f"{owner}'s hold of {instance} was renewed by {by} already, and a hold is renewed once"


def own_renewal(instance: str, owner: str, ended: datetime, now: datetime) -> str:
    tense = "holds" if ended > now else "held"
    return f"{owner} {tense} {instance} until {at(ended)}, and only a second person can make that longer"


def ends_soon(instance: str, owner: str, until: datetime, reason: str) -> str:
    return f"{owner}'s hold of {instance} ends at {at(until)} ({reason}): a second person can renew it once"


def over(instance: str, owner: str, reason: str) -> str:
    return f"{owner}'s hold of {instance} has run out ({reason}): it may be replaced again"


# --- approvals -------------------------------------------------------------------------------------------------------


def asks_approval(instance: str, group: str, rid: str, why: str) -> str:
    return (
        f"{instance} in {group} is to be replaced and waits for a person: driftd approve {rid}, or driftd deny {rid} "
        f"({why})"
    )


def approved(rid: str, instance: str, by: str) -> str:
    return f"replacement {rid} of {instance} is approved by {by}"


def approved_already(rid: str, by: str) -> str:
    return f"replacement {rid} was approved already, by {by}"


def needs_none(rid: str) -> str:
    return f"replacement {rid} was asked for by hand, so it needs no approval"


def denied(rid: str, instance: str, by: str) -> str:
    return f"replacement {rid} of {instance} is denied by {by}: it is cancelled, and what was begun is undone"


def denied_lately(instance: str, by: str, until: datetime) -> str:
    return f"{instance} is not replaced before {at(until)}, since {by} denied it"


def waits_long(instance: str, group: str, span: timedelta, note: str) -> str:
    return f"the replacement of {instance} in {group} waits for {lasting(span)} now: {note}"
