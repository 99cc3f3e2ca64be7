"""Hear: whom a provider is told to have let in is looked at now, and not only when its next look is due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from driftd.core.asides import Arrival, Hearing
from driftd.core.memory import Queue, Store
from driftd.core.whose import Visit, strangers
from driftd.flows.groups import Group
from driftd.flows.sweep import KIND

SOONEST = timedelta(seconds=30)  # from one look that was brought forward to the next at the same instance


class Listener:
    """Asks every provider that is told of who comes (``Hearing``)."""

    def __init__(
        self, store: Store, groups: Mapping[str, Group], queue: Queue, *, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock
        found = {id(group.provider): group.provider for group in groups.values()}
        self._hearing = [one for one in found.values() if isinstance(one, Hearing)]
        self._trouble: dict[int, str] = {}
        self._hurried: dict[str, datetime] = {}

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
                said.append(
                    f"{heard.trouble}: {heard.hint}" if heard.trouble else "the queue of who came answers again"
                )
                self._trouble[id(provider)] = heard.trouble
            for one in heard.came:
                if self._is_own(one):
                    provider.own(one.event)
                elif one.new:
                    self._hurry(one.instance_id)
        return said

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
