"""A big group on the fake provider and the real store: looked at, judged by the breakers, and replaced, by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from simulation import LIMITS
from sweeping import CLEAN, drifted, finding

from driftd.core.breakers.limits import DEFAULTS
from driftd.core.difference import Change, Difference
from driftd.core.findings import Action, Verdict
from driftd.core.guards.calendar import ALWAYS
from driftd.core.guards.case import UNPACED, GroupRules
from driftd.core.looks import Look
from driftd.core.ports import LaunchRequest
from driftd.edges.store import SqlQueue, open_store
from driftd.flows.breaking import reset
from driftd.flows.groups import Group
from driftd.flows.metered import Meter, metered
from driftd.flows.replace import Replacer
from driftd.flows.sweep import Sweeper
from driftd.flows.trip import Tripper
from driftd.testing import FakeClock, FakeProvider

AT_ONCE = replace(DEFAULTS, observe_first=timedelta(0))


def edited(path: str, content: str = "bb"):
    """A judgement: this file was edited."""
    return drifted(finding(Difference("file", path.encode(), Change.MODIFIED, {"sha256": "aa"}, {"sha256": content})))


class Herd:
    def __init__(self, home, *, groups=None, limits=AT_ONCE, versions=dict, every=10.0, back_off=1800.0) -> None:
        self.clock = FakeClock()
        self.provider = FakeProvider(self.clock)
        self.store = open_store(f"sqlite:///{home / 'driftd.db'}")
        self.meter = Meter(self.clock)
        self.groups = {}
        for name, size in (groups or {"web": 40}).items():
            for number in range(size):
                request = LaunchRequest(name, f"{name}/{number}", "golden", f"{name}-{number}")
                self.provider.traffic.register(name, self.provider.compute.launch(request))
            rules = GroupRules(
                name,
                enforce=Action.REPLACE,
                pace=UNPACED,
                calendar=ALWAYS,
                allow_singleton=True,
                back_off=timedelta(seconds=back_off),
            )
            one = Group(name, metered(self.provider, self.meter), rules, LIMITS, every=timedelta(seconds=every))
            self.groups[name] = replace(one, health=self.provider.health)
        self.clock.advance(60)
        self.said = {}
        self.first = set(self.provider.servers)
        self.sweeper = Sweeper(
            self.store, self.groups, self.look, SqlQueue(self.store), clock=self.clock, lookers=1, patience_s=5.0
        )
        self.replacer = Replacer(self.store, self.groups, self.look, clock=self.clock)
        self.tripper = Tripper(
            self.store, self.groups, clock=self.clock, meter=self.meter, limits=limits, versions=versions
        )

    def close(self) -> None:
        self.sweeper.close()
        self.store.close()

    def look(self, instance) -> Look:
        judgement = self.said.get(instance.id, CLEAN)
        root = b"" if judgement.verdict is Verdict.UNKNOWN else b"\1" * 32
        return Look(instance, self.clock(), 0.1, judgement, root)

    def drift(self, slots, judgement) -> None:
        """From now on a look at who is in these slots says so, and there is one now."""
        for server in list(self.provider.servers.values()):
            if server.instance.slot in slots and server.gone_at is None:
                self.said[server.instance.id] = judgement
                self.sweeper.sweep_one(self.provider.compute.describe(server.instance.id))

    def tick(self, seconds: float = 2.0) -> list[str]:
        self.clock.advance(seconds)
        return [*self.sweeper.tick(), *self.tripper.tick(), *self.replacer.tick()]

    def run(self, seconds: float, step: float = 4.0) -> None:
        ends = self.clock() + timedelta(seconds=seconds)
        while self.clock() < ends:
            self.tick(step)

    @property
    def replaced(self) -> set[str]:
        """The slots that somebody new is in, by what really happened."""
        return {
            server.instance.slot
            for key, server in self.provider.servers.items()
            if key not in self.first and not server.gone_at
        }

    def read(self, name, *args):
        with self.store.read() as tx:
            return getattr(tx, name)(*args)

    def open(self) -> set[tuple[str, str]]:
        return {one.key for one in self.read("breakers") if one.holds}

    def why(self, rule, scope) -> str:
        return next(one.why for one in self.read("breakers") if one.key == (rule, scope))

    def reset(self, rule, scope) -> str:
        with self.store.write() as tx:
            return reset(tx, rule, scope, "ann", "it was us", self.clock())

    def messages(self, code) -> list[str]:
        return [one.text for one in self.read("unsent", 1000) if one.code == code]
