"""How long one tick of the controller takes over 1,000 open replacements in 40 groups, on a real store.

    python bench/replacements.py [--open 1000] [--groups 40] [--rounds 5]

The provider is the fake in memory and its time is told apart: what is measured is driftd's own, reading the store,
deciding, and writing. Three numbers: the first tick, in which every replacement moves on (each move is durable for
itself); a tick in which each group begins one; and the ordinary tick, in which 1,000 are due and all go on waiting.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from timed import Watch

from driftd.core.findings import Action, Judgement, Verdict
from driftd.core.guards.calendar import ALWAYS
from driftd.core.guards.case import UNPACED, GroupRules
from driftd.core.looks import Look
from driftd.core.ports import LaunchRequest
from driftd.core.world import Limits
from driftd.edges.store import open_store
from driftd.flows import replace
from driftd.flows.groups import Group
from driftd.flows.replace import Replacer
from driftd.testing import FakeClock, FakeProvider

DAY = timedelta(days=1)


@dataclass
class Tick:
    """What one tick took, and what it did."""

    wall: float
    cpu: float
    fake: float
    decided: int
    said: int

    @property
    def own(self) -> float:
        """Seconds without the fake's."""
        return self.wall - self.fake

    def __str__(self) -> str:
        return (
            f"{self.own:.3f} s (and {self.fake:.3f} s of the fake's; {self.cpu:.3f} s CPU in all), "
            f"{self.decided} decided, {self.said} things done"
        )


class Bench:
    """Groups with drifted instances, and a controller that is counted."""

    def __init__(self, home: Path, many: int, groups: int) -> None:
        self.clock, self.watch = FakeClock(), Watch()
        provider = FakeProvider(self.clock)
        provider.drain_s = 0
        limits = Limits(soak=DAY, canary_soak=DAY)
        self.groups = {
            name: Group(name, provider, self._rules(name), limits, health=provider.health)
            for name in (f"group-{number}" for number in range(groups))
        }
        self.instances = []
        for number in range(many):
            name = f"group-{number % groups}"
            request = LaunchRequest(name, f"{name}/{number // groups}", "golden", f"token-{number}")
            self.instances.append(provider.compute.launch(request))
            provider.traffic.register(name, self.instances[-1])
        self.clock.advance(60)
        self.instances = [provider.compute.describe(one.id) for one in self.instances]
        self._drifted = frozenset(one.id for one in self.instances)
        for port in ("inventory", "compute", "traffic", "volumes", "addresses", "health"):
            setattr(provider, port, self.watch.around(getattr(provider, port), port))
        self.store = open_store(f"sqlite:///{home / 'driftd.db'}")
        judgement = Judgement(Verdict.DRIFTED, "1 finding", action=Action.REPLACE)
        self.replacer = Replacer(
            self.store, self.groups, lambda instance: self._look(instance, judgement), clock=self.clock
        )

    @staticmethod
    def _rules(name: str) -> GroupRules:
        return GroupRules(name, min_healthy=1, enforce=Action.REPLACE, pace=UNPACED, calendar=ALWAYS)

    def _look(self, instance, judgement: Judgement) -> Look:
        good = judgement if instance.id in self._drifted else Judgement(Verdict.CLEAN, "as baked")
        return Look(instance, self.clock(), 0.1, good)

    def tick(self, seconds: float) -> Tick:
        """One tick, so many seconds after the last."""
        self.clock.advance(seconds)
        self.watch.take()
        before = Bench.decided
        began, cpu = time.perf_counter(), time.process_time()
        said = self.replacer.tick()
        wall, used = time.perf_counter() - began, time.process_time() - cpu
        return Tick(wall, used, self.watch.take(), Bench.decided - before, len(said))

    decided = 0

    @classmethod
    def count(cls) -> None:
        """Count what is decided."""
        decide = replace.decide

        def counted(*words):
            cls.decided += 1
            return decide(*words)

        replace.decide = counted


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--open", type=int, default=1000, help="replacements that are open")
    parser.add_argument("--groups", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    words = parser.parse_args()
    Bench.count()
    with tempfile.TemporaryDirectory() as home:
        bench = Bench(Path(home), words.open, words.groups)
        began = time.perf_counter()
        for instance in bench.instances:
            bench.replacer.request(instance, "drift", manual=False)
        print(f"{words.open} opened in {time.perf_counter() - began:.2f} s")
        print("the first tick:", first := bench.tick(70))
        for _ in range(20):
            busy = bench.tick(70)
            print("on the way:", busy)
            if not busy.said:
                break
        calm = []
        for _ in range(words.rounds):
            calm.append(bench.tick(70))
            print("an ordinary tick:", calm[-1])
        with bench.store.read() as tx:
            print(dict(Counter(one.state.value for one in tx.open_replacements())))
        median = statistics.median(one.own for one in calm)
        print(
            f"median {median:.3f} s an ordinary tick, {first.own:.3f} s the first; "
            f"{words.open} in {words.groups} groups"
        )
        bench.store.close()


if __name__ == "__main__":
    main()
