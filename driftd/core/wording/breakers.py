"""Sentences about circuit breakers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the breakers know no sentences of this page, and it only reads them
    from driftd.core.breakers.breaker import Breaker


def _place(scope: str) -> str:
    sort, _, name = scope.partition(":")
    return f"{sort} {name}" if name else "the fleet"


def changed(one: Breaker, what: str) -> str:
    """What a breaker did, of what, and why; an opening says what closes it."""
    where = f"breaker {one.rule} of {_place(one.scope)}"
    if what == "closed":
        return f"{where} is closed again; it had opened since {one.why}"
    if what == "half-opened":
        return f"{where} is half-open: one replacement at a time shows whether it works again"
    return f"{where} is open: {one.why}; closed by {one.closes_by}"


def several(sentences: Sequence[str], more: int) -> str:
    return f"{'. '.join(sentences)}. And {more} more like these: driftd breakers"


def not_evaluated() -> str:
    return "the breakers' rules could not be asked, so nobody knows what else is open"


def not_open(rule: str, scope: str) -> str:
    return f"no breaker {rule} of {scope} is open"


def no_person(one: Breaker, why: str) -> str:
    """Why a person may not close it."""
    return f"breaker {one.rule} of {_place(one.scope)} is not a person's to close: {why} (closed by {one.closes_by})"


def reset(one: Breaker, who: str, reason: str) -> str:
    return f"{who} closed breaker {one.rule} of {_place(one.scope)}: {reason}"
