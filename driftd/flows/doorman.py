"""Doorman: whom the provider itself let in, by its own record (core/ports.py). Nobody on the instance writes that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.core.answers import CLOUD
from driftd.core.asides import Doorman
from driftd.core.confidence import KINDS
from driftd.core.errors import ProviderError
from driftd.core.facts import Instance, Session
from driftd.core.wording import printable
from driftd.core.wording import visits as say

# Asked of a day each time: one answer that did not come loses nobody.
REACHES_BACK = timedelta(hours=24)
MOST = 1000  # sessions of one instance, the newest
_LONGEST = 256  # characters of a name
SOURCE = "provider"


@dataclass(frozen=True, slots=True)
class LetIn:
    """Who came by the provider, oldest first; ``why`` is one sentence where that could not be asked, "" otherwise."""

    sessions: Sequence[Session] = ()
    why: str = ""


def let_in(provider: object, instance: Instance, now: datetime) -> LetIn:
    """Ask a provider that has ways in of its own (``Doorman``); of one that has none nobody came by them."""
    if not isinstance(provider, Doorman):
        return LetIn()
    try:
        found = provider.let_in(instance, now - REACHES_BACK)
    except ProviderError as error:
        return LetIn(why=say.nobody_at_the_door(printable(str(error))))
    newest = sorted(found, key=lambda one: one.started_at)[-MOST:]
    return LetIn([_as_told(one) for one in newest])


def _as_told(one: Session) -> Session:
    """What a provider may say of somebody, and no more: the kernel's numbers are not its to tell."""
    return Session(
        door=CLOUD,
        user=_short(one.user),
        source=_short(one.source),
        started_at=one.started_at,
        ended_at=one.ended_at,
        key=_short(one.key),
        key_id=_short(one.key_id),
        tty=_short(one.tty),
        live=one.live and one.ended_at is None,
        evidence=SOURCE,
        kind=one.kind if one.kind in KINDS else "",
    )


def _short(text: str) -> str:
    return printable(text)[:_LONGEST]
