"""What a store that was put back knows nothing of: a person looks at it, and keeps one instance of each slot."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from driftd.core.leftovers import MARKS
from driftd.core.ports import Volume
from driftd.core.replacement import TERMINAL, State
from driftd.core.world import TAG_RID

if TYPE_CHECKING:
    from driftd.rehearsal.run import Run

AFTER_S = 60  # when an end is over, and what the slot owns is free


def see_to_strays(run: Run) -> bool:
    """Every instance that a replacement launched of which the store knows nothing (docs/store.md): was there any?"""
    marked = {key: run.cloud.servers[key].instance.tags.get(TAG_RID, "") for key in run.cloud.alive()}
    with run.office.read() as tx:
        strays = sorted(key for key, rid in marked.items() if rid and tx.replacement(rid) is None)
    for key in strays:
        _decide(run, key)
    return bool(strays)


def see_to_the_stopped(run: Run) -> None:
    """What a replacement that the store knows nothing of took out of service before it launched anybody."""
    under_way = {record.old_id for record in run.open_records()}
    for key in sorted(run.truth.stopped_by_us - under_way):
        server = run.cloud.servers[key]
        alone = [one for one in run.cloud.alive() if run.cloud.servers[one].request.slot == server.request.slot] == [
            key
        ]
        if alone and server.stopped:
            run.note(f"ann starts {key} again")
            run.truth.stopped_by_us.discard(key)  # of a replacement that nobody knows of nothing is called off
            with run.cloud.by_hand():
                run.cloud.parts.compute.start(key)
            run.after_a_while(AFTER_S, partial(_made_whole, run, server.request.slot, key))


def end_the_returned(run: Run) -> None:
    """Of whom the provider said that they had ended, and who are back beside those that took their place."""
    with run.office.read() as tx:
        over = [one for one in tx.replacements(1000) if one.state is State.SUCCEEDED]
    for record in over:
        alive = run.cloud.alive(record.group)
        if record.old_id in alive and record.new_id in alive and not run.cloud.servers[record.old_id].claims:
            run.note(f"ann ends {record.old_id}, which is back")
            with run.cloud.by_hand():
                run.cloud.parts.traffic.drain(record.group, record.old_id)
                if not run.cloud.connections(record.group, record.old_id):
                    run.cloud.parts.traffic.deregister(record.group, record.old_id)
                    run.cloud.parts.compute.terminate(record.old_id)


def keep_the_last(run: Run) -> None:
    """What the janitor leaves to a person: an orphan of a replacement that is over, and all that its slot has."""
    for key in run.cloud.alive():
        server = run.cloud.servers[key]
        rid = server.instance.tags.get(TAG_RID, "")
        with run.office.read() as tx:
            record = tx.replacement(rid) if rid else None
        here = [one for one in run.cloud.alive() if run.cloud.servers[one].request.slot == server.request.slot]
        if record is not None and record.state in TERMINAL and here == [key]:
            _decide(run, key)


def _decide(run: Run, key: str) -> None:
    slot, group = run.cloud.servers[key].request.slot, run.cloud.servers[key].instance.group
    here = [one for one in run.cloud.alive(group) if run.cloud.servers[one].request.slot == slot]
    if key not in here:
        return
    serving = [one for one in here if one in run.cloud.in_service(group)]
    owners = [thing.attached_to for thing in run.cloud.things(slot) if thing.attached_to in here]
    kept = next(iter([*owners, *serving, *(one for one in here if one != key), key]))
    run.note(f"ann keeps {kept} in {slot}, of {', '.join(here)}")
    with run.cloud.by_hand():
        others = [one for one in here if one != kept]
        for one in others:
            run.cloud.parts.traffic.drain(group, one)
        if any(run.cloud.connections(group, one) for one in others):
            return  # she comes back once nobody is served by them any more
        for one in others:
            run.cloud.parts.traffic.deregister(group, one)
            run.cloud.parts.compute.terminate(one)
        run.cloud.parts.compute.tag(kept, dict.fromkeys(MARKS, ""))
        if run.cloud.servers[kept].stopped:
            run.cloud.parts.compute.start(kept)
    run.after_a_while(AFTER_S, lambda: _made_whole(run, slot, kept))


def _made_whole(run: Run, slot: str, kept: str) -> None:
    server = run.cloud.servers[kept]
    with run.cloud.by_hand():
        for thing in run.cloud.things(slot):
            if thing.attached_to == kept:
                continue
            if isinstance(thing, Volume):
                run.cloud.parts.volumes.attach(thing.id, kept)
            else:
                run.cloud.parts.addresses.associate(thing.address, kept)
        run.cloud.parts.traffic.register(server.instance.group, server.instance)
