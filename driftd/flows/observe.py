"""Observe: everything that one replacement has to know before it decides. Reads only; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from driftd.core.budget import GroupFacts
from driftd.core.facts import Instance, InstanceState
from driftd.core.findings import Action
from driftd.core.looks import Look
from driftd.core.memory import InstanceRow, Store
from driftd.core.ports import HookName, Target, TargetState
from driftd.core.replacement import UNSTARTED, WAITING, Record, State
from driftd.core.steps.arriving import launch_request
from driftd.core.stops import Stops
from driftd.core.taint import standing, taint_action
from driftd.core.world import TAG_RID, Manner, Need, Sight, World
from driftd.flows.groups import Group
from driftd.flows.survey import Survey, described, edges_of

LookAt = Callable[[Instance], Look]


@dataclass(frozen=True, slots=True)
class Memory:
    """What the store knows: the group's replacements, the old one's row, and a taint that asks for a replacement."""

    facts: GroupFacts
    row: InstanceRow | None
    taint: str


def sight_of(look: Look, taint: str) -> Sight:
    """What a look amounts to, together with the taint that the store remembers."""
    judgement = look.judgement
    live = sum(1 for session in look.others if session.live)
    return Sight(judgement.verdict, judgement.action, judgement.reason, taint, live, look.enforceable)


def observe(
    record: Record,
    group: Group,
    seen: Survey,
    store: Store,
    look: LookAt,
    needs: frozenset[Need],
    held: Stops,
    now: datetime,
) -> World:
    """The world as ``record`` sees it by this survey. Raises ``ProviderError`` when the provider cannot be asked."""
    old = described(group, seen, record.old_id)
    newcomers = _newcomers(record, group, seen)
    memory = _from_store(record, store, seen.targets, now)
    confirmed = None
    if Need.LOOK_OLD in needs and old is not None and not held.any:
        confirmed = sight_of(look(old), memory.taint)
    new_id = record.new_id or (newcomers[0].id if newcomers else "")
    newcomer = next((i for i in newcomers if i.id == new_id and i.state is InstanceState.RUNNING), None)
    unhealthy, sight = _newcomer(group, newcomer, look, needs)
    world = World(
        rules=group.rules,
        facts=memory.facts,
        old=old,
        newcomers=newcomers,
        targets=seen.targets,
        confirmed=confirmed,
        remembered=_remembered(memory),
        seen=sight,
        unhealthy=unhealthy,
        volumes={name: one for name, one in seen.volumes.items() if _ours(record, name, one.slot, record.volumes)},
        addresses={
            name: one for name, one in seen.addresses.items() if _ours(record, name, one.slot, record.addresses)
        },
        manner=manner_of(group),
        paused=held.paused,
        frozen=held.frozen,
    )
    if Need.PREFLIGHT in needs and not held.any:
        world = replace(world, impossible=_impossible(record, group))
    if Need.JUDGE in needs and group.judge is None:
        world = replace(world, judged="")
    return world


def _newcomer(
    group: Group, newcomer: Instance | None, look: LookAt, needs: frozenset[Need]
) -> tuple[str | None, Sight | None]:
    """What the newcomer's application answers, and a look at it where that serves."""
    unhealthy = sight = None
    if newcomer is not None and Need.HEALTH in needs:
        unhealthy = group.health.check(newcomer) if group.health else ""
    if newcomer is not None and Need.LOOK_NEW in needs and unhealthy == "":
        sight = sight_of(look(newcomer), "")
    return unhealthy, sight


def manner_of(group: Group) -> Manner:
    """How the group's slots are filled again, with the hooks that it has."""
    hooks = frozenset(name.value for name in HookName if group.hooks is not None and group.hooks.has(name))
    return replace(group.manner, hooks=hooks)


def _ours(record: Record, name: str, slot: str, planned: Mapping[str, str]) -> bool:
    """What the plan froze; before there is one, what belongs to the slot."""
    return name in planned if record.variant else bool(slot) and slot == record.slot


def _impossible(record: Record, group: Group) -> str:
    """Why the launch would be refused now. With delete-first it is no use asking while the old one takes the room."""
    compute, _ = edges_of(group)
    return "" if group.manner.delete_first else compute.preflight(launch_request(record))


def _newcomers(record: Record, group: Group, seen: Survey) -> tuple[Instance, ...]:
    """Those that carry our tag; and the one we know, which loses its tag when it settles."""
    found = {key: one for key, one in seen.instances.items() if one.tags.get(TAG_RID) == record.rid}
    if record.new_id and record.new_id not in found and (known := described(group, seen, record.new_id)) is not None:
        found[known.id] = known
    found.pop(record.old_id, None)
    ordered = sorted(found.values(), key=lambda i: (i.launched_at is None, i.launched_at or record.created_at, i.id))
    return tuple(ordered)


def _remembered(memory: Memory) -> Sight | None:
    row = memory.row
    return Sight(row.verdict, row.action, row.reason, memory.taint) if row is not None else None


def _from_store(record: Record, store: Store, targets: Mapping[str, Target], now: datetime) -> Memory:
    """What the store knows is asked only while it matters: before anything was changed."""
    old = targets.get(record.old_id)
    facts = GroupFacts(
        in_service=sum(1 for target in targets.values() if target.state is TargetState.HEALTHY),
        old_in_service=old is not None and old.state is TargetState.HEALTHY,
    )
    if record.state not in UNSTARTED:
        return Memory(facts, None, "")
    with store.read() as tx:
        row = tx.instance(record.old_id)
        sessions = standing(tx.open_findings(record.old_id), tx.suppressions(now), record.group)
        opened = tx.open_replacements(record.group)
        latest = tx.replacements(limit=200)
    taint = row.taint if row is not None and taint_action(sessions).rank >= Action.REPLACE.rank else ""
    failures = _failures_since_success([r for r in latest if r.group == record.group])
    facts = replace(
        facts,
        others=sum(1 for r in opened if r.rid != record.rid and r.state not in WAITING),
        failures=len(failures),
        failed_at=max((r.entered_at for r in failures), default=None),
        stuck=next((r.rid for r in failures if r.state is State.STUCK), ""),
    )
    return Memory(facts, row, taint)


def _failures_since_success(newest_first: Sequence[Record]) -> list[Record]:
    failures = []
    for record in sorted(newest_first, key=lambda r: r.entered_at, reverse=True):
        if record.state is State.SUCCEEDED:
            break
        if record.state in {State.FAILED_CLEAN, State.ABORTED_SAFE, State.STUCK}:
            failures.append(record)
    return failures
