"""Apply: hold a plan against what is so now, and ask for all of its replacements in one transaction, or for none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ulid import ULID

from driftd.core.errors import BadInput
from driftd.core.facts import Instance
from driftd.core.journal import instant
from driftd.core.memory import StaleRecord, Store, Tx
from driftd.core.planning import stale
from driftd.core.planning.origin import made_from, occupants
from driftd.core.planning.reading import Reading
from driftd.core.replacement import WAITING, Record
from driftd.core.wording import planning as said
from driftd.flows.groups import Group
from driftd.flows.opening import new_record, plan
from driftd.flows.planning import Origin, read


@dataclass(frozen=True, slots=True)
class Applied:
    """What was asked for: the replacements' ids in the plan's order."""

    digest: str
    rids: Sequence[str]


def check(
    store: Store,
    document: Mapping[str, Any],
    groups: Mapping[str, Group],
    origins: Mapping[str, Origin],
    now: datetime,
    outside: Callable[[str], str],
) -> Reading:
    """Read again what ``document``, whose digest fits, was made from. Raises BadInput with all that has changed."""
    with store.read() as tx:
        facts, before = tx.store_facts(), applied(tx, document["digest"])
    if why := stale.refused(document, facts.id, now) or before:
        raise BadInput(why, said.PLAN_ANEW)
    names = document["made_from"]["groups"]
    mine = {name: groups[name] for name in names if name in groups}
    reading = read(store, mine, origins, now, outside)
    fresh = made_from(reading, document["made_from"]["instances"])
    differences = [said.unknown_group(name) for name in names if name not in groups]
    differences += stale.differences(document["made_from"], fresh, occupants(reading))
    if differences:
        raise BadInput("; ".join([said.stale(len(differences)), *differences]), said.PLAN_ANEW)
    if not document["replacements"]:
        raise BadInput(said.nothing_to_apply(), said.PLAN_ANEW)
    return reading


def applied(tx: Tx, digest: str) -> str:
    """When and by whom the plan of this digest was applied, in one sentence; "" when it was not."""
    lines = tx.journal_lines(subject_of(digest), limit=1)
    return said.applied_already(instant(lines[0].at), str(lines[0].body.get("by", ""))) if lines else ""


def subject_of(digest: str) -> str:
    """Under which name the journal has a plan."""
    return f"plan/{digest}"


def apply(
    store: Store, document: Mapping[str, Any], reading: Reading, groups: Mapping[str, Group], who: str, now: datetime
) -> Applied:
    """Ask for all of it. Raises BadInput, and has then asked for nothing."""
    digest, wanted = document["digest"], document["replacements"]
    # In one millisecond ids are in no order by themselves; the controller takes equals by their ids.
    fresh = iter(sorted(str(ULID.from_datetime(now)) for _ in wanted))
    rids = []
    with store.write() as tx:
        if before := applied(tx, digest):
            raise BadInput(before, said.PLAN_ANEW)
        for one in wanted:
            old = reading.groups[one["group"]].instances[one["instance"]]
            if one["replacement"]:
                rids.append(_adopted(tx, one["replacement"], old))
            else:
                rids.append(_new(tx, groups[one["group"]], old, one["why"], next(fresh), who, now))
            body = {"did": "apply", "plan": digest, "by": who, "instance": old.id}
            tx.journal("human", rids[-1], body, now)
        body = {"did": "apply", "plan": digest, "by": who, "made_by": document["made_by"], "replacements": rids}
        tx.journal("human", subject_of(digest), body, now)
    return Applied(digest, rids)


def _new(tx: Tx, group: Group, old: Instance, why: str, rid: str, who: str, now: datetime) -> str:
    record = replace(new_record(old, group, f"{who} applied a plan: {why}", now, manual=True), rid=rid)
    if not plan(tx, record, now):
        raise BadInput(said.came_between(old.id), said.PLAN_ANEW)
    return rid


def _adopted(tx: Tx, rid: str, old: Instance) -> str:
    """One that waits already is asked for by a person from now on."""
    record: Record | None = tx.replacement(rid)
    if record is None or record.old_id != old.id or record.state not in WAITING or record.cancel_requested:
        raise BadInput(said.came_between(old.id), said.PLAN_ANEW)
    try:
        tx.save_replacement(replace(record, manual=True, next_at=None))
    except StaleRecord:  # pragma: no cover  # one writer at a time: it was read in this very transaction
        raise BadInput(said.came_between(old.id), said.PLAN_ANEW) from None
    return rid
