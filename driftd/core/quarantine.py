"""Quarantine: an instance that was replaced and is kept, out of service and cut off, for whoever wants to examine it.

That it is in quarantine stands in a tag, so that whoever lists instances, in any process and after any crash, knows it
for what it is: no member of its group, and nobody's to look at, count, replace or clean up. Only a person ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from driftd.core.facts import Instance
from driftd.core.memory import JournalLine
from driftd.core.world import TAG_QUARANTINE

ENDED = "end a quarantine"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One that is kept. ``rid`` is the replacement that put it there, the others what the store still knows of it."""

    instance: Instance
    rid: str
    why: str = ""
    since: datetime | None = None
    replaced_by: str = ""
    ends: bool = False


def quarantined(instance: Instance) -> bool:
    """Whether it is in quarantine, or being put there."""
    return bool(instance.tags.get(TAG_QUARANTINE))


def subject(instance_id: str) -> str:
    """Under what the journal has a person's wish to end it, and what came of that."""
    return f"quarantine/{instance_id}"


def to_end(lines: Sequence[JournalLine]) -> bool:
    """Whether a person asked for its end, by what the journal has under its subject."""
    return any(line.kind == "human" and line.body.get("did") == ENDED for line in lines)


def kept_safely(instance: Instance, *, target: bool, owns: bool) -> str:
    """Why it is not ended though a person asked for it; "" when it may be. It was out of everything when it came here,
    and somebody may have given it something since.
    """
    if not quarantined(instance):
        return f"{instance.id} is in no quarantine any more"
    if target:
        return f"somebody made {instance.id} a target of the load balancer again"
    return f"somebody gave {instance.id} a volume or an address again" if owns else ""
