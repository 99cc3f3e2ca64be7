"""Hear: what a provider is told of is looked at now, and not only when it is due: who was let in, and new instances."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from driftd.core.asides import Arrival, Hearing
from driftd.core.memory import Queue, Store
from driftd.core.whose import Visit, strangers
from driftd.core.wording import visits as wording
from driftd.flows.groups import Group
from driftd.flows.sweep import KIND

# From one look that was brought forward to the next at the same instance, and from one inventory to the next.
SOONEST = timedelta(seconds=30)


class Listener:
    """Asks every provider that is told of who comes (``Hearing``). ``discover`` has inventories of groups read."""

    def __init__(
        self,
        store: Store,
        groups: Mapping[str, Group],
        queue: Queue,
        *,
        clock: Callable[[], datetime],
        discover: Callable[[Iterable[str]], None],
    ) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock
        self._discover = discover
        self._groups = groups
        found = {id(group.provider): group.provider for group in groups.values()}
        self._hearing = [one for one in found.values() if isinstance(one, Hearing)]
        self._trouble: dict[int, str] = {}
        self._hurried: dict[str, datetime] = {}
        self._changed: set[str] = set()
        self._listed = datetime.min.replace(tzinfo=UTC)

    @property
    def listens(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self._hearing)

    def tick(self) -> list[str]:
        """What has come; what happened, in sentences. The same trouble is told once."""
        said: list[str] = []
        for provider in self._hearing:
            heard = provider.listen()
            said += heard.said
            if heard.trouble != self._trouble.get(id(provider), ""):
                said.append(wording.hearing(heard.trouble, heard.hint))
                self._trouble[id(provider)] = heard.trouble
            for one in heard.came:
                if self._is_own(one):
                    provider.own(one.event)
                elif one.new:
                    self._hurry(one.instance_id)
            if heard.changed:
                self._changed |= {name for name, group in self._groups.items() if group.provider is provider}
        self._list()
        return said

    def _list(self) -> None:
        """Have the inventories read in which something changed, those of a moment together."""
        now = self._clock()
        if self._changed and now >= self._listed + SOONEST:
            self._discover(self._changed)
            self._changed, self._listed = set(), now

    def _is_own(self, one: Arrival) -> bool:
        """Whether it was driftd that came, as far as the store has it by now."""
        with self._store.read() as tx:
            rows = tx.visits(one.instance_id)
        visits = [Visit(row.key, row.opened_at, row.closed_at, trace=row.trace) for row in rows]
        return not strangers([one.session], visits)

    def _hurry(self, instance_id: str) -> None:
        """Bring the next look forward, unless one was just now."""
        now = self._clock()
        self._hurried = {name: at for name, at in self._hurried.items() if at > now - SOONEST}
        if instance_id not in self._hurried:
            self._hurried[instance_id] = now
            self._queue.hurry(KIND, now, f"{KIND}/{instance_id}")
