"""The work queue on the store's own tables: a row is a job that waits or runs; done, the row is gone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select, update

from driftd.core.memory import Job
from driftd.edges.store.sql import SqlStore
from driftd.edges.store.statements import fields_of
from driftd.edges.store.tables import JOB


def _lease_of(job: Job) -> ColumnElement[bool]:
    # A lease that ran out and was taken by another has one more attempt: the late answer then changes nothing.
    return (JOB.c.id == job.id) & (JOB.c.attempts == job.attempts) & JOB.c.leased_until.is_not(None)


class SqlQueue:
    """``Queue``. ``Job.attempts`` counts how often the job was taken, this time included."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def put(self, kind: str, key: str, due: datetime, now: datetime) -> bool:  # noqa: ARG002  # the port's signature
        with self._store.write() as tx:
            return tx.add(JOB, {"kind": kind, "key": key, "due": due, "attempts": 0}) > 0

    def take(self, kind: str, limit: int, lease_s: float, now: datetime) -> Sequence[Job]:
        """At most ``limit`` due jobs, longest due first."""
        with self._store.write() as tx:
            free = JOB.c.leased_until.is_(None) | (JOB.c.leased_until <= now)
            due = select(JOB).where((JOB.c.kind == kind) & (JOB.c.due <= now) & free).order_by(JOB.c.due, JOB.c.id)
            rows = tx.rows(due.limit(limit))
            until = now + timedelta(seconds=lease_s)
            numbers = [row["id"] for row in rows]
            taken = update(JOB).where(JOB.c.id.in_(numbers))
            tx.run(taken.values(attempts=JOB.c.attempts + 1, leased_until=until))
            return [Job(**fields_of(Job, row) | {"attempts": row["attempts"] + 1}) for row in rows]

    def reclaim(self, kind: str) -> None:
        with self._store.write() as tx:
            leased = (JOB.c.kind == kind) & JOB.c.leased_until.is_not(None)
            tx.run(update(JOB).where(leased).values(leased_until=None))

    def hurry(self, kind: str, now: datetime) -> None:
        with self._store.write() as tx:
            tx.run(update(JOB).where((JOB.c.kind == kind) & (JOB.c.due > now)).values(due=now))

    def done(self, job: Job) -> None:
        """The lease having run out and another having taken the job, nothing happens."""
        with self._store.write() as tx:
            tx.run(delete(JOB).where(_lease_of(job)))

    def retry(self, job: Job, due: datetime) -> None:
        with self._store.write() as tx:
            tx.run(update(JOB).where(_lease_of(job)).values(due=due, leased_until=None))
