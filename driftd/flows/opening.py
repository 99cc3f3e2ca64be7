"""Replacements in the store: how one is begun, called off, and what is written when it moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ulid import ULID

from driftd.core import wording
from driftd.core.errors import BadInput
from driftd.core.facts import Instance
from driftd.core.findings import Severity
from driftd.core.memory import Message, Store, Tx
from driftd.core.replacement import TERMINAL, Record, State
from driftd.core.rollout import Stage, desired
from driftd.core.wording import near
from driftd.core.world import Advance, Finish, Halt
from driftd.flows.groups import Group
from driftd.flows.naming import SEE


def new_record(
    instance: Instance,
    group: Group,
    why: str,
    now: datetime,
    *,
    manual: bool,
    image: str = "",
    quarantine: bool = False,
) -> Record:
    """A replacement that has not begun, by ``image`` or the group's."""
    return Record(
        rid=str(ULID.from_datetime(now)),
        group=instance.group,
        slot=instance.slot,
        image=image or group.image or instance.image,
        old_id=instance.id,
        why=why,
        state=State.CONFIRMING,
        created_at=now,
        entered_at=now,
        manual=manual,
        quarantine=quarantine,
    )


def image_for(tx: Tx, group: Group, instance: Instance) -> str:
    """The image that a replacement of ``instance`` is launched from, when no rollout asks for it.

    While one is under way the slot stays on the side where it is.
    """
    for one in tx.open_rollouts(group.name):
        return one.image if instance.image == one.image and one.stage is not Stage.BACK else one.before
    return desired(group.image, tx.choices(group.name)) or instance.image


def plan(tx: Tx, record: Record, now: datetime) -> bool:
    """Write a new replacement and its first journal line; False when slot or instance has an open one."""
    if not tx.add_replacement(record):
        return False
    body = {"to": record.state.value, "old": record.old_id, "slot": record.slot, "image": record.image}
    if record.quarantine:
        body["quarantine"] = "the old one is kept"
    tx.journal("human" if record.manual else "decision", record.rid, {**body, "why": record.why}, now)
    text = wording.replacement_planned(record.old_id, record.group, record.why)
    tx.say(_message(record, record.state, Severity.MEDIUM, text), now)
    return True


def cancel(store: Store, name: str, who: str, now: datetime) -> str:
    """Ask for the open replacement ``name`` (id, slot or old instance) to be undone; one sentence.

    Raises ``BadInput`` when there is none, or it is past the point of no return.
    """
    with store.write() as tx:
        record = the_open(tx, name)
        if record.committed or record.state is State.SETTLING:
            raise BadInput(wording.too_late_to_cancel(record.rid, record.old_id), "see: driftd status")
        if not record.cancel_requested:
            tx.save_replacement(replace(record, cancel_requested=True, next_at=None))
            tx.journal("human", record.rid, {"cancel": True, "by": who}, now)
    return wording.cancel_requested(record.rid, record.old_id)


def the_open(tx: Tx, name: str) -> Record:
    """The open replacement of this id, old instance or slot. Raises ``BadInput`` when there is none, or several."""
    every = tx.open_replacements()
    found = [one for one in every if name in {one.rid, one.old_id, one.slot or one.rid}]
    if not found:
        names = [word for one in every for word in (one.slot, one.old_id, one.rid)]
        raise BadInput(wording.no_open_replacement(name), near.hint(name, names, SEE))
    exactly = [one for one in found if name in {one.rid, one.old_id}]
    if len(found) > 1 and len(exactly) != 1:
        ids = ", ".join(f"{one.rid} ({one.group})" for one in found[:8])
        raise BadInput(f"{name} is being filled again in {len(found)} groups", f"name one by its id: {ids}")
    return (exactly or found)[0]


def closed(tx: Tx, record: Record, now: datetime) -> Record:
    """Write down that an announced call has no outcome on record: the process died, and the world decides."""
    if not record.intent:
        return record
    tx.journal("result", record.rid, {"outcome": "unknown", "why": wording.interrupted(), "intent": record.intent}, now)
    return replace(record, intent="")


def write_move(tx: Tx, record: Record, answer: Advance | Finish | Halt, now: datetime) -> None:
    """A move in the journal, and what people are told of it; what the old one left open is closed with it."""
    body = {"from": record.state.value, "to": answer.state.value, "why": answer.why}
    if isinstance(answer, Halt):
        body["hint"] = answer.hint
    tx.journal("decision", record.rid, body, now)
    if answer.state is State.LAUNCHING:
        text = wording.replacement_begun(record.old_id, record.group, record.why)
        tx.say(_message(record, answer.state, Severity.INFO, text), now)
    elif answer.state is State.UNDOING:
        text = wording.replacement_undone(record.old_id, answer.why)
        tx.say(_message(record, answer.state, Severity.MEDIUM, text), now)
    elif answer.state in TERMINAL:
        text = wording.replacement_over(record.old_id, answer.state.value, answer.why)
        tx.say(_message(record, answer.state, _SEVERITY.get(answer.state, Severity.MEDIUM), text), now)
    if answer.state is State.SUCCEEDED and (row := tx.instance(record.old_id)) is not None and row.gone_at is None:
        left = "quarantined" if record.quarantine else "terminated"
        tx.put_instance(replace(row, gone_at=now, state=left))
        for finding in tx.open_findings(record.old_id):
            tx.resolve_finding(finding.id, now)


_SEVERITY = {State.SUCCEEDED: Severity.INFO, State.CANCELLED: Severity.INFO, State.STUCK: Severity.CRITICAL}


def _message(record: Record, state: State, severity: Severity, text: str) -> Message:
    return Message(
        key=f"replacement/{record.rid}/{state}",
        code=f"replacement-{state}",
        severity=severity,
        text=text,
        instance_id=record.old_id,
        rid=record.rid,
    )
