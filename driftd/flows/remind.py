"""Remind: what waits for people is said to people: approvals, holds that end, and what waits for very long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from driftd.core.findings import Severity
from driftd.core.memory import Message, Store, Tx
from driftd.core.replacement import Record, State
from driftd.core.wording import holds as wording
from driftd.flows.groups import Group

SOON = timedelta(hours=1)
LATELY = timedelta(hours=24)
# After so long it is said that a replacement still waits.
LONG = (timedelta(hours=24), timedelta(days=7))


class Reminder:
    """Says each thing once: the message's key is what happened."""

    def __init__(self, store: Store, groups: Mapping[str, Group], *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._groups = groups
        self._clock = clock

    def tick(self) -> list[str]:
        """Queue what is to be said; nothing for the log."""
        now = self._clock()
        with self._store.read() as tx:
            found = [*_holds(tx, now), *self._approvals(tx), *_waits(tx, now)]
            messages = [one for one in found if not tx.message_id(one.key)]
        if messages:
            with self._store.write() as tx:
                for message in messages:
                    tx.say(message, now)
        return []

    def _approvals(self, tx: Tx) -> list[Message]:
        return [
            Message(
                f"approval/{one.rid}",
                "approval",
                Severity.MEDIUM,
                wording.asks_approval(one.old_id, one.group, one.rid, one.why),
                one.old_id,
                one.rid,
            )
            for one in tx.open_replacements()
            if one.state is State.ADMITTING and self._asks(one)
        ]

    def _asks(self, record: Record) -> bool:
        group = self._groups.get(record.group)
        return group is not None and group.rules.approve and not (record.manual or record.approved_by)


def _holds(tx: Tx, now: datetime) -> list[Message]:
    found = []
    for one in tx.every_hold(since=now - LATELY):
        told = (one.instance_id, one.owner)
        if one.released_at is not None:
            continue
        if one.until <= now:
            text = wording.over(*told, one.reason)
            found.append(Message(f"hold-over/{one.id}", "hold-over", Severity.LOW, text, one.instance_id))
        elif one.until - now <= SOON < one.until - one.created_at and not one.renewed_by:
            text = wording.ends_soon(*told, one.until, one.reason)
            found.append(Message(f"hold-ends/{one.id}", "hold-ends", Severity.LOW, text, one.instance_id))
    return found


def _waits(tx: Tx, now: datetime) -> list[Message]:
    found = []
    for one in tx.open_replacements():
        for long in LONG:
            if one.state is State.ADMITTING and one.created_at + long <= now:
                text = wording.waits_long(one.old_id, one.group, now - one.created_at, one.note)
                key = f"waits/{one.rid}/{long.days}"
                found.append(Message(key, "waits", Severity.MEDIUM, text, one.old_id, one.rid))
    return found
