"""The daemon's looks out of band: one instance at a time, and what they show written where other looks are."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from driftd.core.facts import Instance
from driftd.core.findings import Verdict
from driftd.core.looks import Look
from driftd.core.memory import Job, LeaseHeld, Queue, Store, StoreUnavailable
from driftd.core.outofband import hidden_alone
from driftd.core.wording import outofband as words
from driftd.flows.groups import Group
from driftd.flows.outofband import Both
from driftd.flows.record import record_look
from driftd.flows.sweep import left_alone

KIND = "disk"
LEASE_S = 6 * 3600.0
AGAIN = timedelta(hours=1)  # after one that could not be made
SOON = timedelta(minutes=5)

_log = logging.getLogger(__name__)


class Stopping(Exception):
    """The daemon is to end; raised by whatever waits in a look."""


class DiskLooks:
    """Looks at the disk of whoever is due, in a thread of its own, since a disk may take an hour.

    That thread is not waited for at the end: what it made at the provider carries when it expires. ``known`` are the
    instances that inventories had last; ``looked`` hears of each look at a disk.
    """

    def __init__(
        self,
        store: Store,
        groups: Mapping[str, Group],
        look: Callable[[Instance], Both],
        queue: Queue,
        known: Callable[[], Mapping[str, Instance]],
        *,
        clock: Callable[[], datetime],
        stopping: Callable[[], bool],
        looked: Callable[[Look], None] = lambda _look: None,
    ) -> None:
        self._store = store
        self._groups = {name: group for name, group in groups.items() if group.disks_every is not None}
        self._look = look
        self._queue = queue
        self._known = known
        self._clock = clock
        self._stopping = stopping
        self._looked = looked
        self._thread: threading.Thread | None = None
        self._said: list[str] = []
        self._told: dict[str, Verdict] = {}
        self._fresh = True
        self._put: set[str] = set()  # ids of those that are in the queue

    def tick(self) -> list[str]:
        """Begin the look that is due longest, unless one is under way; what the last one said."""
        now = self._clock()
        if self._fresh:
            self._queue.reclaim(KIND)
            self._fresh = False
            self._put.clear()
        self._put_new(now)
        if self._thread is not None and self._thread.is_alive():
            return []
        said, self._said, self._thread = self._said, [], None
        for job in () if self._stopping() else self._queue.take(KIND, 1, LEASE_S, now):
            self._thread = threading.Thread(target=self._job, args=[job], name="disk", daemon=True)
            self._thread.start()
        return said

    def _put_new(self, now: datetime) -> None:
        """Once each, as every try is a write. Who is gone may come back."""
        known = [one.id for one in self._known().values() if one.group in self._groups]
        self._put.intersection_update(known)
        for name in known:
            if name not in self._put:
                self._queue.put(KIND, f"{KIND}/{name}", now, now)
                self._put.add(name)

    def wait(self, timeout_s: float | None = None) -> None:
        """Until the look under way has ended, if there is one."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _job(self, job: Job) -> None:
        try:
            due = self._again(job)
            if due is None:
                self._queue.done(job)
                self._put.discard(job.key.removeprefix(f"{KIND}/"))  # it may have come back just now
            else:
                self._queue.retry(job, due)
        except Stopping:
            return  # it is reclaimed by the next daemon
        except (StoreUnavailable, LeaseHeld) as error:
            self._said.append(str(error))
            self._fresh = True  # nobody works on it any more

    def _again(self, job: Job) -> datetime | None:
        """Do it; when it is due the next time, None for never."""
        name = job.key.removeprefix(f"{KIND}/")
        instance = self._known().get(name)
        if instance is None:
            with self._store.read() as tx:
                row = tx.instance(name)
            gone = row is None or row.gone_at is not None
            return None if gone else self._clock() + SOON  # its inventory was not read yet, say
        group = self._groups.get(instance.group)
        if group is None or group.disks_every is None:
            return None
        try:
            well = self._one(instance, group)
        except (Stopping, StoreUnavailable, LeaseHeld):
            raise
        except Exception as error:  # noqa: BLE001  # per instance: one that breaks us must not stop the others
            _log.exception("%s: a look out of band failed in a way nobody foresaw", job.key)
            self._said.append(f"{name}: {type(error).__name__} in a look out of band; it is tried again")
            well = False
        return self._clock() + (group.disks_every if well else min(AGAIN, group.disks_every))

    def _one(self, instance: Instance, group: Group) -> bool:
        """One look and all that follows from it; whether the disk could be read."""
        with self._store.read() as tx:
            if left_alone(instance, tx):
                return True
        both = self._look(instance)
        if self._stopping():
            raise Stopping
        self._looked(both.disk)
        disk, now = both.disk.judgement, self._clock()
        with self._store.write() as tx:
            row = tx.instance(instance.id)
            if row is None or left_alone(instance, tx):
                return True  # it was ended meanwhile
            if (found := hidden_alone(disk)) is not None:
                # It adds what it alone can know. The rest is for looks at the instance to find, and to see gone.
                self._said += record_look(
                    tx, group, row, replace(both.disk, judgement=found, partial=True), now
                ).sentences
            if self._told.get(instance.id) is not disk.verdict:
                tx.journal("observation", instance.id, {"out_of_band": disk.verdict.value, "reason": disk.reason}, now)
                self._said.append(words.said(instance.id, disk.verdict, disk.reason))
        self._told[instance.id] = disk.verdict
        return disk.verdict is not Verdict.UNKNOWN
