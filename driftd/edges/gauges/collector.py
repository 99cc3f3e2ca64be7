"""The collector: one read of the store for each scrape, and a patience that ends before Prometheus' own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from driftd.core.breakers.limits import DEFAULTS, Thresholds
from driftd.core.memory import Store, StoreUnavailable
from driftd.edges.gauges import acting, fleet, keeping, people
from driftd.edges.gauges.scope import Scope

FIRST_ROW_S = 1.0
ALL_ROWS_S = 8.0  # Prometheus gives up after 10 s


class StoreCollector(Collector):
    """Gauges computed from the store at scrape time.

    ``groups`` are the configured ones, each with how often it is looked at: of no other anything is shown. None shows
    all that the store has. ``epoch`` is that of this process's lease, 0 for none. A store whose first row does not come
    within ``first_s``, or all of it within ``whole_s``, counts as away; the read goes on alone, and no other is begun
    beside it.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], datetime],
        *,
        groups: Mapping[str, timedelta] | None = None,
        limits: Thresholds = DEFAULTS,
        epoch: int = 0,
        first_s: float = FIRST_ROW_S,
        whole_s: float = ALL_ROWS_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._scope = Scope(groups, limits, epoch)
        self._first_s = first_s
        self._whole_s = whole_s
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="scrape")
        self._lock = threading.Lock()
        self._reading: Future[Sequence[Metric]] | None = None
        self._answered = threading.Event()

    def collect(self) -> Iterator[Metric]:
        """See ``Collector.collect``."""
        up = GaugeMetricFamily("driftd_store_up", "1 when the store could be read for this scrape.")
        try:
            gauges = self._gauges()
        except (StoreUnavailable, TimeoutError):
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from gauges

    def _gauges(self) -> Sequence[Metric]:
        """Raises StoreUnavailable, and TimeoutError where it took too long."""
        with self._lock:
            if self._reading is None or self._reading.done():
                self._answered = threading.Event()
                self._reading = self._pool.submit(self._read, self._answered)
            reading, answered = self._reading, self._answered
        if not answered.wait(self._first_s):
            raise TimeoutError
        wait([reading], timeout=self._whole_s)
        return reading.result(timeout=0)

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
