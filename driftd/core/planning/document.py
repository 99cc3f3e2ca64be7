"""The plan as a document, ``driftd.plan/1`` (docs/plan.md, docs/plan.schema.json): whole numbers, text, lists.

``digest`` is the SHA-256 of the canonical JSON (core/journal.py) of everything else in it, who approves it approves
every byte. ``made_from_digest`` is that of ``made_from`` alone: two plans that rest on the same have the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from driftd.core.guards import Refusal
from driftd.core.journal import canonical, instant
from driftd.core.planning.origin import made_from
from driftd.core.planning.plan import GroupPlan, Item, Length, Plan, Wave
from driftd.core.planning.rehearsal import Made

SCHEMA = "driftd.plan/1"
VALID_FOR = timedelta(hours=1)
LONGEST = timedelta(days=7)


def as_document(plan: Plan, *, by: str, version: str, valid_for: timedelta = VALID_FOR) -> dict[str, Any]:
    """The document of ``plan``, made by the person ``by`` with driftd ``version``."""
    rests_on = made_from(plan.reading, [one.candidate.old.id for one in plan.items])
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "store": plan.reading.store,
        "made_at": instant(plan.reading.at),
        "valid_until": instant(plan.reading.at + valid_for),
        "made_by": by,
        "driftd": version,
        "asked": "by hand" if plan.by_hand else "by nobody",
        "at_risk": _at_risk(plan),
        "takes": {"least_s": _s(plan.takes[0]), "most_s": _s(plan.takes[1])},
        "notes": list(plan.notes),
        "groups": [_group(one) for one in plan.groups],
        "replacements": [_item(one, plan.reading.at) for one in plan.items],
        "made_from": rests_on,
        "made_from_digest": digest(rests_on),
    }
    return body | {"digest": digest(body)}


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON of ``value``, in hexadecimal. Raises TypeError for what has no such form."""
    return hashlib.sha256(canonical(value)).hexdigest()


def fits(document: Mapping[str, Any]) -> bool:
    """Whether the document's digests are those of what it says."""
    body = {key: value for key, value in document.items() if key != "digest"}
    try:
        whole = digest(body) == document.get("digest")
        return whole and digest(document.get("made_from")) == document.get("made_from_digest")
    except (TypeError, RecursionError):
        return False


def _s(span: timedelta | None) -> int:
    return round(span.total_seconds()) if span is not None else 0


def _at_risk(plan: Plan) -> dict[str, Any]:
    items = plan.items
    return {
        "instances": len(items),
        "waiting": sum(1 for one in items if not one.wave),
        "groups": len({one.record.group for one in items}),
        "zones": len({one.zone for one in items if one.zone}),
        "volumes": sum(len(one.volumes) for one in items),
        "addresses": sum(len(one.addresses) for one in items),
        "connections": sum(one.connections for one in items),
    }


def _group(group: GroupPlan) -> dict[str, Any]:
    read = group.read
    replaced = {zone: sum(1 for one in group.items if one.zone == zone) for zone in sorted(group.zones)}
    return {
        "group": read.name,
        "size": read.facts.size,
        "in_service": read.facts.in_service,
        "minimum": group.minimum,
        "replaced": len(group.items),
        "share_percent": len(group.items) * 100 // max(1, read.facts.size),
        "connections": sum(one.connections for one in group.items),
        "zones": [
            {"zone": zone, "size": group.zones[zone], "replaced": replaced[zone]} for zone in sorted(group.zones)
        ],
        "waves": [_wave(one) for one in group.waves],
        "asked_later": list(read.unasked),
    }


def _wave(wave: Wave) -> dict[str, Any]:
    return {
        "wave": wave.number,
        "instances": [one.candidate.old.id for one in wave.items],
        "begins_s": min(_s(one.begins) for one in wave.items),
        "in_service_lowest": wave.lowest,
        "in_service_after": wave.after,
        "zones": [{"zone": zone, "in_service_after": number} for zone, number in sorted(wave.zones.items())],
    }


def _item(item: Item, at: datetime) -> dict[str, Any]:
    candidate, record, row = item.candidate, item.record, item.candidate.row
    return {
        "instance": candidate.old.id,
        "group": record.group,
        "slot": record.slot,
        "zone": item.zone,
        "image": candidate.old.image,
        "new_image": record.image,
        "asked_by": candidate.asked_by,
        "why": candidate.why,
        "verdict": candidate.verdict.value,
        "looked_at": instant(row.looked_at) if row and row.looked_at else None,
        "look_age_s": _s(at - row.looked_at) if row and row.looked_at else None,
        "replacement": candidate.waiting.rid if candidate.waiting else "",
        "variant": item.variant,
        "steps": [_step(one) for one in item.calls],
        "volumes": dict(item.volumes),
        "addresses": dict(item.addresses),
        "connections": item.connections,
        "lasts": _length(item.length),
        "wave": item.wave,
        "begins_s": _s(item.begins) if item.begins is not None else None,
        "ends_s": _s(item.ends) if item.ends is not None else None,
        "waits_for": item.waits,
        "held_up": item.later,
        "guards": {
            "pass": list(item.verdicts.passes),
            "wait": _refusals(item.verdicts.waits),
            "skipped": _refusals(item.verdicts.skips),
        },
    }


def _step(made: Made) -> dict[str, Any]:
    return {"state": made.state.value, "call": made.verb.value, "on": made.on, "thing": made.thing}


def _length(length: Length) -> dict[str, Any]:
    return {"least_s": _s(length.least), "most_s": _s(length.most), "past": length.past}


def _refusals(refusals: Sequence[Refusal]) -> list[dict[str, Any]]:
    return [
        {"guard": one.guard, "why": one.why, "until": instant(one.until) if one.until else None} for one in refusals
    ]
