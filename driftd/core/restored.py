"""Restored: is this store older than the world it is to act on? Pure; the flows bring what is known of the world.

A store that was put back from a backup knows nothing of what was done since: which instances it launched, which ends it
announced. Acting on it would be acting on hope, so each sign of it becomes a doubt that a person has to settle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from driftd.core.checkpoint import Checkpoint
from driftd.core.facts import Instance
from driftd.core.upkeep import Doubt, StoreFacts
from driftd.core.wording import keeping, printable
from driftd.core.world import ROLE, TAG_EPOCH, TAG_RID, TAG_ROLE

# A tag is a stranger's text: what is quoted of it.
_SHOWN = 64
# An epoch is one more with each start of a daemon: who names a higher one names none. What is believed becomes the next
# lease's, and it must stay far below what every reader of JSON holds exactly.
EPOCH_LIMIT = 2**40


def put_back(at: datetime, source: str, epoch: int) -> Doubt:
    """The doubt about a store that ``driftd store restore`` put in place; ``epoch`` is that of the one it replaced."""
    return Doubt("restored", f"{at:%Y%m%dT%H%M%S.%f}", keeping.restored(at, source), at, epoch)


def by_checkpoint(
    facts: StoreFacts, last: int, hash_of: Callable[[int], str], claim: Checkpoint, now: datetime
) -> Doubt | None:
    """What a checkpoint beside the store says against it. ``last`` is its newest line, ``hash_of`` a line's hash."""
    if claim.store != facts.id:
        why = keeping.other_store(claim.store, facts.id)
    elif claim.seq > last:
        why = keeping.behind_checkpoint(last, claim.seq, claim.at)
    elif hash_of(claim.seq) != claim.hash:
        why = keeping.not_as_signed(claim.seq, claim.at)
    else:
        return None
    epoch = claim.epoch if claim.epoch < EPOCH_LIMIT else 0
    return Doubt("checkpoint", f"{claim.store}/{claim.seq}/{claim.hash}", why, now, epoch)


def unreadable_checkpoint(digest: str, why: str, now: datetime) -> Doubt:
    """A checkpoint beside the store that cannot be read, by the digest of what is there; "" where that is not known."""
    return Doubt("checkpoint", digest or f"{now:%Y%m%dT%H%M%S.%f}", keeping.unreadable_checkpoint(why), now)


def by_marks(
    facts: StoreFacts, instances: Sequence[Instance], is_known: Callable[[str], bool], now: datetime
) -> list[Doubt]:
    """What our own marks on instances say against the store: a later epoch, a replacement that it does not know."""
    doubts: dict[tuple[str, str], Doubt] = {}
    for instance in instances:
        for doubt in (_by_epoch(facts, instance, now), _by_replacement(instance, is_known, now)):
            if doubt is not None:
                doubts.setdefault((doubt.code, doubt.subject), doubt)
    return list(doubts.values())


def _by_epoch(facts: StoreFacts, instance: Instance, now: datetime) -> Doubt | None:
    text = instance.tags.get(TAG_EPOCH, "")
    if not text:
        return None
    epoch = int(text) if text.isascii() and text.isdigit() and len(text) < 17 else None
    if epoch is not None and epoch <= max(facts.epoch, facts.floor):
        return None
    if epoch is None or epoch >= EPOCH_LIMIT:
        why = keeping.unreadable_epoch(instance.id, printable(text[:_SHOWN]))
        return Doubt("epoch", f"{instance.id}: {text[:_SHOWN]}", why, now)
    return Doubt("epoch", str(epoch), keeping.later_epoch(instance.id, epoch, facts.epoch), now, epoch)


def _by_replacement(instance: Instance, is_known: Callable[[str], bool], now: datetime) -> Doubt | None:
    rid = instance.tags.get(TAG_RID, "")
    if instance.tags.get(TAG_ROLE) != ROLE or not rid or is_known(rid):
        return None
    shown = printable(rid[:_SHOWN])
    return Doubt("unknown-replacement", rid[:_SHOWN], keeping.unknown_replacement(instance.id, shown), now)
