"""The collector: one read of the store for each scrape, and a patience that ends before the scraper's own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from driftd.core.breakers.limits import DEFAULTS, Thresholds
from driftd.core.memory import Store, StoreUnavailable
from driftd.edges.gauges import acting, fleet, keeping, people
from driftd.edges.gauges.scope import Scope

# How long a scrape waits for all of its answer. Prometheus' own default, where nobody says another time.
_SCRAPE_S = ContextVar("scrape_s", default=10.0)


@contextmanager
def scraped_within(seconds: float) -> Iterator[None]:
    """Whoever collects in this thread meanwhile is to have all of the answer within so long."""
    token = _SCRAPE_S.set(seconds)
    try:
        yield
    finally:
        _SCRAPE_S.reset(token)


def patience_s(scrape_s: float) -> float:
    """How much of a scrape's time the store's first row may take: all but a fifth or half a second, and half at least.

    As much as there is: on a busy machine a store is not to be taken for one that is away.
    """
    return max(scrape_s / 2, scrape_s - max(0.5, scrape_s / 5))


class StoreCollector(Collector):
    """Gauges computed from the store at scrape time.

    ``groups`` are the configured ones, each with how often it is looked at: of no other anything is shown. None shows
    all that the store has. ``epoch`` is that of this process's lease, 0 for none. A store whose first row does not come
    within ``patience_s`` of the scrape's time counts as away; the read goes on alone, and no other is begun beside it.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], datetime],
        *,
        groups: Mapping[str, timedelta] | None = None,
        limits: Thresholds = DEFAULTS,
        epoch: int = 0,
    ) -> None:
        self._store = store
        self._clock = clock
        self._scope = Scope(groups, limits, epoch)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="scrape")
        self._lock = threading.Lock()
        self._reading: Future[Sequence[Metric]] | None = None
        self._answered = threading.Event()

    def collect(self) -> Iterator[Metric]:
        """See ``Collector.collect``. Raises TimeoutError where the store answers, and all of it takes too long."""
        up = GaugeMetricFamily("driftd_store_up", "1 when the store could be read for this scrape.")
        try:
            gauges = self._gauges()
        except StoreUnavailable:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from gauges

    def _gauges(self) -> Sequence[Metric]:
        scrape_s, began = _SCRAPE_S.get(), time.monotonic()
        with self._lock:
            if self._reading is None or self._reading.done():
                self._answered = threading.Event()
                self._reading = self._pool.submit(self._read, self._answered)
            reading, answered = self._reading, self._answered
        if not answered.wait(patience_s(scrape_s)):
            raise StoreUnavailable("The store does not answer.")
        return reading.result(timeout=max(0.0, began + scrape_s - time.monotonic()))

    def _read(self, answered: threading.Event) -> Sequence[Metric]:
        try:
            with self._store.read() as tx:
                tx.store_facts()
                answered.set()  # from here on the view of one moment is ours, and no lock can hold it up
                now = self._clock()
                parts = (fleet.families, people.families, acting.families, keeping.families)
                return [family for part in parts for family in part(tx, now, self._scope)]
        finally:
            answered.set()
