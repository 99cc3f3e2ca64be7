"""Watches, joined together: the resident probes over SSH, and what judges what they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from driftd.core.facts import Instance
from driftd.core.memory import Queue, Store
from driftd.core.watching import Watched
from driftd.core.whose import Visit
from driftd.edges.ssh.watcher import SshWatcher
from driftd.flows.audit import Rules
from driftd.flows.glimpse import Beholder
from driftd.flows.groups import Group
from driftd.flows.remembering import past
from driftd.flows.watch import Watcher
from driftd.wiring.trust import Remembered

if TYPE_CHECKING:
    from driftd.wiring.house import WiredHouse


class Watching:
    """The daemon's watches. ``members`` gives the instances known now, ``visits`` driftd's visits to one of them."""

    def __init__(
        self,
        house: WiredHouse,
        store: Store,
        groups: Mapping[str, Group],
        queue: Queue,
        members: Callable[[], Mapping[str, Instance]],
        visits: Callable[[Instance], Sequence[Visit]],
    ) -> None:
        self._house = house
        self._store = store
        self._residents = SshWatcher(house.ssh_options)
        self._manifests = Remembered(house.manifests, store, house.now)
        self.watcher = Watcher(
            store,
            groups,
            self._residents,
            queue,
            members=members,
            beholder=self._beholder,
            rules=self._rules,
            visits=visits,
            clock=house.now,
        )

    def stands(self) -> Sequence[Watched]:
        """All watches there are and were, for the metrics."""
        return [*self.watcher.watched(), *self.watcher.gone()]

    def stop(self) -> None:
        """End every watch at once."""
        self.watcher.stop()
        self._residents.stop()

    def close(self) -> None:
        """Wait for them to end."""
        self.watcher.close()

    def _beholder(self, instance: Instance) -> Beholder:
        key = self._residents.own_key(instance)
        return Beholder(instance, self._manifests, key, lambda: past(self._store, instance))

    def _rules(self, group: str) -> Rules:
        house = self._house
        with self._store.read() as tx:
            accepted = tx.suppressions(house.now())
        return Rules(house.policies[group], accepted, overlays=house.calibrating().overlays)
