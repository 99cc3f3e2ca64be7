"""How long a scrape of driftd's metrics takes on a busy machine, and whether it says that the store is down.

    python bench/scrapes.py [--seconds 60] [--instances 1000] [--writers 2] [--lookers 8] [--busy 4]

A real store and driftd's own endpoint in this process, with ``--writers`` threads that write without a pause, each
transaction one look's, and ``--lookers`` threads that compute in Python, as those that judge looks do; ``--busy``
processes take the processors away. Scraped by another process every 0.5 s. Needs no server.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "edges")]

from store_rows import finding, instance  # noqa: E402

from driftd.edges.gauges import scraped_within  # noqa: E402
from driftd.edges.listener import Listener  # noqa: E402
from driftd.edges.metrics import Metrics  # noqa: E402
from driftd.edges.store import SqlStore, open_store  # noqa: E402
from driftd.wiring.served import SCRAPE_PATIENCE_S  # noqa: E402

SLOW_S = 1.0  # what a first row takes only where a machine is very busy


def now() -> datetime:
    """The clock's time."""
    return datetime.now(UTC)


def fill(store: SqlStore, instances: int) -> None:
    """A fleet, every tenth of which has drifted."""
    with store.write() as tx:
        for number in range(instances):
            tx.put_instance(instance(f"i-{number}", group=f"g{number % 10}", slot=f"g/{number}"))
            if number % 10 == 0:
                tx.add_finding(f"i-{number}", finding(f"sig-{number}"), now())


def writes(store: SqlStore, number: int, stop: threading.Event) -> None:
    """One look's transaction after another."""
    row = instance(f"i-{number}", group="g0", slot=f"g/{number}")
    while not stop.is_set():
        with store.write() as tx:
            tx.put_instance(replace(row, looked_at=now()))
            tx.journal("observation", row.id, {"seen": "x" * 500}, now())


def computes(stop: threading.Event) -> None:
    """Python that keeps the interpreter to itself for as long as it is let."""
    values = [{"path": f"/etc/{number}", "digest": "ab" * 32} for number in range(200)]
    while not stop.is_set():
        json.loads(json.dumps(values))
        sorted(values, key=lambda one: one["path"][::-1])


def spins() -> None:
    """Another program that is busy."""
    parent = os.getppid()
    while os.getppid() == parent:
        sum(range(100_000))


def scrapes(url: str, seconds: float, to: Connection) -> None:
    """What a scraper sees: of each scrape how long it took, and whether the store was said to be up."""
    ends, seen = time.monotonic() + seconds, []
    while time.monotonic() < ends:
        began = time.monotonic()
        asked = urllib.request.Request(url, headers={"X-Prometheus-Scrape-Timeout-Seconds": "60"})  # noqa: S310  # ours
        with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310  # ours
            up = re.search(rb"^driftd_store_up 1", answer.read(), re.MULTILINE) is not None
        seen.append((time.monotonic() - began, up))
        time.sleep(0.5)
    to.send(seen)


def first_rows(store: SqlStore, stop: threading.Event, took: list[float]) -> None:
    """How long the store's first row takes, which tells a store that is locked from one that is slow."""
    while not stop.wait(0.5):
        began = time.monotonic()
        with store.read() as tx:
            tx.store_facts()
        took.append(time.monotonic() - began)


def shown(what: str, seconds: list[float]) -> str:
    """The spread of ``seconds``."""
    took = sorted(seconds)
    parts = [f"{name} {took[int((len(took) - 1) * share)]:.2f} s" for name, share in SHARES]
    return f"{what}: {', '.join(parts)}, longer than {SLOW_S:g} s {sum(one > SLOW_S for one in took)} of {len(took)}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    for name, default in (("instances", 1000), ("writers", 2), ("lookers", 8), ("busy", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    words = parser.parse_args()
    fork, stop = multiprocessing.get_context("fork"), threading.Event()
    others = [fork.Process(target=spins) for _ in range(words.busy)]
    for one in others:
        one.start()
    with ExitStack() as stack:
        for one in others:
            stack.callback(one.terminate)
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = open_store(f"sqlite:///{home}/driftd.db")
        stack.callback(store.close)
        fill(store, words.instances)
        scraped = open_store(f"sqlite:///{home}/driftd.db", read_only=True, patience_s=SCRAPE_PATIENCE_S)
        stack.callback(scraped.close)
        metrics = Metrics(scraped, now, "bench", groups={f"g{n}": timedelta(minutes=5) for n in range(10)})
        listener = Listener("127.0.0.1:0", metrics.registry, str, str, within=scraped_within)
        stack.callback(listener.close)
        here, there = fork.Pipe()
        client = fork.Process(target=scrapes, args=(f"http://127.0.0.1:{listener.port}/metrics", words.seconds, there))
        client.start()
        threads = [threading.Thread(target=writes, args=(store, number, stop)) for number in range(words.writers)]
        threads += [threading.Thread(target=computes, args=(stop,)) for _ in range(words.lookers)]
        rows: list[float] = []
        threads.append(threading.Thread(target=first_rows, args=(scraped, stop, rows)))
        for thread in threads:
            thread.start()
        seen = here.recv()
        load = os.getloadavg()[0]
        stop.set()
        for thread in threads:
            thread.join()
        client.join()
    print(f"at a load of {load:.1f}, said to be down: {sum(not up for _, up in seen)} of {len(seen)}")
    print(shown("the store's first row", rows))
    print(shown("a whole scrape", [one for one, _ in seen]))


SHARES = (("median", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("longest", 1.0))

if __name__ == "__main__":
    main()
