"""What a plan rests on, as it stands in its document, so that a second reading can be held against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from driftd.core.breakers.breaker import Breaker
from driftd.core.guards import breakers
from driftd.core.guards.case import Case
from driftd.core.journal import instant
from driftd.core.memory import InstanceRow
from driftd.core.planning.reading import GroupReading, Reading
from driftd.core.replacement import WAITING, Record, State


def made_from(reading: Reading, ids: Iterable[str]) -> dict[str, Any]:
    """Of each group and of each of these instances that there is, what matters to a plan; only text, numbers, lists."""
    by_group: dict[str, list[str]] = {}
    homes = {one: name for name, group in reading.groups.items() for one in group.instances}
    for instance in ids:
        if instance in homes:
            by_group.setdefault(homes[instance], []).append(instance)
    return {
        "groups": {name: _group(reading.groups[name], reading) for name in sorted(by_group)},
        "instances": {one: _instance(reading.groups[name], one) for name in sorted(by_group) for one in by_group[name]},
    }


def occupants(reading: Reading) -> Mapping[str, str]:
    """Who is in which slot now."""
    return {
        one.slot: one.id
        for group in reading.groups.values()
        for one in group.instances.values()
        if one.slot and not one.state.ending
    }


def _group(read: GroupReading, reading: Reading) -> dict[str, Any]:
    at = reading.at
    record = Record("", read.name, "", read.image, "", "", State.ADMITTING, at, at, manual=True)
    against = [one for one in read.facts.breakers if breakers.breakers_against(_only(record, read, one), at)]
    return {
        "configuration": read.configuration,
        "policy": read.policy,
        "settings": dict(read.settings),
        "size": read.facts.size,
        "open": {one.rid: one.state.value for one in read.opened},
        "stopped": read.stopped,
        "breakers": sorted(f"{one.rule} {one.scope}" for one in against),
    }


def _only(record: Record, read: GroupReading, one: Breaker) -> Case:
    return Case(record, read.rules, replace(read.facts, breakers=(one,)))


def _instance(read: GroupReading, name: str) -> dict[str, Any]:
    one, row, held = read.instances[name], read.rows.get(name), read.facts.holds.get(name)
    waiting = [record.rid for record in read.opened if record.old_id == name and record.state in WAITING]
    return {
        "group": read.name,
        "slot": one.slot,
        "image": one.image,
        "zone": one.zone or read.facts.zones.get(name, ""),
        **_judged(row),
        "volumes": {key: v.attached_to for key, v in sorted(read.volumes.items()) if one.slot and v.slot == one.slot},
        "addresses": {
            key: a.attached_to for key, a in sorted(read.addresses.items()) if one.slot and a.slot == one.slot
        },
        "held": f"{held.owner} until {instant(held.until)}" if held else "",
        "replacement": waiting[0] if waiting else "",
    }


def _judged(row: InstanceRow | None) -> dict[str, Any]:
    """What the last look said."""
    return {
        "verdict": row.verdict.value if row else "unknown",
        "reason": row.reason if row else "",
        "action": row.action.value if row else "ignore",
        "taint": row.taint if row else "",
        "root": row.root if row else "",
    }
