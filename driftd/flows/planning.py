"""Plan: read everything that a plan is made from: the provider by its reading calls, the store, nothing else.

Nobody is looked at, no hook is run, no judge and no Alertmanager is asked: what only they know is named in the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from driftd.core.errors import ProviderError
from driftd.core.facts import Instance
from driftd.core.findings import Verdict
from driftd.core.memory import InstanceRow, Store, Tx
from driftd.core.planning.reading import GroupReading, Past, Reading
from driftd.core.ports import HookName
from driftd.core.replacement import Record, State
from driftd.core.steps.arriving import launch_request
from driftd.core.wording import planning as said
from driftd.flows.groups import Group, is_member
from driftd.flows.observe import manner_of
from driftd.flows.ordering import urgent
from driftd.flows.record import refused_lately
from driftd.flows.standing import Standings, memory, remembered
from driftd.flows.stops import stops
from driftd.flows.survey import Survey, edges_of, survey

PAST = timedelta(days=90)
PAST_ONES = 10  # of a group: each is a reading of its journal
_UNSAID = frozenset({Verdict.CLEAN, Verdict.EXPLAINED})


@dataclass(frozen=True, slots=True)
class Origin:
    """What is written down of a group: digests of its configuration and its policy, and the settings that count."""

    configuration: str
    policy: str
    settings: Mapping[str, str]


def read(
    store: Store,
    groups: Mapping[str, Group],
    origins: Mapping[str, Origin],
    now: datetime,
    outside: Callable[[str], str],
) -> Reading:
    """Everything about ``groups`` at this moment. Raises ``ProviderError`` and ``StoreUnavailable``.

    ``outside`` is the sentence of a stop from outside the store (the pause file), or "".
    """
    able = {name: group for name, group in groups.items() if not group.cannot_replace()}
    surveys = {name: survey(group) for name, group in able.items()}
    standings = Standings(store, groups)
    stands = {name: standings.of(group, surveys[name], now) for name, group in able.items()}
    found: dict[str, GroupReading] = {}
    with store.read() as tx:
        opened = tx.open_replacements()
        rows = {name: tx.instances(name) for name in groups}
        asking = {name: [row for row in rows[name] if row.taint or row.verdict not in _UNSAID] for name in able}
        pressing = urgent(tx, groups, [row for those in asking.values() for row in those])
        since = now - max((memory(group) for group in groups.values()), default=PAST)
        history = [*tx.ended_replacements(since), *opened]
        facts = tx.store_facts()
        for name, group in groups.items():
            mine = [one for one in opened if one.group == name]
            bare = _bare(group, origins[name], rows[name], mine)
            if name not in able:
                found[name] = replace(bare, cannot=group.cannot_replace(), instances=_found(group))
                continue
            found[name] = replace(
                _seen(bare, group, surveys[name]),
                facts=stands[name].facts,
                remembered=remembered(tx, name, asking[name], now),
                past=_past(tx, name, now),
                refused=_refused(tx, group, asking[name], now),
            )
    found = {name: replace(one, stopped=stops(store, name, outside).any) for name, one in found.items()}
    found = {name: replace(one, impossible=_impossible(groups[name], one, now)) for name, one in found.items()}
    return Reading(facts.id, now, found, pressing, history)


def _bare(group: Group, origin: Origin, rows: Sequence[InstanceRow], opened: Sequence[Record]) -> GroupReading:
    """What needs no provider."""
    return GroupReading(
        group.name,
        group.rules,
        group.limits,
        manner_of(group),
        group.image,
        rows={row.id: row for row in rows},
        opened=opened,
        unasked=_unasked(group),
        quorum=group.hooks is not None and group.hooks.has(HookName.QUORUM),
        settings=origin.settings,
        configuration=origin.configuration,
        policy=origin.policy,
    )


def _seen(bare: GroupReading, group: Group, seen: Survey) -> GroupReading:
    mine = {one.id: one for one in seen.instances.values() if one.group == group.name and is_member(one)}
    return replace(bare, instances=mine, targets=seen.targets, volumes=seen.volumes, addresses=seen.addresses)


def _found(group: Group) -> Mapping[str, Instance]:
    """Of a group that can only be looked at, so that its instances are known by name."""
    try:
        return {one.id: one for one in group.members()}
    except ProviderError:
        return {}


def _unasked(group: Group) -> Sequence[str]:
    found = [said.LATER_PEOPLE]
    if group.hooks is not None and group.hooks.has(HookName.QUORUM):
        found.append(said.LATER_QUORUM)
    if group.block_on:
        found.append(said.LATER_ALERTS)
    return found


def _past(tx: Tx, name: str, now: datetime) -> Sequence[Past]:
    """How long the group's last replacements took from when they were let in; what waited before is not of them."""
    over = [one for one in tx.ended_replacements(now - PAST, name) if one.state is State.SUCCEEDED and one.variant]
    found = []
    for record in sorted(over, key=lambda one: one.entered_at)[-PAST_ONES:]:
        lines = tx.journal_lines(record.rid)
        began = [line.at for line in lines if line.body.get("to") == State.PLANNING.value]
        if began and began[-1] <= record.entered_at:
            found.append(Past(record.variant, record.entered_at - began[-1]))
    return found


def _refused(tx: Tx, group: Group, rows: Sequence[InstanceRow], now: datetime) -> Mapping[str, str]:
    recent = {record.old_id for record in tx.replacements() if record.state is State.CANCELLED}
    found = {row.id: refused_lately(tx, group, row, now) for row in rows if row.id in recent}
    return {name: why for name, why in found.items() if why}


def _impossible(group: Group, one: GroupReading, now: datetime) -> str:
    """Why a launch would be refused now, asked once a group; with delete-first it is no use asking."""
    if one.cannot or group.manner.delete_first or not one.instances:
        return ""
    instance = next(iter(one.instances.values()))
    record = Record("plan", group.name, instance.slot, group.image or instance.image, "", "", State.PLANNING, now, now)
    compute, _ = edges_of(group)
    return compute.preflight(launch_request(record))
