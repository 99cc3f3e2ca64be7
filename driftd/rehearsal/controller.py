"""One controller: every flow of the daemon on a store of its own opening, over its own network, as its own process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftd.core.errors import DriftdError
from driftd.core.memory import LeaseHeld, Store, StoreUnavailable
from driftd.core.replacement import Record
from driftd.core.world import Answer, World
from driftd.edges.store import SqlQueue, open_store
from driftd.flows.groups import Group
from driftd.flows.janitor import Janitor
from driftd.flows.keep import Keeper
from driftd.flows.metered import Meter, metered
from driftd.flows.replace import Replacer
from driftd.flows.sweep import Sweeper
from driftd.flows.trip import Tripper
from driftd.rehearsal.cloud import Link
from driftd.rehearsal.ground import empty
from driftd.rehearsal.scenario import LEASE_S
from driftd.testing import Crash

if TYPE_CHECKING:
    from driftd.rehearsal.run import Run

JANITOR_S = 300


class Full(StoreUnavailable):
    """The disk is full, says the simulation."""


class FragileStore:
    """The real store as one process has it: it may die, stall, be cut off, or find the disk full at a commit."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.commits = 0
        self.cut = False
        self.full = 0
        self.die_before: int | None = None
        self.die_after: int | None = None
        self.each: Callable[[int], None] | None = None

    @contextmanager
    def write(self) -> Iterator[Any]:
        self._reach()
        if self.each is not None:
            self.each(self.commits)
        number, self.commits = self.commits, self.commits + 1
        with self.inner.write() as tx:
            yield tx
            if number == self.die_before:
                raise Crash
            if self.full:
                self.full -= 1
                raise Full("The store cannot grow: the disk is full.", "Make room on that file system.")
        if number == self.die_after:
            raise Crash

    def read(self) -> Any:
        self._reach()
        return self.inner.read()

    def _reach(self) -> None:
        if self.cut:
            raise StoreUnavailable("The store cannot be read: its disk does not answer.", "Look at the disk.")

    def renew_lease(self, *args: Any) -> None:
        self._reach()
        self.inner.renew_lease(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Inline(Executor):
    """Runs what is submitted at once: looks have no threads here."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args, **named))
        except BaseException as error:  # noqa: BLE001  # as an executor does
            future.set_exception(error)
        return future


class Place:
    """Where checkpoints lie: in memory, unsigned."""

    def __init__(self) -> None:
        self.text: bytes | None = None

    def seal(self, statement: bytes) -> bytes:
        return statement

    def read(self) -> bytes | None:
        return self.text

    def write(self, text: bytes) -> None:
        self.text = text


class Watched(Replacer):
    """The real one, which tells ``heard`` of each decision."""

    heard: Callable[[Record, Answer], None] | None = None

    def _decide(self, *args: Any, **named: Any) -> tuple[Record, World, Answer]:
        record, world, answer = super()._decide(*args, **named)
        if self.heard is not None:
            self.heard(record, answer)
        return record, world, answer


class Controller:
    """A daemon that is started again when it dies. ``up`` says whether it runs."""

    def __init__(self, run: Run, name: str) -> None:
        self.run = run
        self.name = name
        self.link = Link(run.cloud)
        self.starts = 0
        self.wants = True
        self.up = False
        self.lives = 0
        self.cut_store = False
        self.lease_s = run.scenario.tempo.long(LEASE_S)

    # --- its life ---

    def start(self) -> None:
        """A new process: it takes the lease, or waits until it can."""
        self.starts += 1
        clock = self.run.clock
        store = open_store(f"sqlite:///{self.run.file}")
        holder = f"{self.name} {self.starts}"
        try:
            epoch = store.take_lease(holder, self.lease_s, clock())
        except LeaseHeld:
            store.close()
            return
        self.holder, self.epoch = holder, epoch
        self.store = FragileStore(store)
        self.store.cut = self.cut_store
        meter = Meter(clock)
        provider = metered(self.link, meter)  # type: ignore[arg-type]  # it has what a provider has
        self.groups: Mapping[str, Group] = {
            name: replace(group, provider=provider) for name, group in self.run.groups.items()
        }
        kept: Any = self.store
        self.keeper = Keeper(
            kept, self.groups, self.run.place, clock=clock, generator="simulation", ticking=lambda: 0.0
        )
        self.sweeper = Sweeper(
            kept,
            self.groups,
            self.run.look,
            SqlQueue(kept),
            clock=clock,
            lookers=1,
            within=self.run.scenario.breakers.reported_within,
            pool=Inline(),
        )
        self.tripper = Tripper(kept, self.groups, clock=clock, meter=meter, limits=self.run.scenario.breakers)
        self.replacer = Watched(
            kept,
            self.groups,
            self.run.look,
            clock=clock,
            pause=self.keeper.unready,
            fence=self._renew,
            since=clock() if self.run.scenario.sweeping else None,
            capture=lambda _group, record, _instance: record.rid,
        )
        self.replacer.heard = self.run.decided
        self.janitor = Janitor(kept, self.groups, clock=clock, pause=self.keeper.unready, fence=self._renew)
        self.janitor_at = clock()
        self.beats = 0
        self.up = True

    def _renew(self) -> None:
        self.store.renew_lease(self.holder, self.epoch, self.lease_s, self.run.clock())

    def die(self, *, politely: bool) -> None:
        """The process ends. ``politely``: the machine knows, and its successor there need not wait for the lease."""
        if not self.up:
            return
        self.up = False
        if politely:
            with suppress(DriftdError):
                self.store.inner.drop_lease(self.holder, self.epoch)
        self.store.inner.close()

    # --- its work ---

    def beat(self) -> None:
        """Every job whose turn it is, as the daemon's timer would."""
        if not self.wants or not self._runs():
            return
        for name, job in self._due():
            if not self.up or not self._job(name, job):
                return

    def _runs(self) -> bool:
        """Whether the process is there; it is started where it is not."""
        if not self.up:
            with suppress(StoreUnavailable):
                self.start()
        return self.up

    def _due(self) -> list[tuple[str, Callable[[], object]]]:
        jobs: list[tuple[str, Callable[[], object]]] = [("lease", self._renew)]
        if self.beats % 5 == 0:
            jobs.append(("journal", self.keeper.tick))
        if self.beats % (2 if self.run.scenario.sweeping else 5) == 0:
            jobs.append(("sweep", self.sweeper.tick))
        if self.beats % 2 == 0:
            jobs.append(("trip", self.tripper.tick))
        jobs.append(("replace", self.replacer.tick))
        if self.run.clock() >= self.janitor_at:
            self.janitor_at = self.run.after(self.run.scenario.tempo.long(JANITOR_S))
            jobs.append(("janitor", self.janitor.tick))
        self.beats += 1
        return jobs

    def sees(self, key: str) -> None:
        """A look at one instance, now: what a sweep would come to sooner or later."""
        if self.up:
            self._job("sweep", lambda: self.sweeper.sweep_one(self.run.cloud.view(self.run.cloud.servers[key])))

    def cleans(self) -> None:
        """A round of the janitor, and of nobody else."""
        if self._runs() and self._job("lease", self._renew):
            self._job("janitor", self.janitor.tick)

    def _job(self, name: str, job: Callable[[], object]) -> bool:
        """Whether the process is still there."""
        self.run.cloud.actor = name
        try:
            said = job()
        except Crash:
            self.run.note(f"{self.name} died in {name}")
            self.lives += 1
            self.die(politely=True)
            return False
        except LeaseHeld as error:
            self.run.note(f"{self.name} ends: {error}")
            self.die(politely=False)
            return False
        except DriftdError as error:
            self.run.note(f"{self.name} {name}: {error}")
        else:
            for sentence in said if isinstance(said, list) else ():
                self.run.said(self.name, name, sentence)
        finally:
            self.run.cloud.actor = ""
        return True


class Listener(logging.Handler):
    """Whatever a flow logs as unforeseen is a violation."""

    def __init__(self, run: Run) -> None:
        super().__init__(logging.ERROR)
        self.run = run

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.run.unforeseen(f"{record.getMessage()}: {type(error).__name__}: {error}", error)


def fresh(home: Path) -> Path:
    """A store for one run."""
    file = home / "driftd.db"
    file.write_bytes(empty())
    return file
