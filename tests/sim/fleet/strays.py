"""What a store that was put back knows nothing of: a person looks at it, and keeps one instance of each slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driftd.core.leftovers import MARKS
from driftd.core.world import TAG_RID

if TYPE_CHECKING:
    from fleet.run import Run

AFTER_S = 60  # when an end is over, and what the slot owns is free


def see_to_strays(run: Run) -> bool:
    """Every instance that a replacement launched of which the store knows nothing (docs/store.md): was there any?"""
    marked = {key: run.cloud.servers[key].instance.tags.get(TAG_RID, "") for key in run.cloud.alive()}
    with run.office.read() as tx:
        strays = sorted(key for key, rid in marked.items() if rid and tx.replacement(rid) is None)
    for key in strays:
        _decide(run, key)
    return bool(strays)


def _decide(run: Run, key: str) -> None:
    slot, group = run.cloud.servers[key].request.slot, run.cloud.servers[key].instance.group
    here = [one for one in run.cloud.alive(group) if run.cloud.servers[one].request.slot == slot]
    if key not in here:
        return
    serving = [one for one in here if one in run.cloud.in_service(group)]
    owners = [thing.attached_to for thing in _things(run, slot) if thing.attached_to in here]
    kept = next(iter([*owners, *serving, *(one for one in here if one != key), key]))
    run.note(f"ann keeps {kept} in {slot}, of {', '.join(here)}")
    with run.cloud.by_hand():
        for one in here:
            if one != kept:
                run.cloud.traffic.drain(group, one)
                run.cloud.traffic.deregister(group, one)
                run.cloud.compute.terminate(one)
        run.cloud.compute.tag(kept, dict.fromkeys(MARKS, ""))
        if run.cloud.servers[kept].stopped:
            run.cloud.compute.start(kept)
    run.after_a_while(AFTER_S, lambda: _made_whole(run, slot, kept))


def _made_whole(run: Run, slot: str, kept: str) -> None:
    server = run.cloud.servers[kept]
    with run.cloud.by_hand():
        for thing in _things(run, slot):
            if thing.attached_to == kept:
                continue
            if thing in run.cloud.volume_table.values():
                run.cloud.volumes.attach(thing.id, kept)
            else:
                run.cloud.addresses.associate(thing.address, kept)
        run.cloud.traffic.register(server.instance.group, server.instance)


def _things(run: Run, slot: str) -> list:
    every = (*run.cloud.volume_table.values(), *run.cloud.address_table.values())
    return [thing for thing in every if thing.slot == slot]
