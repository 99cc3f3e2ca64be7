"""Quarantine: who is in it, and the end of one of them, which a person asks for and the daemon carries out.

A wish stands in the journal, under the instance's name, and is all that the store has of it: that an instance is in
quarantine stands on the instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from driftd.core import quarantine
from driftd.core.errors import BadInput, NotFound
from driftd.core.facts import Instance
from driftd.core.memory import Store, Tx
from driftd.core.quarantine import ENDED, Quarantined, quarantined
from driftd.core.replacement import TERMINAL
from driftd.core.wording import near
from driftd.core.wording import quarantine as wording
from driftd.core.world import TAG_QUARANTINE
from driftd.flows.collect import Note, end
from driftd.flows.groups import Group
from driftd.flows.survey import Survey, edges_of

SEE = "see: driftd quarantine"


def kept(tx: Tx, groups: Iterable[Group]) -> Sequence[Quarantined]:
    """All that are in quarantine, by group and id, with what the store still knows. Raises ``ProviderError``."""
    found = []
    for group in groups:
        if group.provider.compute is not None:
            mine = [one for one in group.provider.compute.list({}) if one.group == group.name and quarantined(one)]
            found += [_known(tx, one) for one in sorted(mine, key=lambda one: one.id) if not one.state.ending]
    return found


def _known(tx: Tx, instance: Instance) -> Quarantined:
    rid = instance.tags[TAG_QUARANTINE]
    ends = quarantine.to_end(tx.journal_lines(quarantine.subject(instance.id)))
    record = tx.replacement(rid)
    if record is None:  # pruned, or of another store
        return Quarantined(instance, rid, ends=ends)
    since = record.entered_at if record.state in TERMINAL else None
    return Quarantined(instance, rid, record.why, since, record.new_id, ends=ends)


def ask_end(store: Store, groups: Mapping[str, Group], name: str, who: str, reason: str, now: datetime) -> str:
    """Ask for the end of the one called ``name`` (id or slot); one sentence. Raises ``BadInput``, ``ProviderError``."""
    with store.write() as tx:
        every = kept(tx, groups.values())
        found = [one for one in every if name in {one.instance.id, one.instance.slot}]
        if not found:
            names = [word for one in every for word in (one.instance.id, one.instance.slot) if word]
            raise BadInput(f"nothing in quarantine is called {name!r}", near.hint(name, names, SEE))
        if len(found) > 1:
            ids = ", ".join(one.instance.id for one in found)
            raise BadInput(f"{name!r} names {len(found)} instances in quarantine", f"name one by its id: {ids}")
        instance = found[0].instance
        if not found[0].ends:
            body = {"did": ENDED, "by": who, "reason": reason, "instance": instance.id, "group": instance.group}
            tx.journal("human", quarantine.subject(instance.id), body, now)
    return wording.asked(instance.id)


def carry_out(store: Store, group: Group, seen: Survey, note: Note, fence: Callable[[], None]) -> list[str]:
    """End those of ``group`` whose end a person asked for; what was done, said. Raises ``ProviderError``."""
    compute, _ = edges_of(group)
    owners = {volume.attached_to for volume in seen.volumes.values()}
    owners |= {address.attached_to for address in seen.addresses.values()}
    said = []
    for one in seen.instances.values():
        if one.group != group.name or one.state.ending or not quarantined(one):
            continue
        with store.read() as tx:
            wanted = quarantine.to_end(tx.journal_lines(quarantine.subject(one.id)))
        if not wanted:
            continue
        try:
            now = compute.describe(one.id)
        except NotFound:
            continue
        why = quarantine.kept_safely(now, target=one.id in seen.targets, owns=one.id in owners)
        if why:
            said.append(wording.not_ended(why))
            continue
        fence()
        said.append(wording.ended(one.id, group.name, end(compute, note, one.id, quarantine.subject(one.id))))
    return said
