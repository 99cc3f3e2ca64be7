"""A fleet on the fake provider and the real store, swept by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from driftd.core.difference import Change, Difference
from driftd.core.facts import Session
from driftd.core.findings import Action, Finding, Judgement, Severity, Verdict, signature
from driftd.core.guards.case import GroupRules
from driftd.core.looks import Look
from driftd.core.ports import LaunchRequest
from driftd.core.sessions import differences
from driftd.edges.store import SqlQueue, open_store
from driftd.flows.groups import Group
from driftd.flows.sweep import Sweeper
from driftd.testing import FakeClock, FakeProvider

CLEAN = Judgement(Verdict.CLEAN, "nothing differs from golden")
UNKNOWN = Judgement(Verdict.UNKNOWN, "no answer in 10 s")


def finding(difference: Difference, action: Action = Action.REPLACE) -> Finding:
    return Finding(
        difference.kind,
        difference.subject,
        difference.change,
        Severity.HIGH,
        action,
        signature(difference),
        "test:rule",
        "because",
        difference.expected,
        difference.actual,
    )


EDITED = finding(Difference("file", b"/etc/motd", Change.MODIFIED, {"sha256": "aa"}, {"sha256": "bb"}))
MALLORY = Session("ssh", "mallory", "203.0.113.9", datetime(2030, 1, 1, tzinfo=UTC), port=4711, key="SHA256:m", pid=9)
VISITED = finding(differences([MALLORY])[0])


def drifted(*findings: Finding) -> Judgement:
    counted = [one for one in findings if not one.suppressed_by]
    action = max((one.action for one in counted), key=lambda one: one.rank)
    return Judgement(Verdict.DRIFTED, f"{len(counted)} findings, worst: high", findings, action=action)


class Fleet:
    def __init__(self, home, enforce: Action = Action.REPLACE) -> None:
        self.clock = FakeClock()
        self.provider = FakeProvider(self.clock)
        self.store = open_store(f"sqlite:///{home / 'driftd.db'}")
        self.queue = SqlQueue(self.store)
        for number in range(3):
            request = LaunchRequest("web", f"web/{number}", "golden", f"t{number}")
            self.provider.traffic.register("web", self.provider.compute.launch(request))
        self.clock.advance(60)
        rules = GroupRules("web", min_healthy=2, enforce=enforce)
        self.group = Group("web", self.provider, rules, health=self.provider.health, every=timedelta(seconds=10))
        self.groups = {"web": self.group}
        self.said: dict[str, tuple[Judgement, tuple[Session, ...]]] = {}
        self.looked: list[str] = []
        self.stopping = False
        self.sweepers: list[Sweeper] = []
        self.restart()

    def restart(self) -> None:
        self.sweeper = self.another(lookers=1)

    def another(self, lookers: int, patience_s: float = 5.0) -> Sweeper:
        made = Sweeper(
            self.store,
            self.groups,
            self.look,
            self.queue,
            clock=self.clock,
            lookers=lookers,
            stopping=lambda: self.stopping,
            patience_s=patience_s,
        )
        self.sweepers.append(made)
        return made

    def close(self) -> None:
        for sweeper in self.sweepers:
            sweeper.close()
        self.store.close()

    def look(self, instance) -> Look:
        self.looked.append(instance.id)
        judgement, others = self.said.get(instance.id, (CLEAN, ()))
        seen = judgement.verdict is not Verdict.UNKNOWN
        return Look(instance, self.clock(), 0.1, judgement, b"\1" * 32 if seen else b"", others=others)

    def one(self, judgement: Judgement, others: tuple[Session, ...] = ()):
        """One look at i-0002."""
        self.said["i-0002"] = (judgement, others)
        self.clock.advance(10)
        self.sweeper.sweep_one(self.provider.compute.describe("i-0002"))
        with self.store.read() as tx:
            return tx.instance("i-0002")

    def read(self, name, *args):
        with self.store.read() as tx:
            return getattr(tx, name)(*args)
