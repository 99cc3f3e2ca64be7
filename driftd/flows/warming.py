"""Warming up: a daemon that has just begun changes nothing in a group before it has seen the whole of it again.

One reading of the inventory and one look at each instance: what the store remembers may be of yesterday, and what was
launched or ended meanwhile is not in it. A look that could not see counts, too; how many those may be, breakers say.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from driftd.core.memory import InstanceRow, Tx
from driftd.core.replacement import Record, State
from driftd.core.wording import warming as wording

_LAST = frozenset({State.RETIRING, State.SETTLING})


class Warming:
    """What a daemon that began at ``since`` does not know yet; None is for who needs no such guard."""

    def __init__(self, since: datetime | None) -> None:
        self._since = since
        self._warm: set[str] = set()

    def lacks(self, tx: Tx, group: str, rows: Sequence[InstanceRow], opened: Sequence[Record]) -> str:
        """What is still to be seen of ``group``, in one sentence; "" once all of it was, and then for ever."""
        if self._since is None or group in self._warm:
            return ""
        read = [one for one in tx.passes() if one.group == group and one.at >= self._since]
        if not any(one.size and not one.unseen for one in read):
            why = next((one.unseen for one in reversed(read) if one.unseen), "it was empty" if read else "")
            return wording.no_inventory_yet(group, self._since, why)
        # A newcomer is looked at by its replacement; an old one that is out of service already tells nothing more.
        passing = {one.new_id for one in opened}
        passing |= {one.old_id for one in opened if one.drain_seen or one.stop_sent or one.state in _LAST}
        expected = [row for row in rows if row.id not in passing]
        missing = [row.id for row in expected if row.looked_at is None or row.looked_at < self._since]
        if missing:
            return wording.not_looked_yet(group, self._since, len(expected) - len(missing), len(expected), missing)
        self._warm.add(group)
        return ""
