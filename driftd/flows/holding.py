"""What people decide about single replacements: hold and release an instance, approve and deny a replacement.

Each is one transaction: the row, the journal's line, and the sentence that the person gets back.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from driftd.core.errors import BadInput
from driftd.core.findings import Severity
from driftd.core.holds import Hold, placed, released
from driftd.core.memory import Message, Store
from driftd.core.replacement import State
from driftd.core.wording import holds as wording
from driftd.core.wording import near, too_late_to_cancel
from driftd.flows.naming import SEE, called, the_instance
from driftd.flows.opening import the_open


def hold(store: Store, name: str, who: str, reason: str, span: timedelta, now: datetime) -> str:
    """Hold the instance ``name`` (id, slot or address) for ``span``; what is so now. Raises BadInput."""
    with store.write() as tx:
        row = the_instance(tx, name)
        earlier = tx.every_hold(row.id)
        wanted = placed(earlier, row.id, row.group, who, reason, span, now)
        before = next((one for one in earlier if one.id == wanted.id), None)
        tx.put_hold(wanted)
        said = _said(wanted, before)
        body = {"did": "hold", "by": who, "owner": wanted.owner, "reason": wanted.reason, "until": wanted.until}
        tx.journal("human", row.id, body, now)
        tx.say(Message(f"hold/{row.id}/{now.isoformat()}", "hold", Severity.INFO, said, row.id), now)
        open_one = next((one for one in tx.open_replacements(row.group) if one.old_id == row.id), None)
    return f"{said}; {wording.under_way(open_one.rid, open_one.state)}" if open_one else said


def _said(wanted: Hold, before: Hold | None) -> str:
    if wanted.renewed_by and (before is None or not before.renewed_by):
        return wording.renewed(wanted.instance_id, wanted.owner, wanted.renewed_by, wanted.until)
    if before is not None:
        return wording.shortened(wanted.instance_id, wanted.until)
    return wording.held(wanted.instance_id, wanted.owner, wanted.until, wanted.reason)


def release(store: Store, name: str, who: str, now: datetime) -> str:
    """End the hold of the instance ``name`` (id, slot or address), whoever's it is. Raises BadInput without one."""
    with store.write() as tx:
        named = {row.id for row in tx.instances(gone=True) if row.called(name)} | {name}
        found = [one for one in tx.holds(now) if one.instance_id in named]
        if not found:
            held = {one.instance_id for one in tx.holds(now)}
            names = called(row for row in tx.instances(gone=True) if row.id in held)
            raise BadInput(wording.not_held(name), near.hint(name, names, SEE))
        for one in found:
            tx.put_hold(released(one, who, now))
            tx.journal("human", one.instance_id, {"did": "release", "by": who, "owner": one.owner}, now)
            said = wording.released(one.instance_id, one.owner, who)
            key = f"release/{one.instance_id}/{now.isoformat()}"
            tx.say(Message(key, "release", Severity.INFO, said, one.instance_id), now)
    return said


def approve(store: Store, name: str, who: str, now: datetime) -> str:
    """Agree to the open replacement ``name`` (id, slot or old instance). Raises BadInput where there is none."""
    with store.write() as tx:
        record = the_open(tx, name)
        if record.denied_by:
            raise BadInput(wording.denied(record.rid, record.old_id, record.denied_by), SEE)
        if record.approved_by:
            return wording.approved_already(record.rid, record.approved_by)
        if record.manual:
            return wording.needs_none(record.rid)
        tx.save_replacement(replace(record, approved_by=who, next_at=None))
        tx.journal("human", record.rid, {"did": "approve", "by": who}, now)
    return wording.approved(record.rid, record.old_id, who)


def deny(store: Store, name: str, who: str, reason: str, now: datetime) -> str:
    """Refuse the open replacement ``name``: it ends cancelled, and what it did is undone. Raises BadInput."""
    with store.write() as tx:
        record = the_open(tx, name)
        if record.committed or record.state is State.SETTLING:
            raise BadInput(too_late_to_cancel(record.rid, record.old_id), SEE)
        if not record.denied_by:
            tx.save_replacement(replace(record, denied_by=who, cancel_requested=True, next_at=None))
            tx.journal("human", record.rid, {"did": "deny", "by": who, "reason": reason}, now)
    return wording.denied(record.rid, record.old_id, record.denied_by or who)
