"""Visit: a look with a visit open in the store, so that driftd's own login is known as driftd's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from driftd.core.facts import Instance
from driftd.core.looks import Look
from driftd.core.memory import Store, Suppression
from driftd.core.sessions import Visit

Audit = Callable[[Instance, Callable[[], Sequence[Visit]], Sequence[Suppression]], Look]


class Visitor:
    """Callable: ``visitor(instance)`` is one look. No transaction is open while it looks.

    ``own_key`` says with which key the visit is made; ``longest`` is the longest that a look can take: a visit that a
    crash left open counts as closed by then, lest driftd's key be trusted at any later time.
    """

    def __init__(
        self,
        store: Store,
        audit: Audit,
        own_key: Callable[[Instance], str],
        *,
        clock: Callable[[], datetime],
        longest: timedelta = timedelta(minutes=10),
    ) -> None:
        self._store = store
        self._audit = audit
        self._own_key = own_key
        self._clock = clock
        self._longest = longest

    def __call__(self, instance: Instance) -> Look:
        """Look. Raises ``StoreUnavailable``; what the instance does is in the look."""
        now, key = self._clock(), self._own_key(instance)
        with self._store.write() as tx:
            suppressions = tx.suppressions(now)
            number = tx.open_visit(instance.id, key, now)
        try:
            return self._audit(instance, lambda: self._others(instance, key, now), suppressions)
        finally:
            with self._store.write() as tx:
                tx.close_visit(number, self._clock())

    def _others(self, instance: Instance, key: str, opened: datetime) -> Sequence[Visit]:
        """All visits but this one, which the audit itself knows: a visit explains one session, and not two."""
        with self._store.read() as tx:
            visits = list(tx.visits(instance.id))
            own = [row.session for row in tx.sessions(instance.id) if row.own]
        if (key, opened, None) in visits:
            visits.remove((key, opened, None))
        made = [Visit(session.key, session.started_at, session.started_at, session) for session in own]
        return [Visit(key, opened, closed or opened + self._longest) for key, opened, closed in visits] + made
