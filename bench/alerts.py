"""How long it takes from a finding in the store to an Alertmanager's webhook, and from its end to the word of that.

    python bench/alerts.py [--times 5] [--scrape 5s] [--group-wait 1s]

A real store and driftd's own endpoint for metrics; Debian's Prometheus with the shipped rules, unchanged, scraped and
asked every ``--scrape``; Debian's Alertmanager with ``--group-wait`` (and a ``group_interval`` of 200 ms, on which the
word of an end waits); a webhook at the end. Findings come at several moments of the scrape's interval. Needs no server.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "edges")]

from monitoring import Exporter, Receiver, alertmanager, prometheus, receiver  # noqa: E402
from servers import free_port, wait_until  # noqa: E402
from store_rows import finding, instance  # noqa: E402

from driftd.edges.gauges import scraped_within  # noqa: E402
from driftd.edges.listener import Listener  # noqa: E402
from driftd.edges.metrics import Metrics  # noqa: E402
from driftd.edges.store import SqlStore, open_store  # noqa: E402

ALERT = "DriftdDriftHigh"
LIMIT_S = 60.0


def now() -> datetime:
    """The clock's time."""
    return datetime.now(UTC)


def once(store: SqlStore, told: Receiver, number: int) -> tuple[float, float]:
    """Seconds from one finding to its alert, and from its end to the alert's."""
    began = time.monotonic()
    with store.write() as tx:
        row = tx.add_finding("i-1", finding(f"bench-{number}"), now())
    wait_until(lambda: told.fires(ALERT), "the alert", LIMIT_S)
    fired = time.monotonic() - began
    began = time.monotonic()
    with store.write() as tx:
        tx.resolve_finding(row.id, now())
    wait_until(lambda: told.resolved(ALERT), "its end", LIMIT_S)
    return fired, time.monotonic() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--scrape", default="5s")
    parser.add_argument("--group-wait", default="1s")
    words = parser.parse_args()
    rules = (ROOT / "alerts" / "driftd.rules.yml").read_text(encoding="utf-8")
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = open_store(f"sqlite:///{home}/driftd.db")
        stack.callback(store.close)
        with store.write() as tx:
            tx.put_instance(instance("i-1"))
        metrics = Metrics(store, now, "bench", groups={"web": timedelta(minutes=5)})
        port = free_port()
        stack.callback(Listener(f"127.0.0.1:{port}", metrics.registry, str, str, within=scraped_within).close)
        told = stack.enter_context(receiver())
        manager = stack.enter_context(alertmanager(home / "am", webhook=told.url, group_wait=words.group_wait))
        stack.enter_context(
            prometheus(
                home / "prometheus",
                Exporter(port=port),
                rules=rules,
                alertmanager=manager.url,
                job="driftd",
                beat=words.scrape,
                rule_beat=words.scrape,
            )
        )
        time.sleep(10)  # until Prometheus has found its Alertmanager
        measured = []
        for number in range(words.times):
            time.sleep(0.7 * number)
            measured.append(once(store, told, number))
            print(f"fires after {measured[-1][0]:.1f} s, resolved after {measured[-1][1]:.1f} s", flush=True)
    for name, values in zip(("fires", "resolved"), zip(*measured, strict=True), strict=True):
        print(f"{name}: median {statistics.median(values):.1f} s, longest {max(values):.1f} s")


if __name__ == "__main__":
    main()
