"""Observe: everything that one replacement has to know before it decides. Reads only; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from driftd.core.asides import Isolating
from driftd.core.facts import Instance, InstanceState
from driftd.core.findings import Verdict
from driftd.core.looks import Look
from driftd.core.ports import Address, HookName, Volume
from driftd.core.quarantine import quarantined
from driftd.core.replacement import Record, State
from driftd.core.steps.arriving import launch_request
from driftd.core.stops import Stops
from driftd.core.taint import anybody
from driftd.core.variants import takes_over
from driftd.core.world import TAG_RID, Manner, Need, Sight, World
from driftd.flows.groups import Group
from driftd.flows.judging import judged
from driftd.flows.quorate import without
from driftd.flows.standing import Stand
from driftd.flows.survey import Survey, described, edges_of

LookAt = Callable[[Instance], Look]


def sight_of(look: Look, taint: str) -> Sight:
    """What a look amounts to, together with the taint that the store remembers."""
    judgement = look.judgement
    live = sum(1 for session in look.others if session.live and anybody(session))
    return Sight(judgement.verdict, judgement.action, judgement.reason, taint, live, look.enforceable)


def observe(
    record: Record,
    group: Group,
    seen: Survey,
    stand: Stand,
    look: LookAt,
    needs: frozenset[Need],
    held: Stops,
    now: datetime,
) -> World:
    """The world as ``record`` sees it by this survey. Raises ``ProviderError`` when the provider cannot be asked."""
    old = described(group, seen, record.old_id)
    newcomers = _newcomers(record, group, seen)
    remembered = stand.remembered.get(record.old_id)
    confirmed, facts = None, stand.facts
    if Need.LOOK_OLD in needs and old is not None and not old.state.ending and not held.any:
        confirmed = sight_of(look(old), remembered.taint if remembered else "")
        if confirmed.verdict is not Verdict.UNKNOWN:  # else what the last look saw counts
            facts = facts.looked(old.id, confirmed.live, now)
    if not held.any and (short := without(record, group, old, stand, seen)):
        facts = replace(facts, quorum={record.old_id: short})
    if own := facts.unready & {one.id for one in newcomers}:
        # Launched before the store was put back from a copy: nobody has to wait for his own newcomer to be ready.
        facts = replace(facts, unready=facts.unready - own)
    new_id = record.new_id or (newcomers[0].id if newcomers else "")
    newcomer = next((i for i in newcomers if i.id == new_id and i.state is InstanceState.RUNNING), None)
    unhealthy, sight = _newcomer(record, group, newcomer, look, needs)
    world = World(
        rules=group.rules,
        facts=facts,
        old=old,
        newcomers=newcomers,
        targets=seen.targets,
        confirmed=confirmed,
        remembered=remembered,
        seen=sight,
        unhealthy=unhealthy,
        volumes={name: one for name, one in seen.volumes.items() if _moves(record, name, one.slot, record.volumes)},
        addresses={
            name: one for name, one in seen.addresses.items() if _moves(record, name, one.slot, record.addresses)
        },
        unplanned=_unplanned(record, seen),
        manner=manner_of(group),
        paused=held.paused,
        frozen=held.frozen,
    )
    if Need.PREFLIGHT in needs and not held.any:
        world = replace(world, impossible=_impossible(record, group))
    if record.state is State.PLANNING:
        world = replace(world, rivals=_rivals(record, seen))
    if Need.SNAPSHOTS in needs and group.provider.volumes is not None:
        world = replace(world, snapshots=frozenset(one.token for one in group.provider.volumes.snapshots()))
    if Need.JUDGE in needs and not held.any:
        world = replace(world, judged=judged(record, group, newcomer, seen, now))
    return world


def _newcomer(
    record: Record, group: Group, newcomer: Instance | None, look: LookAt, needs: frozenset[Need]
) -> tuple[str | None, Sight | None]:
    """What the newcomer's application answers, and a look at it where that serves.

    An application whose slot owns something, or that a hook starts, is asked once it has that: before, it may well not
    be able to serve. Any other is asked before that alone.
    """
    unhealthy = sight = None
    if newcomer is not None and Need.HEALTH in needs:
        started = takes_over(record) or (group.hooks is not None and group.hooks.has(HookName.SERVE))
        asked = started == (record.state is State.SERVING)
        unhealthy = group.health.check(newcomer) if asked and group.health is not None else ""
    if newcomer is not None and Need.LOOK_NEW in needs and unhealthy == "":
        sight = sight_of(look(newcomer), "")
    return unhealthy, sight


def manner_of(group: Group) -> Manner:
    """How the group's slots are filled again, with the hooks that it has."""
    hooks = frozenset(name.value for name in HookName if group.hooks is not None and group.hooks.has(name))
    return replace(group.manner, hooks=hooks, isolates=isinstance(group.provider, Isolating))


def _moves(record: Record, name: str, slot: str, planned: Mapping[str, str]) -> bool:
    """What the plan froze; before there is one, what belongs to the slot."""
    return name in planned if record.variant else _ours(record, slot)


def _ours(record: Record, slot: str) -> bool:
    return bool(slot) and slot == record.slot


def _unplanned(record: Record, seen: Survey) -> Mapping[str, str]:
    """What the plan would hold, too, were it made now."""
    if not record.variant:
        return {}
    volumes = [(f"volume {name}", name in record.volumes, one) for name, one in sorted(seen.volumes.items())]
    addresses = [(f"address {name}", name in record.addresses, one) for name, one in sorted(seen.addresses.items())]
    every: list[tuple[str, bool, Volume | Address]] = [*volumes, *addresses]
    return {what: one.attached_to for what, planned, one in every if not planned and _ours(record, one.slot)}


def _impossible(record: Record, group: Group) -> str:
    """Why the launch would be refused now. With delete-first it is no use asking while the old one takes the room."""
    compute, _ = edges_of(group)
    return "" if group.manner.delete_first else compute.preflight(launch_request(record))


def _rivals(record: Record, seen: Survey) -> tuple[Instance, ...]:
    """The slot's other instances that are none of ours: somebody may have plans for them, or one may be back."""
    place = record.group, record.slot
    others = (one for one in seen.instances.values() if one.id != record.old_id and not one.state.ending)
    found = (one for one in others if one.tags.get(TAG_RID) != record.rid)
    return tuple(one for one in found if record.slot and (one.group, one.slot) == place and not quarantined(one))


def _newcomers(record: Record, group: Group, seen: Survey) -> tuple[Instance, ...]:
    """Those that carry our tag; and the one we know, which loses its tag when it settles."""
    found = {one.id: one for one in seen.marked.get(record.rid, ())}
    if record.new_id and record.new_id not in found and (known := described(group, seen, record.new_id)) is not None:
        found[known.id] = known
    found.pop(record.old_id, None)
    ordered = sorted(found.values(), key=lambda i: (i.launched_at is None, i.launched_at or record.created_at, i.id))
    return tuple(ordered)
