"""Attributing: keep with each finding which session it is tied to, and say so in what people are told."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from driftd.core.attribution import stronger, told
from driftd.core.findings import Finding
from driftd.core.looks import Look
from driftd.core.memory import Tx
from driftd.core.taint import same_one
from driftd.core.wording.attribution import behind


def keep(tx: Tx, instance_id: str, look: Look, now: datetime) -> None:
    """In the caller's transaction, once findings and sessions are kept. The first stands unless one is surer."""
    if not look.attributions:
        return
    known = tx.attributions(instance_id)
    numbers = {same_one(one.session): one.id for one in tx.sessions(instance_id)}
    for row in tx.open_findings(instance_id):
        made = look.attributions.get(row.finding.signature)
        if made is not None and stronger(made, known.get(row.id)):
            tx.attribute(row.id, made, numbers.get(same_one(made.session)) if made.session else None, now)


def tied(look: Look, findings: Iterable[Finding]) -> str:
    """What a message says of that, to be put behind it; "" where nobody is to be named."""
    return behind(told(look.attributions[one.signature] for one in findings if one.signature in look.attributions))
