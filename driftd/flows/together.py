"""Told together: what happens alike on many instances is one message, and not one for each.

A message of this sort waits a little before it is sent (``Message.due``), and meanwhile every instance of the group to
which the same happens joins it. What is sealed is never added to: who comes later joins the next message, which waits
until a sweep's time has passed since the last one was begun. So there are at most two in a sweep, however long it is.
Everything happens in the transaction of the look that saw it, so that each instance is told of exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from driftd.core.findings import Severity
from driftd.core.journal import instant
from driftd.core.memory import InstanceRow, Message, Topic, Tx
from driftd.core.wording import causes as wording

PATIENCE = timedelta(seconds=60)
NAMED = 3
KINDS = 8


@dataclass(frozen=True, slots=True)
class News:
    """What happened to one instance. ``topic`` is the same where the like happened, ``kind`` where the very same did.

    ``again`` says that the instance was told of in this topic already and that there is only more of it.
    """

    topic: str
    kind: str
    severity: Severity
    sentence: str
    again: bool = False


def tell(
    tx: Tx, code: str, row: InstanceRow, news: Sequence[News], text: str, now: datetime, *, sweep: timedelta
) -> None:
    """Say ``news`` of the instance of ``row``: with others where a message waits for it, else in one of its own.

    ``text`` is what that one says while no other instance has joined. ``sweep`` is how often an instance is looked at.
    """
    fresh: list[News] = []
    since: list[datetime] = []
    for one in news:
        topic = f"{code}/{row.group}/{one.topic}"
        known = tx.topic(topic)
        if known is None or not _join(tx, code, row, known, one, now):
            fresh.append(replace(one, topic=topic))
            since += [known.since] if known is not None else []
    if not fresh:
        return
    due = max([now + min(sweep, PATIENCE), *(at + sweep for at in since)])
    worst = max((one.severity for one in fresh), key=lambda one: one.rank)
    key = f"{code}/{row.id}/{instant(now)}"
    if not tx.say(Message(key, code, worst, text, row.id, due=due), now):
        return
    number = tx.message_id(key)
    for one in fresh:
        tx.put_topic(Topic(one.topic, number, one.severity, one.sentence, 1, (row.id,), (one.kind,), now))


def _join(tx: Tx, code: str, row: InstanceRow, known: Topic, one: News, now: datetime) -> bool:
    """Whether the message that last told of this could be added to."""
    message = tx.open_message(known.message_id)
    if message is None or message.due is None or message.due <= now:
        return False
    more = replace(
        known,
        severity=max(known.severity, one.severity, key=lambda level: level.rank),
        instances=known.instances + (not one.again),
        named=known.named if one.again or len(known.named) >= NAMED else (*known.named, row.id),
        kinds=known.kinds if one.kind in known.kinds or len(known.kinds) >= KINDS else (*known.kinds, one.kind),
    )
    tx.put_topic(more)
    topics = sorted(tx.topics(known.message_id), key=lambda each: (-each.severity.rank, -each.instances, each.topic))
    rows = [(each.severity.value, each.sentence, each.instances, each.named, len(each.kinds) > 1) for each in topics]
    text = wording.alike(code, row.group, rows)
    severity = max(message.severity, more.severity, key=lambda level: level.rank)
    return tx.retell(replace(message, text=text, severity=severity))


def all_looked(tx: Tx, message: Message) -> bool:
    """Whether every instance of the message's group was looked at since it was begun, so that nobody else will join."""
    first = tx.instance(message.instance_id)
    if first is None or message.created_at is None:
        return True
    begun = message.created_at
    others = (row.looked_at for row in tx.instances(first.group) if row.id != first.id)
    return all(looked_at is not None and looked_at >= begun for looked_at in others)
