"""Observe: everything that one replacement has to know before it decides. Reads only; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from driftd.core.budget import GroupFacts
from driftd.core.errors import NotFound
from driftd.core.facts import Instance, InstanceState
from driftd.core.looks import Look
from driftd.core.ports import Compute, InstanceRow, Store, Target, TargetState, Traffic
from driftd.core.replacement import Record, State
from driftd.core.world import TAG_RID, Need, Sight, World
from driftd.flows.groups import Group

LookAt = Callable[[Instance], Look]


def sight_of(look: Look, row: InstanceRow | None) -> Sight:
    """What a look amounts to, together with the taint that the store remembers."""
    judgement = look.judgement
    return Sight(
        verdict=judgement.verdict,
        action=judgement.action,
        reason=judgement.reason,
        taint=row.taint if row else "",
        strangers=len(look.others),
        live=sum(1 for session in look.others if session.live),
    )


def observe(record: Record, group: Group, store: Store, look: LookAt, needs: frozenset[Need], paused: str) -> World:
    """The world as ``record`` sees it now. Raises ``ProviderError`` when the provider cannot be asked."""
    compute, traffic = edges_of(group)
    old = _describe(compute, record.old_id)
    newcomers = _newcomers(record, compute)
    targets = {target.instance_id: target for target in traffic.targets(record.group)}
    facts, row = _from_store(record, store, targets)
    confirmed = seen = unhealthy = None
    if Need.LOOK_OLD in needs and old is not None and not paused:
        confirmed = sight_of(look(old), row)
    new_id = record.new_id or (newcomers[0].id if newcomers else "")
    newcomer = next((i for i in newcomers if i.id == new_id and i.state is InstanceState.RUNNING), None)
    if newcomer is not None and Need.HEALTH in needs:
        unhealthy = group.health.check(newcomer) if group.health else ""
    if newcomer is not None and Need.LOOK_NEW in needs and unhealthy == "":
        seen = sight_of(look(newcomer), None)
    return World(
        rules=group.rules,
        facts=facts,
        old=old,
        newcomers=newcomers,
        targets=targets,
        confirmed=confirmed,
        remembered=_remembered(row),
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


def _remembered(row: InstanceRow | None) -> Sight | None:
    if row is None:
        return None
    return Sight(verdict=row.verdict, action=row.action, reason=row.reason, taint=row.taint)


def _from_store(record: Record, store: Store, targets: Mapping[str, Target]) -> tuple[GroupFacts, InstanceRow | None]:
    with store.read() as tx:
        row = tx.instance(record.old_id)
        opened = tx.open_replacements(record.group)
        latest = tx.replacements(limit=200)
    failures = _failures_since_success([r for r in latest if r.group == record.group])
    stuck = next((r.rid for r in failures if r.state is State.STUCK), "")
    unstarted = {State.CONFIRMING, State.ADMITTING}
    old = targets.get(record.old_id)
    facts = GroupFacts(
        in_service=sum(1 for target in targets.values() if target.state is TargetState.HEALTHY),
        old_in_service=old is not None and old.state is TargetState.HEALTHY,
        others=sum(1 for r in opened if r.rid != record.rid and r.state not in unstarted),
        failures=len(failures),
        failed_at=max((r.entered_at for r in failures), default=None),
        stuck=stuck,
    )
    return facts, row


def _failures_since_success(newest_first: Sequence[Record]) -> list[Record]:
    failures = []
    for record in sorted(newest_first, key=lambda r: r.entered_at, reverse=True):
        if record.state is State.SUCCEEDED:
            break
        if record.state in {State.FAILED_CLEAN, State.ABORTED_SAFE, State.STUCK}:
            failures.append(record)
    return failures
