"""Likeness: what the drift of an instance looks like, kept with each look so that breakers see what happens to many."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from driftd.core.breakers.signature import parts_of
from driftd.core.findings import Verdict
from driftd.core.looks import Look
from driftd.core.memory import InstanceRow, Tx
from driftd.core.taint import standing


def likeness(tx: Tx, row: InstanceRow, look: Look, now: datetime) -> Mapping[str, str]:
    """The parts of the signature, with a short form each, and kept; nothing changes where nothing could be seen."""
    if look.judgement.verdict is Verdict.UNKNOWN:
        return {}
    came = standing(tx.open_findings(row.id), tx.suppressions(now), row.group) if row.taint else []
    parts = parts_of([*look.judgement.findings, *came], names=(row.id, row.slot, row.address))
    tx.keep_sightings(row, parts, now)
    return parts
