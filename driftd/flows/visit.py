"""Visit: a look with a visit open in the store, so that driftd's own login is known as driftd's own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from driftd.core.facts import Instance
from driftd.core.looks import Look
from driftd.core.memory import Store, Suppression
from driftd.core.visits import Announced, Trace, VisitRow
from driftd.core.whose import Visit

Audit = Callable[[Instance, Callable[[], Sequence[Visit]], Sequence[Suppression]], Look]

SCAN_BYTES = 16


@contextmanager
def announced(
    store: Store,
    instance: Instance,
    key: str,
    clock: Callable[[], datetime],
    standing: Announced | None = None,
) -> Iterator[Instance]:
    """A visit in the store for as long as the block lasts; reach the instance that it gives, once.

    Before anybody is logged in, the store has the connection's own port. ``standing`` is an earlier visit whose
    connection is used once more: this one is known by the same trace. Raises ``StoreUnavailable``.
    """
    scan = standing.trace.scan if standing is not None else secrets.token_hex(SCAN_BYTES)
    with store.write() as tx:
        number = tx.open_visit(instance.id, key, clock(), scan)
        if standing is not None:
            tx.trace_visit(number, standing.trace)

    def keep(trace: Trace) -> None:
        with store.write() as tx:
            tx.trace_visit(number, trace)

    visit = standing or Announced(scan, clock, keep)
    try:
        yield replace(instance, reach=replace(instance.reach, visit=visit))
    finally:
        with store.write() as tx:
            if visit.trace.way is not None:
                tx.trace_visit(number, visit.trace)
            tx.close_visit(number, clock())


class Visitor:
    """Callable: ``visitor(instance)`` is one look. No transaction is open while it looks.

    ``own_key`` says with which key the visit is made; ``longest`` is the longest that a look can take: a visit that a
    crash left open counts as closed by then, lest driftd's key be trusted at any later time. ``standing`` gives the
    visit whose connection waits for this look, if there is one.
    """

    def __init__(
        self,
        store: Store,
        audit: Audit,
        own_key: Callable[[Instance], str],
        *,
        clock: Callable[[], datetime],
        longest: timedelta = timedelta(minutes=10),
        standing: Callable[[Instance], Announced | None] = lambda _instance: None,
    ) -> None:
        self._store = store
        self._audit = audit
        self._own_key = own_key
        self._clock = clock
        self._longest = longest
        self._standing = standing

    def __call__(self, instance: Instance) -> Look:
        """Look. Raises ``StoreUnavailable``; what the instance does is in the look."""
        with self._store.read() as tx:
            suppressions = tx.suppressions(self._clock())
        key, standing = self._own_key(instance), self._standing(instance)
        with announced(self._store, instance, key, self._clock, standing) as visited:
            look = self._audit(visited, lambda: self.others(visited), suppressions)
        return replace(look, instance=instance)

    def others(self, visited: Instance) -> Sequence[Visit]:
        """All visits but this one, which the audit itself knows: a visit explains one session, and not two."""
        told = {visited.reach.visit.trace.scan} if visited.reach.visit else set()
        with self._store.read() as tx:
            visits = [row for row in tx.visits(visited.id) if row.trace is None or _first(row.trace.scan, told)]
            own = [row.session for row in tx.sessions(visited.id) if row.own]
        made = [Visit(session.key, session.started_at, session.started_at, session) for session in own]
        return [self._visit(row) for row in visits] + made

    def _visit(self, row: VisitRow) -> Visit:
        closed = row.closed_at or row.opened_at + self._longest
        return Visit(row.key, row.opened_at, closed, trace=row.trace)


def _first(scan: str, told: set[str]) -> bool:
    """Whether it is the first time: looks that share a connection are one visit to whoever is visited."""
    new = scan not in told
    told.add(scan)
    return new
