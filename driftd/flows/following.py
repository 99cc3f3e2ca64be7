"""Following: of each tainted instance what follows from that and when, by what the store says now. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from driftd.core.aftermath import Aftermath, aftermath
from driftd.core.guards.case import GroupRules, Held, Presence
from driftd.core.memory import InstanceRow, Tx
from driftd.flows.standing import present


def followed(
    tx: Tx, rules: Mapping[str, GroupRules], rows: Iterable[InstanceRow], now: datetime
) -> Mapping[str, Aftermath]:
    """By id, for those of ``rows`` that are tainted. ``rules`` are by group; of a group without any nothing is said."""
    tainted = [row for row in rows if row.taint and row.group in rules]
    held = {one.instance_id: Held(one.owner, one.reason, one.until) for one in tx.holds(now)} if tainted else {}
    found: dict[str, Aftermath] = {}
    for group in sorted({row.group for row in tainted}):
        own = rules[group]
        mine = [row for row in tainted if row.group == group]
        people = present(tx.recent_sessions(group, now - own.grace.after), mine, now)
        for row in mine:
            follows = aftermath(row, own, people.get(row.id, Presence()), held.get(row.id), now)
            if follows is not None:
                found[row.id] = follows
    return found
