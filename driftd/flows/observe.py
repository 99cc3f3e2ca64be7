"""Observe: everything that one replacement has to know before it decides. Reads only; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from driftd.core.budget import GroupFacts
from driftd.core.errors import NotFound
from driftd.core.facts import Instance, InstanceState
from driftd.core.findings import Action
from driftd.core.looks import Look
from driftd.core.memory import InstanceRow, Store
from driftd.core.ports import Compute, Target, TargetState, Traffic
from driftd.core.replacement import Record, State
from driftd.core.taint import standing, taint_action
from driftd.core.world import TAG_RID, Need, Sight, World
from driftd.flows.groups import Group

UNSTARTED = frozenset({State.CONFIRMING, State.ADMITTING})

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
    record: Record, group: Group, store: Store, look: LookAt, needs: frozenset[Need], paused: str, now: datetime
) -> World:
    """The world as ``record`` sees it now. Raises ``ProviderError`` when the provider cannot be asked."""
    compute, traffic = edges_of(group)
    old = _describe(compute, record.old_id)
    newcomers = _newcomers(record, compute)
    targets = {target.instance_id: target for target in traffic.targets(record.group)}
    memory = _from_store(record, store, targets, now)
    confirmed = seen = unhealthy = None
    if Need.LOOK_OLD in needs and old is not None and not paused:
        confirmed = sight_of(look(old), memory.taint)
    new_id = record.new_id or (newcomers[0].id if newcomers else "")
    newcomer = next((i for i in newcomers if i.id == new_id and i.state is InstanceState.RUNNING), None)
    if newcomer is not None and Need.HEALTH in needs:
        unhealthy = group.health.check(newcomer) if group.health else ""
    if newcomer is not None and Need.LOOK_NEW in needs and unhealthy == "":
        seen = sight_of(look(newcomer), "")
    return World(
        rules=group.rules,
        facts=memory.facts,
        old=old,
        newcomers=newcomers,
        targets=targets,
        confirmed=confirmed,
        remembered=_remembered(memory),
        seen=seen,
        unhealthy=unhealthy,
        paused=paused,
    )


def edges_of(group: Group) -> tuple[Compute, Traffic]:
    """The two ports that a replacement works through."""
    compute, traffic = group.provider.compute, group.provider.traffic
    if compute is None or traffic is None:
        raise NotFound(group.cannot_replace())
    return compute, traffic


def _describe(compute: Compute, instance_id: str) -> Instance | None:
    try:
        instance = compute.describe(instance_id)
    except NotFound:
        return None
    return None if instance.state is InstanceState.TERMINATED else instance


def _newcomers(record: Record, compute: Compute) -> tuple[Instance, ...]:
    """Those that carry our tag; and the one we know, which loses its tag when it settles."""
    found = {instance.id: instance for instance in compute.list({TAG_RID: record.rid})}
    if record.new_id and record.new_id not in found and (known := _describe(compute, record.new_id)) is not None:
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
        others=sum(1 for r in opened if r.rid != record.rid and r.state not in UNSTARTED),
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
