"""Visit: a look with a visit open in the store, so that driftd's own login is known as driftd's own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from driftd.core.facts import Instance
from driftd.core.looks import Look
from driftd.core.memory import Store, Tx
from driftd.core.visits import Announced, Trace, VisitRow
from driftd.core.whose import Visit
from driftd.flows.remembering import Known, Run, known

# Asked after the look, when nobody is there any more, its second says who of driftd's has been there besides.
Audit = Callable[[Instance, Callable[[], Sequence[Visit]], Known], Look]

SCAN_BYTES = 16


class Visiting:
    """A visit in the store, for as long as a block lasts; reach the instance that it gives, once.

    Before anybody is logged in, the store has the connection's own port. ``standing`` is an earlier visit whose
    connection is used once more: this one is known by the same trace. Raises ``StoreUnavailable``.
    """

    def __init__(
        self,
        store: Store,
        instance: Instance,
        key: str,
        clock: Callable[[], datetime],
        standing: Announced | None = None,
    ) -> None:
        self._store = store
        self._instance = instance
        self._key = key
        self._clock = clock
        self._standing = standing
        self._visit = standing or Announced(secrets.token_hex(SCAN_BYTES), clock, self._keep)
        self._number = 0
        self._over = False

    def __enter__(self) -> Instance:
        with self._store.write() as tx:
            self._number = tx.open_visit(self._instance.id, self._key, self._clock(), self._visit.trace.scan)
            if self._standing is not None:
                tx.trace_visit(self._number, self._standing.trace)
        return replace(self._instance, reach=replace(self._instance.reach, visit=self._visit))

    def __exit__(self, *_error: object) -> None:
        if not self._over:
            with self._store.write() as tx:
                self.end(tx)

    def end(self, tx: Tx) -> None:
        """Nobody is there any more. What the block still does is no part of the visit."""
        if self._visit.trace.way is not None:
            tx.trace_visit(self._number, self._visit.trace)
        tx.close_visit(self._number, self._clock())
        self._over = True

    def _keep(self, trace: Trace) -> None:
        with self._store.write() as tx:
            tx.trace_visit(self._number, trace)


class Visitor:
    """Callable: ``visitor(instance)`` is one look. No transaction is open while it looks.

    ``own_key`` says with which key the visit is made; ``longest`` is the longest that a look can take: a visit that a
    crash left open counts as closed by then, lest driftd's key be trusted at any later time. ``standing`` gives the
    visit whose connection waits for this look, if there is one. ``run`` is what the looks of one run know of each
    other.
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
        run: Run | None = None,
    ) -> None:
        self._store = store
        self._audit = audit
        self._own_key = own_key
        self._clock = clock
        self._longest = longest
        self._standing = standing
        self._run = run

    def __call__(self, instance: Instance) -> Look:
        """Look. Raises ``StoreUnavailable``; what the instance does is in the look."""
        before = known(self._store, instance, self._clock(), self._run)
        standing = self._standing(instance) if before.glance else None
        visiting = Visiting(self._store, instance, self._own_key(instance), self._clock, standing)
        with visiting as visited:
            look = self._audit(visited, lambda: self._after(visiting, visited), before)
        return replace(look, instance=instance)

    def _after(self, visiting: Visiting, visited: Instance) -> Sequence[Visit]:
        with self._store.write() as tx:
            visiting.end(tx)
            return self._others(tx, visited)

    def others(self, visited: Instance) -> Sequence[Visit]:
        """All visits but this one, which the audit itself knows: a visit explains one session, and not two."""
        with self._store.read() as tx:
            return self._others(tx, visited)

    def _others(self, tx: Tx, visited: Instance) -> Sequence[Visit]:
        told = {visited.reach.visit.trace.scan} if visited.reach.visit else set()
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
