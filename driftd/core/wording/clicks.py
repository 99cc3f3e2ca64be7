"""Sentences for who pressed a button under a message."""

from __future__ import annotations

from datetime import datetime

from driftd.core.wording.cards import at

REASON = "pressed in Slack"
AGAIN = "That click was taken before; nothing more is done"
OVER = "What that message is about is over, or is told of elsewhere by now; nothing is done. See: driftd status"


def not_allowed(press: str) -> str:
    return f"You may not {press} here, so nothing is done; who may is said in notify: slack: may"


def late(press: str, when: datetime) -> str:
    return f"Your click on {press} of {at(when)} came too late to be taken; look again, and click again"


def accepted_already(owner: str, until: datetime) -> str:
    return f"{owner} accepted that already, until {at(until)}; it counts from the next look on"


def held_already(instance: str, owner: str, until: datetime) -> str:
    return f"{instance} is held already, by {owner} until {at(until)}"
