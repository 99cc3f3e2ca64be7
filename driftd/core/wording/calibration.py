"""Sentences about calibration: what was launched to learn from, what was learnt, and what is left for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from driftd.core.wording import count, lasting, listed

# --- while it runs ---------------------------------------------------------------------------------------------------

LAUNCHING = "launching"
WAITING = "leaving them alone"
RESTARTING = "restarting"
ENDING = "ending them"
LOOKING: Mapping[str, str] = {
    "boot": "looking after boot",
    "later": "looking after a while",
    "restart": "looking after the restart",
}
LEFT_HINT = "end them by hand, or let the janitor of a running daemon (or the next calibration) do it then"
SPOILED_HINT = "nothing is learnt of it: see what ran there, and bake and calibrate again"


def too_long(limit: timedelta) -> str:
    return f"the calibration took longer than {lasting(limit)}, so it was given up"


def unseen(instance: str, why: str) -> str:
    return f"{instance} was launched to learn from and could not be looked at: {why}"


def visited(instance: str) -> str:
    return f"somebody was on {instance} while it was watched, so what happened there is not its own doing"


def spoiled(instance: str, subject: str, why: str) -> str:
    return f"{instance} was launched from the image and is not pristine: {subject} {why}"


def gone(instance: str, state: str) -> str:
    return f"{instance} was launched to learn from and is {state} already"


def left_behind(instance: str, why: str, until: datetime) -> str:
    what = f"{instance} could not be ended" if instance else "what was launched could not be listed"
    return f"{what}: {why}; it is marked to be ended after {until:%Y-%m-%d %H:%M} UTC"


# --- afterwards ------------------------------------------------------------------------------------------------------


def collected(instance: str, group: str) -> str:
    return f"{instance} was ended: a calibration in {group} that did not end by itself had launched it"


def not_collected(instance: str, why: str) -> str:
    return f"{instance}, which a calibration launched and did not end, could not be ended: {why}"


def in_traffic(instance: str, group: str) -> str:
    return f"{instance} was launched for a calibration and is a target of {group}: it is left for a person to end"


def no_expiry(instance: str) -> str:
    return f"{instance} was launched for a calibration, and nothing on it says until when: a person has to end it"


# --- what was learnt -------------------------------------------------------------------------------------------------


def because(how: str, instances: int, of: int) -> str:
    """``how`` says what they do, in the plural."""
    if of == 1:
        return f"The one pristine instance was seen to {how}."
    return f"{f'All {of}' if instances == of else f'{instances} of {of}'} pristine instances {how}."


def where(instances: int, of: int, moments: Sequence[str]) -> str:
    return f"seen on {instances} of {of} instances, {', '.join(moments)}"


def contents(found: Sequence[tuple[str, str]]) -> str:
    """Digests and sizes of what was seen: a few of them, cut short, as the rest would say no more."""
    some = [f"sha256 {digest[:12]} ({size} bytes)" if size else f"sha256 {digest[:12]}" for digest, size in found]
    return f"{count(len(found), 'content')}: {listed(some)}"


def spoken(rule: str, why: str) -> str:
    return f"{rule} speaks of it: {why}"
