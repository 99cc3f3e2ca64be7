"""Evidence before the end: what is known of the old one is kept while it still serves, before anything is changed."""

from __future__ import annotations

from datetime import datetime

from driftd.core.replacement import Record, State
from driftd.core.steps.common import late, onward, spent
from driftd.core.world import Answer, Call, Do, Finish, Limits, Verb, World


def capturing(record: Record, world: World, now: datetime, limits: Limits) -> Answer:
    """Kept; or it cannot be, which ends the replacement only where the group says so."""
    manner = world.manner
    if not manner.evidence:
        return onward(record, "no evidence is asked for")
    if record.rollout and not manner.evidence_of_rollouts:
        return onward(record, "no evidence is asked for of what a rollout replaces")
    if record.captured:
        return onward(record, f"evidence of {record.old_id} is kept as {record.captured}")
    if not record.refusal and not late(record, now, limits):
        return Do(Call(Verb.CAPTURE, record.old_id), f"keeping evidence of {record.old_id} before anything is changed")
    why = record.refusal or f"{spent(record, limits)}: {record.note}"
    if manner.evidence_required:
        said = f"{record.old_id} is not replaced without evidence of it (evidence.require), and none could be kept"
        return Finish(State.ABORTED_SAFE, f"{said}: {why}")
    return onward(record, f"no evidence of {record.old_id} could be kept, and none is required: {why}")
