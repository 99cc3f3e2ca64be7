"""Sentences about calibration: what was launched to learn from, what was learnt, and what is left for a person."""

from __future__ import annotations

from collections.abc import Sequence

from driftd.core.wording import count, listed


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
