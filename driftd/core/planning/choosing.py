"""Choosing: which instances a plan is about: what drift asks for, what waits already, and what a person names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from driftd.core.errors import BadInput
from driftd.core.facts import Instance
from driftd.core.findings import Verdict
from driftd.core.planning.reading import Candidate, Chosen, GroupReading, Reading
from driftd.core.replacement import WAITING, Record
from driftd.core.steps.before import asks
from driftd.core.wording import holds as wording
from driftd.core.wording import near
from driftd.core.wording import planning as said
from driftd.core.world import TAG_RID


def choose(reading: Reading, names: Sequence[str], *, everything: bool, reason: str) -> Chosen:
    """``names`` are groups, of which what drift asks for is chosen, and instances by id, slot or address, which a
    person asks for; none means every group. With ``everything`` all instances of the groups are chosen by hand.

    Raises BadInput for a name that nobody knows, one that cannot be replaced, and one that needs a ``reason``.
    """
    if everything and not reason:
        raise BadInput(*said.ALL_WITHOUT_REASON)
    groups = [name for name in names if name in reading.groups] if names else [*reading.groups]
    found: dict[str, Candidate] = {}
    notes: list[str] = []
    for name in groups:
        group = reading.groups[name]
        if names and group.cannot:
            raise BadInput(said.cannot_plan(name, group.cannot), said.CANNOT_HINT)
        made = _of_group(group, everything=everything, reason=reason)
        found |= {one.old.id: one for one in made.candidates}
        notes += made.notes
    for name in dict.fromkeys(names):
        if name not in reading.groups:
            one = named(reading, name, reason)
            found[one.old.id] = one
    return Chosen(tuple(found.values()), tuple(notes))


def _of_group(group: GroupReading, *, everything: bool, reason: str) -> Chosen:
    if group.cannot:
        wanted = [row for row in group.rows.values() if row.verdict in {Verdict.DRIFTED, Verdict.TAMPERED}]
        return Chosen((), (said.cannot_replace(group.name, len(wanted), group.cannot),) if wanted else ())
    found, notes, observed = [], [], 0
    for instance in sorted(group.instances.values(), key=lambda one: (one.slot, one.id)):
        mine = _open(group, instance.id)
        if mine is not None and not _takes(mine):
            if mine.old_id == instance.id:
                notes.append(said.under_way(instance.slot or instance.id, mine.rid, mine.state.value))
            continue
        if instance.state.ending or (mine is None and TAG_RID in instance.tags):
            continue
        asked = _drifts(group, instance)
        if mine is None and asked and not group.rules.replaces and not everything:
            observed += 1
        elif mine is None and instance.id in group.refused and not everything:
            notes.append(group.refused[instance.id])
        elif mine is not None or asked or everything:
            found.append(_candidate(group, instance, mine, reason if everything else "", asked))
    if observed:
        notes.append(said.only_observes(group.name, observed))
    return Chosen(tuple(found), tuple(notes))


def named(reading: Reading, name: str, reason: str) -> Candidate:
    """The instance of this id, slot or address. Raises BadInput."""
    found = [(g, one) for g in reading.groups.values() for one in g.instances.values() if _called(one, name)]
    exactly = [pair for pair in found if pair[1].id == name]
    if not found:
        known = [word for g in reading.groups.values() for word in (g.name, *_words(g.instances.values()))]
        raise BadInput(wording.unknown(name), near.hint(name, known, "see: driftd status"))
    if len(found) > 1 and len(exactly) != 1:
        ids = ", ".join(one.id for _, one in found[:8])
        raise BadInput(wording.several(name, len(found)), f"name one by its id: {ids}")
    group, instance = (exactly or found)[0]
    if group.cannot:
        raise BadInput(said.cannot_plan(group.name, group.cannot), said.CANNOT_HINT)
    mine = _open(group, instance.id)
    if mine is not None and not _takes(mine):
        raise BadInput(said.under_way(name, mine.rid, mine.state.value), "see: driftd status")
    if instance.state.ending:
        raise BadInput(said.ending(name, instance.id, instance.state.value), "see: driftd status")
    asked = _drifts(group, instance) if group.rules.replaces else ""
    if not reason and not asked and mine is None:
        raise BadInput(said.needs_reason(name), said.REASON_HINT)
    return _candidate(group, instance, mine, reason, asked)


def _candidate(group: GroupReading, old: Instance, mine: Record | None, reason: str, asked: str) -> Candidate:
    if reason:
        by, why = "hand", reason
    elif mine is not None:
        by, why = "replacement", mine.why
    else:
        by, why = "drift", asked
    return Candidate(old, why, by, group.rows.get(old.id), mine)


def _open(group: GroupReading, instance_id: str) -> Record | None:
    return next((one for one in group.opened if instance_id in {one.old_id, one.new_id}), None)


def _takes(record: Record) -> bool:
    """Whether one that is open can still be asked for by hand: nothing was begun, and nobody called it off."""
    return record.state in WAITING and not record.cancel_requested and not record.doubted


def _drifts(group: GroupReading, instance: Instance) -> str:
    """Why drift asks for this one to be replaced; "" where it does not."""
    sight, row = group.remembered.get(instance.id), group.rows.get(instance.id)
    if sight is None or row is None or not asks(sight):
        return ""
    return row.reason if row.verdict in {Verdict.DRIFTED, Verdict.TAMPERED} else row.taint


def _called(instance: Instance, name: str) -> bool:
    return name in {instance.id, instance.slot, instance.address}


def _words(instances: Iterable[Instance]) -> list[str]:
    return [word for one in instances for word in (one.slot, one.id) if word]
