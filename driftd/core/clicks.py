"""Clicks: a button that somebody pressed on a card, and whether it may count. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftd.core.cards import Press
from driftd.core.wording import clicks as wording

# A click that comes later than this (or from the future) was on its way for too long to be what somebody wants now.
FRESH = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Click:
    """``id`` is the same however often it is sent, ``by`` the name that what follows is owned by (``slack:U024BE7LH``).

    ``user`` is who that is to the outlet; ``of``, ``group`` and ``key`` are as on the card; ``ref`` is where it stands.
    """

    id: str
    user: str
    by: str
    press: Press
    of: str
    group: str
    key: str
    ref: str
    at: datetime


def refused(click: Click, may: Mapping[Press, frozenset[str]], now: datetime) -> str:
    """Why it does not count whatever it is about, in a sentence for who clicked; "" when it may."""
    if click.user not in may.get(click.press, frozenset()):
        return wording.not_allowed(click.press.value)
    if abs(now - click.at) > FRESH:
        return wording.late(click.press.value, click.at)
    return ""
