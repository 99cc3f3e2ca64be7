"""The daemon's engine: every flow joined with the edges of one house, holding the controller's lease."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from driftd.core.errors import DriftdError
from driftd.core.facts import Instance
from driftd.core.looks import Look
from driftd.core.wording import keeping, service
from driftd.doors.house import Beat
from driftd.doors.jobs import signs_of
from driftd.edges import logs
from driftd.edges.store import SqlQueue, SqlStore, here, open_store
from driftd.flows.audit import Visits
from driftd.flows.disks import DiskLooks, Stopping
from driftd.flows.expire import Expirer
from driftd.flows.gatekeep import Gatekeeper
from driftd.flows.hear import Listener
from driftd.flows.janitor import Janitor
from driftd.flows.keep import Keeper
from driftd.flows.outofband import Both
from driftd.flows.remembering import Known
from driftd.flows.remind import Reminder
from driftd.flows.replace import Replacer
from driftd.flows.rollout import Roller
from driftd.flows.sweep import Sweeper
from driftd.flows.tainting import Marker
from driftd.flows.visit import Visitor
from driftd.settings import Settings
from driftd.wiring.breaking import Watch
from driftd.wiring.disks import HouseViews, outside, reading_of
from driftd.wiring.house import WiredHouse
from driftd.wiring.keeping import GENERATOR
from driftd.wiring.notifying import Notifying
from driftd.wiring.pulse import Pulse
from driftd.wiring.served import Served
from driftd.wiring.watching import Watching

LEASE_TTL = timedelta(seconds=30)
LEASE_BEAT = timedelta(seconds=5)
GATE_BEAT = timedelta(seconds=10)  # AWS's shortest hook waits for 30
REMIND_BEAT = timedelta(seconds=30)
JOURNAL_BEAT = timedelta(seconds=5)
STATUS_BEAT = timedelta(seconds=30)
# What a job may be silent for before it counts as hung. Whatever it waits for besides has a limit of its own.
PATIENCE = timedelta(minutes=10)
DISKS_S = 2.0  # that a look out of band is waited for at the end: what it leaves is swept
LEASE_PATIENCE = timedelta(minutes=2)


class WiredEngine:
    """Implements ``driftd.doors.house.Engine``. Made by ``start``."""

    def __init__(
        self,
        house: WiredHouse,
        store: SqlStore,
        served: Served,
        holder: str,
        epoch: int,
        notifying: Notifying,
    ) -> None:
        self._house = house
        self._notifying = notifying
        self._store = store
        self._served = served
        self._metrics = served.metrics
        self._holder = holder
        self._epoch = epoch
        self._stopping = threading.Event()
        self.beats = self._beats()
        self.jobs = signs_of(self.beats, time.monotonic())
        served.health.started(self.jobs)
        self._metrics.expect((beat.name, beat.every) for beat in self.beats)

    def _beats(self) -> Sequence[Beat]:
        house, store = self._house, self._store
        clock, pace = house.now, house.settings.daemon
        watch = Watch(house, store)
        visitor = Visitor(
            store,
            self._audit,
            house.looker.own_key,
            clock=clock,
            longest=house.settings.ssh.look_timeout * 2,
            standing=house.glancer.standing,
        )
        self._keeper = keeper = Keeper(
            store,
            watch.groups,
            house.keeping().place(),
            clock=clock,
            generator=GENERATOR,
            checkpoint_every=house.settings.journal.every,
        )
        queue = SqlQueue(store)
        sweeping, replacing, rolling, tidying, tripping = (Pulse(clock) for _ in range(5))
        self._sweeper = sweeper = Sweeper(
            store,
            watch.groups,
            visitor,
            queue,
            clock=sweeping,
            lookers=pace.lookers,
            stopping=self._stopping.is_set,
            within=house.settings.breakers.reported_within,
        )
        self._disks = disks = self._disk_looks(watch, queue)
        self._watching = watching = Watching(house, store, watch.groups, queue, sweeper.known, visitor.others)
        self._metrics.watch(watching.stands)
        listener = Listener(store, watch.groups, queue, clock=clock, discover=sweeper.rediscover)
        replacer = Replacer(
            store,
            watch.groups,
            visitor,
            clock=replacing,
            pause=self._outside,
            fence=self._renew,
            stopping=self._stopping.is_set,
            since=clock(),
            capture=house.custody().capturer(store),
        )
        roller = Roller(store, watch.groups, clock=rolling, pause=self._outside)
        janitor = Janitor(store, watch.groups, clock=tidying, pause=self._outside, fence=self._renew, keep=pace.keep)
        patience = patience_of(house.settings)
        return (
            Beat("lease", LEASE_BEAT, self._hold_lease, LEASE_PATIENCE),
            Beat("journal", JOURNAL_BEAT, keeper.tick),
            Beat("sweep", pace.tick, sweeper.tick, patience, sweeping.sign),
            Beat("watch", pace.tick, watching.watcher.tick),
            *([Beat("hear", pace.tick, listener.tick)] if listener.listens else []),
            Beat("trip", pace.tick, watch.tripper(janitor.left, tripping).tick, patience, tripping.sign),
            Beat("rollout", pace.tick, roller.tick, patience, rolling.sign),
            Beat("replace", pace.tick, replacer.tick, patience, replacing.sign),
            Beat("janitor", pace.janitor, janitor.tick, patience, tidying.sign),
            *self._chores(watch, patience),
            *self._notifying.beats(),
            *([Beat("disks", pace.tick, disks.tick)] if any(g.disks_every for g in house.groups.values()) else []),
            *([Beat("status", STATUS_BEAT, self._say_status)] if house.manager().listens else []),
        )

    def _chores(self, watch: Watch, patience: timedelta) -> Sequence[Beat]:
        """What is done around looks and replacements."""
        house, store, clock = self._house, self._store, self._house.now
        pace, marking = house.settings.daemon, Pulse(clock)
        marker = Marker(store, watch.groups, clock=marking, pause=self._outside, fence=self._renew)
        gatekeeper = Gatekeeper(store, watch.groups, clock=clock, pause=self._outside, fence=self._renew)
        reminder = Reminder(store, house.groups, clock=clock)
        expirer = Expirer(store, house.custody().place(), watch.groups, clock=clock, fence=self._renew)
        return (
            Beat("marks", pace.tick, marker.tick, patience, marking.sign),
            *([Beat("gate", GATE_BEAT, gatekeeper.tick)] if gatekeeper.keeps else []),
            Beat("remind", REMIND_BEAT, reminder.tick),
            Beat("evidence", pace.janitor, expirer.tick),
        )

    def _audit(self, instance: Instance, visits: Visits, known: Known) -> Look:
        looker = self._house.glancer if known.glance else self._house.looker
        look = self._house.judged_look(instance, visits, known, self._store, looker=looker)
        self._metrics.looked(look)
        return look

    def _disk_looks(self, watch: Watch, queue: SqlQueue) -> DiskLooks:
        return DiskLooks(
            self._store,
            watch.groups,
            self._look_outside,
            queue,
            self._sweeper.known,
            clock=self._house.now,
            stopping=self._stopping.is_set,
            looked=self._metrics.looked_outside,
        )

    def _look_outside(self, instance: Instance) -> Both:
        house = self._house
        views, reader = HouseViews(house, self._store), reading_of(house.provider(instance.group))
        return outside(house, views, reader, instance.group, wait=self._let_pass).look(instance)

    def _let_pass(self, left: timedelta) -> None:
        """Raises ``Stopping`` where the daemon ends first."""
        if self._stopping.wait(left.total_seconds()):
            raise Stopping

    def _outside(self, group: str) -> str:
        """The pause file holds even when the store cannot be reached; and nothing is changed before it was read."""
        file = self._house.pause_file()
        return keeping.paused_by_file(str(file)) if file.exists() else self._keeper.unready(group)

    def _renew(self) -> None:
        self._store.renew_lease(self._holder, self._epoch, LEASE_TTL.total_seconds(), self._house.now())

    def _hold_lease(self) -> Sequence[str]:
        self._renew()
        return ()

    def _say_status(self) -> Sequence[str]:
        with self._store.read() as tx:
            rows = [row for row in tx.instances() if row.gone_at is None]
            opened, paused = len(tx.open_replacements()), bool(tx.pauses())
        paused |= self._house.pause_file().exists()
        verdicts = Counter(str(row.verdict) for row in rows)
        self._house.manager().tell(STATUS=service.standing(verdicts, opened, paused=paused))
        return ()

    def job_ended(self, name: str, *, well: bool) -> None:
        """See ``Engine.job_ended``."""
        self._metrics.job_ended(name, self._house.now(), well=well)
        self._served.health.job_ended(name, well=well)

    def stop(self) -> None:
        """See ``Engine.stop``."""
        self._stopping.set()
        self._served.health.stopping()
        self._house.looker.stop()
        self._house.glancer.stop()
        self._watching.stop()

    def close(self) -> None:
        """See ``Engine.close``. What fails here has nobody left to tell."""
        self._served.close()
        self._sweeper.close()
        self._disks.wait(DISKS_S)
        self._watching.close()
        try:
            self._keeper.finish()
        except DriftdError as error:
            structlog.get_logger().warning(str(error), hint=error.hint)
        try:
            self._store.drop_lease(self._holder, self._epoch)
        finally:
            # After all that matters: Slack's client may wait for long.
            self._notifying.close()
            self._store.close()


def patience_of(settings: Settings) -> timedelta:
    """How long a job may be silent that looks at instances or runs a group's hooks: one step of it may take as long."""
    hooks = max((group.hooks.lasting() for group in settings.groups.values()), default=timedelta(0))
    return PATIENCE + 2 * settings.ssh.look_timeout + hooks


def start(house: WiredHouse) -> WiredEngine:
    """Take the lease and join everything. Raises DriftdError with a sentence when the daemon cannot run."""
    logs.configure()
    _ = (house.groups, house.policies)  # every mistake in the configuration is said before anything starts
    for sentence in house.trust().warnings():
        structlog.get_logger().warning(sentence)
    store = open_store(house.store_url)
    holder = here()
    undo: list[Callable[[], None]] = [store.close]
    try:
        epoch = store.take_lease(holder, LEASE_TTL.total_seconds(), house.now())
        undo.append(lambda: store.drop_lease(holder, epoch))
        served = Served(house, LEASE_TTL, epoch)
        undo.append(served.close)
        for provider in {id(group.provider): group.provider for group in house.groups.values()}.values():
            provider.prepare()
        notifying = Notifying(house, store)
        return WiredEngine(house, store, served, holder, epoch, notifying)
    except BaseException:
        for step in reversed(undo):
            step()
        raise
