"""Quorate: whether the cluster of a data server can do without it now, asked of its owner's hook."""

from __future__ import annotations

from driftd.core import quorum
from driftd.core.facts import Instance, Unseen
from driftd.core.ports import HookName
from driftd.core.replacement import Record, State
from driftd.flows.groups import Group
from driftd.flows.standing import Stand
from driftd.flows.survey import Survey

# Where the answer decides about the next call; it is asked of nobody who merely waits for a second look.
_ASKED = frozenset({State.ADMITTING, State.QUIESCING, State.STOPPING, State.DRAINING, State.PARKING, State.RETIRING})


def without(record: Record, group: Group, old: Instance | None, stand: Stand, seen: Survey) -> str:
    """Why the cluster cannot do without ``old``; "" when it can, when there is no cluster, and when nobody asks."""
    if group.hooks is None or not group.hooks.has(HookName.QUORUM) or record.state not in _ASKED or old is None:
        return ""
    if others := quorum.not_alone(_before(record, stand)):
        return others
    answer = group.hooks.ask(HookName.QUORUM, old, group.name)
    flying = {one.old_id for one in stand.facts.flights}
    waiting = [
        quorum.known_as(instance)
        for name in sorted(stand.remembered.keys() - flying - {record.old_id})
        if (instance := seen.instances.get(name)) is not None
    ]
    return quorum.refusal(
        answer if isinstance(answer, Unseen) else quorum.parse(answer),
        quorum.known_as(old),
        removed=record.quiesced or record.stop_sent or record.drain_seen,
        waiting=waiting,
    )


def _before(record: Record, stand: Stand) -> list[str]:
    """The slots that it waits for. Of two that are under way all the same, the one that began first goes on."""
    first = record.state is State.ADMITTING
    flights = stand.facts.flights
    return [one.slot or one.old_id for one in flights if one.rid != record.rid and (first or one.rid < record.rid)]
