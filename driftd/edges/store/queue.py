"""The work queue on the store's own tables: a row is a job that waits or runs; done, the row is gone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, select, update

from driftd.core.memory import Job
from driftd.edges.store.sql import SqlStore
from driftd.edges.store.statements import fields_of
from driftd.edges.store.tables import JOB

_FREE = JOB.c.leased_until.is_(None) | (JOB.c.leased_until <= bindparam("now"))
_DUE = (
    select(JOB)
    .where((JOB.c.kind == bindparam("kind")) & (JOB.c.due <= bindparam("now")) & _FREE)
    .order_by(JOB.c.due, JOB.c.id)
    .limit(bindparam("most"))
)
_TAKE = (
    update(JOB)
    .where(JOB.c.id.in_(bindparam("ids", expanding=True)))
    .values(attempts=JOB.c.attempts + 1, leased_until=bindparam("until"))
)
# A lease that ran out and was taken by another has one more attempt: the late answer then changes nothing.
_LEASED = (JOB.c.id == bindparam("job")) & (JOB.c.attempts == bindparam("tries")) & JOB.c.leased_until.is_not(None)
_DONE = delete(JOB).where(_LEASED)
_RETRY = update(JOB).where(_LEASED).values(due=bindparam("at"), leased_until=None)


class SqlQueue:
    """``Queue``. ``Job.attempts`` counts how often the job was taken, this time included."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def put(self, kind: str, key: str, due: datetime, now: datetime) -> bool:  # noqa: ARG002  # the port's signature
        with self._store.write() as tx:
            return tx.add(JOB, {"kind": kind, "key": key, "due": due, "attempts": 0}) > 0

    def take(self, kind: str, limit: int, lease_s: float, now: datetime) -> Sequence[Job]:
        """At most ``limit`` due jobs, longest due first. Where none is due nothing is written."""
        with self._store.read() as tx:
            if not tx.rows(_DUE, kind=kind, now=now, most=1):
                return []
        with self._store.write() as tx:
            rows = tx.rows(_DUE, kind=kind, now=now, most=limit)
            if rows:
                ids, until = [row["id"] for row in rows], now + timedelta(seconds=lease_s)
                tx.run(_TAKE, {"ids": ids, "until": until})
            return [Job(**fields_of(Job, row) | {"attempts": row["attempts"] + 1}) for row in rows]

    def reclaim(self, kind: str) -> None:
        with self._store.write() as tx:
            leased = (JOB.c.kind == kind) & JOB.c.leased_until.is_not(None)
            tx.run(update(JOB).where(leased).values(leased_until=None))

    def hurry(self, kind: str, now: datetime, key: str = "") -> None:
        with self._store.write() as tx:
            which = (JOB.c.kind == kind) & (JOB.c.due > now)
            if key:
                which &= (JOB.c.key == key) & JOB.c.leased_until.is_(None)
            tx.run(update(JOB).where(which).values(due=now))

    def done(self, job: Job) -> None:
        """The lease having run out and another having taken the job, nothing happens."""
        with self._store.write() as tx:
            tx.run(_DONE, {"job": job.id, "tries": job.attempts})

    def retry(self, job: Job, due: datetime) -> None:
        with self._store.write() as tx:
            tx.run(_RETRY, {"job": job.id, "tries": job.attempts, "at": due})
