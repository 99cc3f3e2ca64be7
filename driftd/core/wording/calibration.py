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
INTERRUPTED = "the calibration was interrupted"
LOOKING: Mapping[str, str] = {
    "boot": "looking after boot",
    "later": "looking after a while",
    "restart": "looking after the restart",
}
LEFT_HINT = "end them by hand, or let the janitor of a running daemon (or the next calibration) do it then"
SPOILED_HINT = "nothing is learnt of it: see what ran there, and bake and calibrate again"


def too_long(limit: timedelta) -> str:
    return f"the calibration took longer than {lasting(limit)}, so it was given up"


def paused(group: str, why: str) -> str:
    return f"nothing is launched in {group} while it is paused: {why}"


def unseen(instance: str, why: str) -> str:
    return f"{instance} was launched to learn from and could not be looked at: {why}"


def visited(instance: str) -> str:
    return f"somebody was on {instance} while it was watched, so what happened there is not its own doing"


def spoiled(instance: str, subject: str, why: str) -> str:
    return f"{instance} was launched from the image and is not pristine: {subject} {why}"


def gone(instance: str, state: str) -> str:
    return f"{instance} was launched to learn from and is {state} already"


def left_behind(instance: str, why: str, until: datetime) -> str:
    """``instance`` is "" where nobody could say what there is."""
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
    some = [f"sha256 {digest[:12]}" + (f" ({size} bytes)" if size else "") for digest, size in found]
    return f"{count(len(found), 'content')}: {listed(some)}"


NAMED_FOR_ONE = "its name holds a value of one instance, and not every instance has its like"


def crowd(number: int) -> str:
    return f"{number} paths below it differ, too many to read a rule for each: one for the directory says it shorter"


def spoken(rule: str, why: str) -> str:
    return f"{rule} speaks of it: {why}"


# --- the document ----------------------------------------------------------------------------------------------------

_LEFT_MOST = 200


def no_manifest(image: str, file: str) -> str:
    return f"there is no manifest of {image} to hold its instances against ({file})"


def description(image: str, instances: int) -> str:
    return f"What {instances} pristine instances of {image} did by themselves"


def head(
    *,
    image: str,
    root: str,
    day: str,
    instances: Sequence[str],
    moments: Sequence[str],
    explained: Mapping[str, int],
    left: Sequence[tuple[str, str, str, str]],
) -> list[str]:
    """The comment above an overlay: what it was learnt from, what is left for a person, and how it comes into force."""
    known = sum(explained.values())
    lines = [
        f"What pristine instances of {image} do by themselves, learnt by driftd calibrate.",
        "",
        f"  image      {image}",
        f"  manifest   root sha256:{root}",
        f"  learnt     {day}, from {', '.join(instances)}",
        f"  looked at  {', '.join(moments)}",
        f"  explained  {count(known, 'path or fact', 'paths and facts')} by the group's policy already",
        "",
        "Read it, take out what you do not want, and sign it together with the manifest:",
        "  driftd manifest sign MANIFEST --key KEY",
        "A rule here is asked after the group's own documents and before the shipped packs.",
    ]
    if not left:
        return [*lines, "", "Nothing was left for a person to decide."]
    lines += ["", "Left for a person, who writes a rule for it into the group's own policy or changes the image:"]
    lines += [f"  {kind} {subject} {change}: {why}" for kind, subject, change, why in left[:_LEFT_MOST]]
    more = len(left) - _LEFT_MOST
    return [*lines, *([f"  and {more} more"] if more > 0 else [])]
