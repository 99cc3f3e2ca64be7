"""A breaker: what stops replacing in one scope, why, and what closes it again.

A breaker is known by its rule ("C1") and scope. It opens by itself, and stays open until what its rule names closes it:
a person, time, proof, or passes. Opening never stops an undo.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

FLEET = "fleet"


class State(StrEnum):
    """Open lets nothing begin or go on, half-open lets one probe through, closed is as if there were none."""

    OPEN = "open"
    HALF_OPEN = "half-open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Breaker:
    """One breaker, as the store keeps it. ``why`` is one sentence with the arithmetic of the last opening.

    ``until`` is when time closes or half-opens it; None where time does not. ``closes_by`` says what closes it, ``by``
    who did ("" for driftd itself). ``changed_at`` is when ``state`` was entered, ``since`` when what has to last for
    the breaker to close was first so (None: it is not so). ``count`` counts, as the rule needs it: proven replacements
    while half-open, back-offs in a row. ``probe`` is the one replacement that a half-open breaker lets through,
    ``basis`` what it opened over. ``seen_at`` is up to when a person has seen what there was, and closed it all the
    same: that opens it no more.
    """

    rule: str
    scope: str
    state: State
    why: str
    opened_at: datetime
    until: datetime | None = None
    closes_by: str = ""
    by: str = ""
    changed_at: datetime | None = None
    since: datetime | None = None
    count: int = 0
    probe: str = ""
    basis: str = ""
    seen_at: datetime | None = None

    @property
    def holds(self) -> bool:
        """It is open or half-open."""
        return self.state is not State.CLOSED

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by."""
        return self.rule, self.scope

    @property
    def entered(self) -> datetime:
        """When its state was entered."""
        return self.changed_at or self.opened_at


@dataclass(frozen=True, slots=True)
class Change:
    """What an evaluation changes. ``what`` is opened, half-opened, closed, or noted: the same state, other details."""

    what: str
    before: Breaker | None
    after: Breaker


Known = Mapping[str, Breaker]  # one rule's breakers by scope


def of_rule(breakers: Iterable[Breaker], rule: str) -> Known:
    """One rule's breakers by scope."""
    return {one.scope: one for one in breakers if one.rule == rule}


# --- scopes: "fleet", or a sort and a name ----------------------------------------------------------------------------


def of_group(group: str) -> str:
    """The scope of one group."""
    return f"group:{group}"


def of_signature(signature: str) -> str:
    """The scope of one signature."""
    return f"signature:{signature}"


def of_slot(group: str, slot: str) -> str:
    """Slots are named with their group as a rule ("web/2"), and else are told apart by it."""
    return f"slot:{slot}" if slot.startswith(f"{group}/") else f"slot:{group}/{slot}"


def of_image(image: str) -> str:
    """The scope of one image."""
    return f"image:{image}"


def of_zone(zone: str) -> str:
    """The scope of one zone."""
    return f"zone:{zone}"


def of_account(account: str) -> str:
    """The scope of one account."""
    return f"account:{account}"


def place(scope: str) -> str:
    """A scope in words: ``group web``, ``the fleet``."""
    sort, _, name = scope.partition(":")
    return f"{sort} {name}" if name else "the fleet"
