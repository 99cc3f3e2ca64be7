"""A house for the keeper: a store, one group, a place for checkpoints, and somebody who tampers with the file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from driftd.core.findings import Severity
from driftd.core.guards.case import GroupRules
from driftd.core.memory import StoreUnavailable
from driftd.core.ports import LaunchRequest
from driftd.edges.documents import CheckpointFile, make_keys
from driftd.edges.store import open_store
from driftd.flows.groups import Group
from driftd.flows.keep import Keeper
from driftd.flows.stops import stops
from driftd.testing import FakeClock, FakeProvider


class Filling:
    """A store on a disk that has ``room`` for so many more transactions (None: for any number); it can be read."""

    def __init__(self, store) -> None:
        self.store = store
        self.room: int | None = None

    def read(self):
        return self.store.read()

    def write(self):
        if self.room == 0:
            raise StoreUnavailable("The disk is full.", "Make room.")
        if self.room is not None:
            self.room -= 1
        return self.store.write()


class House:
    def __init__(self, home: Path, *, key: bool = False) -> None:
        self.home = home
        self.clock = FakeClock()
        self.provider = FakeProvider(self.clock)
        self.groups = {"web": Group("web", self.provider, GroupRules("web"))}
        if key and not (home / "key").exists():
            make_keys(home / "key")
        self.place = CheckpointFile(home / "out" / "checkpoint.json", home / "key" if key else None)
        self.ticks = 0.0
        self.open()

    @property
    def file(self) -> Path:
        return self.home / "driftd.db"

    def open(self) -> None:
        """A daemon starts."""
        self.store = open_store(f"sqlite:///{self.file}")
        self.epoch = self.store.take_lease("alpha", 30, self.clock())
        self.disk = Filling(self.store)
        self.keeper = Keeper(
            self.disk,
            self.groups,
            self.place,
            clock=self.clock,
            generator="driftd test",
            budget_s=1.0,
            ticking=self.ticking,
        )

    def ticking(self) -> float:
        """Each question takes a while, so that a budget comes to an end."""
        self.ticks += 0.4
        return self.ticks

    def close(self) -> None:
        self.store.drop_lease("alpha", self.epoch)
        self.store.close()

    def again(self) -> None:
        self.close()
        self.clock.advance(60)
        self.open()

    def write(self, count: int = 1) -> None:
        with self.store.write() as tx:
            for number in range(count):
                tx.journal("decision", "s", {"n": number}, self.clock())

    def tamper(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.file)) as raw:
            for verb in ("update", "delete"):
                raw.execute(f"DROP TRIGGER IF EXISTS journal_no_{verb}")
            for statement in statements:
                raw.execute(statement)
            raw.commit()

    def frozen(self) -> str:
        return stops(self.store, "web", self.keeper.unready).frozen

    def told(self) -> list[str]:
        with self.store.read() as tx:
            assert all(message.severity in {Severity.CRITICAL, Severity.HIGH} for message in tx.unsent())
            return [message.code for message in tx.unsent()]

    def chain(self):
        with self.store.read() as tx:
            return tx.chain()

    def launch(self, **tags: str) -> None:
        token = f"t{len(self.provider.compute.list({}))}"
        self.provider.compute.launch(LaunchRequest("web", "web/9", "golden", token, tags))
