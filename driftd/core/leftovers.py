"""Leftovers: what a replacement that is over has left at the provider, and what may be done about it.

Pure: what the provider and the store say goes in, leftovers come out. The rule for all of them: what driftd cannot
prove to be its own and unused is said and left to a person; what it can, is cleaned up only when it is seen again, some
time after it was first seen, and looks the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from driftd.core.facts import Instance
from driftd.core.ports import Snapshot
from driftd.core.replacement import TERMINAL, Record, State
from driftd.core.wording import leftovers as wording
from driftd.core.world import ROLE, TAG_ATTEMPT, TAG_RID, TAG_ROLE

MARKS = frozenset({TAG_RID, TAG_ROLE, TAG_ATTEMPT})  # what a replacement puts on a newcomer and takes off in the end

_UNDONE = frozenset({State.CANCELLED, State.FAILED_CLEAN, State.ABORTED_SAFE})


class What(StrEnum):
    """What kind of leftover."""

    ORPHAN = "orphan"
    MARKS = "marks"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing that is left. ``thing`` is the instance's or the snapshot's id, ``said`` the sentence about it.

    ``ours`` says that it is proven to be driftd's and unused, so that it may be cleaned up; ``tags`` are the marks to
    take off.
    """

    what: What
    thing: str
    said: str
    rid: str = ""
    ours: bool = False
    tags: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """Its name in the journal."""
        return f"{self.what}/{self.thing}"


def of_instances(
    group: str,
    instances: Collection[Instance],
    records: Mapping[str, Record],
    busy: Collection[str],
    manned: Collection[str],
) -> Sequence[Leftover]:
    """Instances of the group that carry marks of a replacement which is over or unknown.

    ``records`` are replacements by rid, at least those that the instances' marks name. ``busy`` are the ids of
    instances that a load balancer knows, or that hold a volume or an address. ``manned`` are the group's slots in which
    an instance serves: elsewhere an orphan may be all that a slot has.
    """
    found = []
    for instance in sorted(instances, key=lambda one: one.id):
        marks = MARKS & instance.tags.keys()
        another_role = instance.tags.get(TAG_ROLE, ROLE) != ROLE
        if instance.group != group or instance.state.ending or not marks or another_role:
            continue
        record = records.get(instance.tags.get(TAG_RID, ""))
        if record is None or record.state in TERMINAL:
            used = instance.id in busy or instance.slot not in manned
            found.append(_of_instance(group, instance, record, used))
    return found


def of_snapshots(snapshots: Collection[Snapshot], records: Collection[Record], overdue: datetime) -> Sequence[Leftover]:
    """Snapshots from before ``overdue`` that one of these replacements took, and is over with.

    One that is in the hands of a person (stuck) keeps its snapshots.
    """
    taken = {
        snapshot_id: record
        for record in records
        if record.state in TERMINAL and record.state is not State.STUCK
        for snapshot_id in record.snapshots.values()
    }
    return [
        Leftover(
            What.SNAPSHOT,
            one.id,
            wording.old_snapshot(one.id, one.volume_id, taken[one.id].rid, one.at),
            taken[one.id].rid,
            ours=True,
        )
        for one in snapshots
        if one.at < overdue and one.token and one.id in taken and one.volume_id in taken[one.id].snapshots
    ]


def due(leftover: Leftover, first_seen: datetime, now: datetime, age: timedelta) -> bool:
    """It may be cleaned up now: proven ours, and seen for long enough."""
    return leftover.ours and now >= first_seen + age


def _of_instance(group: str, instance: Instance, record: Record | None, busy: bool) -> Leftover:
    rid = record.rid if record else ""
    settled = record is not None and record.state is State.SUCCEEDED and record.new_id == instance.id
    if record is not None and (settled or record.old_id == instance.id):
        tags = tuple(sorted(MARKS & instance.tags.keys()))
        return Leftover(
            What.MARKS, instance.id, wording.marks(instance.id, group, rid, tags), rid, ours=True, tags=tags
        )
    ours = record is not None and record.state in _UNDONE and not record.verified and not busy
    said = wording.orphan(instance.id, group, rid, record.state if record else "")
    return Leftover(What.ORPHAN, instance.id, said, rid, ours=ours)
