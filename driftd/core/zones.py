"""Zones: which failure domain an instance, a slot and a replacement are in, as far as the provider tells.

A slot stays in its zone: of one whose instance is gone, and of the newcomer that nobody has told of yet, what was told
of the slot counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from driftd.core.replacement import Record
from driftd.core.wording.judging import plain

LONGEST = 63


@dataclass(frozen=True, slots=True)
class Placed:
    """An instance that somebody told the zone of."""

    id: str
    group: str
    slot: str
    zone: str


def named(told: str) -> str:
    """A zone's name as it is kept: short and on one line. One that was neither ends in a digest, so that two that
    differ never become one. "" where none is told.
    """
    said = str(told or "")
    line = plain(said, LONGEST)
    if line == said:
        return line
    digest = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain(said, LONGEST - len(digest) - 1)}~{digest}"


def by_name(placed: Iterable[Placed]) -> Mapping[str, str]:
    """Zones by instance and by slot, of the whole fleet. Where those of a slot differ, the first of them counts."""
    found: dict[str, str] = {}
    for one in placed:
        found[one.id] = one.zone
        if one.slot:
            found.setdefault(_slot(one.group, one.slot), one.zone)
    return found


def zone_of(record: Record, zones: Mapping[str, str]) -> str:
    """The zone of what a replacement changes; "" where nobody told."""
    slot = _slot(record.group, record.slot) if record.slot else ""
    return next((zones[name] for name in (slot, record.new_id, record.old_id) if zones.get(name)), "")


def _slot(group: str, slot: str) -> str:
    """Slots are named with their group as a rule ("web/2"), and else are told apart by it."""
    return slot if slot.startswith(f"{group}/") else f"{group}/{slot}"
