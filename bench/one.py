"""How long one replacement takes on the local provider, from the decision to traffic, and whose time that is.

    python bench/one.py [--times 5] [--images DIR]

Three real servers behind HAProxy under load; the shipped daemon in this process, with soak, park and dwell at 0. The
journal's times count: from "admitted" to "healthy behind the load balancer in several reads". Three parts: inside edges
(the provider, the looks, the application's health), waiting for the next reading as declared, and driftd's own.
Needs what ``driftd demo`` needs.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from timed import Span, Watch

from driftd.core.replacement import TERMINAL, Record
from driftd.doors.daemon import Daemon
from driftd.edges.providers.local import image
from driftd.flows.replace import Replacer
from driftd.wiring.engine import start
from driftd.wiring.stage import CONFIG, DemoStage

QUICK = (
    CONFIG.replace("tick: 500ms", "tick: 100ms")
    .replace("dwell: 1s ", "dwell: 0s ")
    .replace("soak: 2s", "soak: 0s")
    .replace("enforce: replace ", "enforce: observe ")
)
PORTS = ("inventory", "compute", "traffic")


@dataclass
class Share:
    """Seconds of one replacement, from decision to traffic."""

    whole: float
    edges: float
    own: float
    cpu: float
    slowest: str

    def __str__(self) -> str:
        return (
            f"{self.whole:.2f} s from decision to traffic: {self.edges:.2f} s in edges, {self.waited:.2f} s declared "
            f"waits, {self.own:.2f} s driftd's own ({self._percent:.0f} %; {self.cpu:.2f} s of CPU); {self.slowest}"
        )

    @property
    def _percent(self) -> float:
        return 100 * self.own / self.whole

    @property
    def waited(self) -> float:
        """What is neither: between two readings."""
        return self.whole - self.edges - self.own


class Bench:
    """The stage, and a daemon in a thread whose edges are timed."""

    def __init__(self, stage: DemoStage) -> None:
        self.stage, self.house, self.watch = stage, stage.house, Watch()
        self.ticks: list[Span] = []
        self._time_edges()
        self._time_ticks()
        self.daemon = Daemon(start(self.house))
        self.thread = threading.Thread(target=self.daemon.run, name="the daemon")
        self.thread.start()

    def _time_edges(self) -> None:
        provider = self.house.provider("web")
        for name in PORTS:
            setattr(provider, name, self.watch.around(getattr(provider, name), name))
        groups = self.house.groups
        wrapped = {name: replace(one, health=self.watch.around(one.health, "health")) for name, one in groups.items()}
        vars(self.house).update(groups=wrapped, looker=self.watch.around(self.house.looker, "looker"))

    def _time_ticks(self) -> None:
        tick = Replacer.tick

        def timed(replacer: Replacer) -> list[str]:
            began, used = time.time(), time.thread_time()
            try:
                return tick(replacer)
            finally:
                used = time.thread_time() - used
                self.ticks.append(Span("tick", threading.get_ident(), began, time.time(), used))

        Replacer.tick = timed

    def known(self) -> bool:
        """Whether the daemon has seen everybody."""
        servers = self.stage.scene().servers
        return len(servers) == 3 and all(one.verdict in {"clean", "explained"} for one in servers)

    def replaced(self, slot: str) -> tuple[Share, str]:
        """One by hand; its share, and what each step took."""
        rid = self.house.request_replacement(slot, "to see how long it takes")
        record = wait(lambda: self._ended(rid))
        with self.house.store() as store, store.read() as tx:
            entered = {str(line.body["to"]): line.at.timestamp() for line in tx.journal_lines(rid) if "to" in line.body}
        steps = ", ".join(f"{name} {after - at:.2f}" for (name, at), (_, after) in pairwise(entered.items()))
        if record.state != "succeeded":
            raise SystemExit(f"{record.state}: {record.note}")
        return self._share(entered["planning"], entered["soaking"]), steps

    def _share(self, began: float, ended: float) -> Share:
        def inside(span: Span) -> float:
            return max(0.0, min(ended, span.ended) - max(began, span.began))

        def used(span: Span) -> float:
            return span.cpu * inside(span) / max(span.ended - span.began, 1e-6)

        ticks = [one for one in self.ticks if inside(one)]
        spans = [
            one
            for one in self.watch.spans
            if any(t.thread == one.thread and t.began <= one.began <= t.ended for t in ticks)
        ]
        by_name: Counter[str] = Counter()
        for one in spans:
            by_name[one.name] += inside(one)
        edges = sum(by_name.values())
        slowest = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in by_name.most_common(3))
        cpu = sum(map(used, ticks)) - sum(map(used, spans))
        return Share(ended - began, edges, sum(map(inside, ticks)) - edges, cpu, slowest)

    def _ended(self, rid: str) -> Record | None:
        with self.house.store() as store, store.read() as tx:
            record = tx.replacement(rid)
        return record if record and record.state in TERMINAL else None

    def stop(self) -> None:
        """An orderly end."""
        self.daemon.asked = True
        self.thread.join()


def wait(what, limit_s: float = 120.0):
    """Poll until true."""
    ends = time.monotonic() + limit_s
    while not (value := what()):
        if time.monotonic() > ends:
            raise SystemExit(f"not within {limit_s:g} s")
        time.sleep(0.1)
    return value


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--images", type=Path, default=image.default_cache())
    words = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="dd-"))
    stage = DemoStage(home, words.images.resolve(), QUICK, ports=(0, 0))
    try:
        stage.image(print)
        stage.launch()
        bench = Bench(stage)
        try:
            stage.start_load()
            wait(bench.known)
            shares = []
            for number in range(words.times):
                share, steps = bench.replaced(f"web/{number % 3 + 1}")
                print(f"{share}\n    {steps}")
                shares.append(share)
            requests, failed, _, _ = stage.stop_load()
        finally:
            bench.stop()
        whole = statistics.median(one.whole for one in shares)
        own = statistics.median(one.own / one.whole for one in shares)
        print(f"median {whole:.2f} s, driftd's own {100 * own:.0f} %; {requests:,} requests, {failed} failed")
    finally:
        stage.stop_load()
        stage.clean()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
