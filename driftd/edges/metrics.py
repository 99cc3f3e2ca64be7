"""Prometheus metrics of this process, and their endpoint. They observe and never decide.

What the store knows is read from it at each scrape (edges/gauges), so that it is true after a restart; only counts of
this process's own work live in memory.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from driftd.core.breakers.limits import DEFAULTS, Thresholds
from driftd.core.looks import Look
from driftd.core.memory import Store
from driftd.core.watching import Watched
from driftd.edges.gauges import StoreCollector

Clock = Callable[[], datetime]


class _WatchCollector(Collector):
    """What resident probes cost and how often they were of use, at scrape time; counts are this process's own."""

    def __init__(self, watched: Callable[[], Sequence[Watched]]) -> None:
        self._watched = watched

    def collect(self) -> Iterator[Metric]:
        found = self._watched()
        means = GaugeMetricFamily(
            "driftd_watched_instances",
            "Instances with a resident probe, by group and the means that are in force.",
            labels=["group", "files", "processes"],
        )
        standing = Tally((o.group, o.greeting.files, o.greeting.processes) for o in found if o.greeting)
        for labels, count in sorted(standing.items()):
            means.add_metric(list(labels), count)
        yield means
        cpu = GaugeMetricFamily(
            "driftd_watch_cpu_seconds",
            "CPU that standing resident probes have used since each began, by group.",
            labels=["group"],
        )
        memory = GaugeMetricFamily(
            "driftd_watch_memory_bytes", "Memory of the largest standing resident probe, by group.", labels=["group"]
        )
        glimpses = CounterMetricFamily("driftd_watch_glimpses", "Hints that came, by group.", labels=["group"])
        lost = CounterMetricFamily("driftd_watch_lost", "Watches that stood and were lost, by group.", labels=["group"])
        looks = CounterMetricFamily(
            "driftd_watch_looks", "Reasons for which a watch asked for a look, by group.", labels=["group", "why"]
        )
        for group in sorted({one.group for one in found}):
            here = [one for one in found if one.group == group]
            beats = [one.beat for one in here if one.greeting and one.beat]
            cpu.add_metric([group], sum(beat.cpu_s for beat in beats))
            memory.add_metric([group], max((beat.rss for beat in beats), default=0))
            glimpses.add_metric([group], sum(one.glimpses for one in here))
            lost.add_metric([group], sum(one.lost for one in here))
            reasons: Tally[str] = Tally()
            for one in here:
                reasons.update({why.value: count for why, count in one.counted.items()})
            for why, count in sorted(reasons.items()):
                looks.add_metric([group, why], count)
        yield from (cpu, memory, glimpses, lost, looks)


class Metrics:
    """This process's metrics; ``registry`` is what a scrape reads."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        version: str,
        *,
        groups: Mapping[str, timedelta] | None = None,
        limits: Thresholds = DEFAULTS,
        epoch: int = 0,
    ) -> None:
        """``groups``, ``limits`` and ``epoch`` are as in ``StoreCollector``."""
        self._clock = clock
        self.registry = CollectorRegistry()
        self.registry.register(StoreCollector(store, clock, groups=groups, limits=limits, epoch=epoch))
        ProcessCollector(registry=self.registry)
        Gauge("driftd_build_info", "1; the version is the label.", ["version"], registry=self.registry).labels(
            version
        ).set(1)
        self._looks = Counter("driftd_looks", "Looks finished.", ["group", "verdict"], registry=self.registry)
        self._seconds = Histogram(
            "driftd_look_duration_seconds",
            "How long a look took.",
            ["group"],
            registry=self.registry,
            buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
        )
        self._extents = Counter(
            "driftd_look_extents",
            "Looks by how much of the tree was read: whole, changes, same.",
            ["group", "extent"],
            registry=self.registry,
        )
        self._disks = Counter(
            "driftd_out_of_band_looks", "Looks at disks from outside.", ["group", "verdict"], registry=self.registry
        )
        # The label is not called "job": Prometheus names what it scrapes so.
        self._jobs = Counter(
            "driftd_job_failures", "Runs of a job that ended in an error.", ["name"], registry=self.registry
        )
        self._beats = Gauge(
            "driftd_job_last_success_timestamp_seconds",
            "When a job last ended well; before it ever did, when the daemon began.",
            ["name"],
            registry=self.registry,
        )
        self._intervals = Gauge(
            "driftd_job_interval_seconds", "How often a job is run.", ["name"], registry=self.registry
        )

    def expect(self, jobs: Iterable[tuple[str, timedelta]]) -> None:
        """Show these jobs from the beginning on, so that one that never ends well is missed, too."""
        for name, every in jobs:
            self._jobs.labels(name)
            self._beats.labels(name).set(self._clock().timestamp())
            self._intervals.labels(name).set(every.total_seconds())

    def watch(self, watched: Callable[[], Sequence[Watched]]) -> None:
        """Show how watches stand, too."""
        self.registry.register(_WatchCollector(watched))

    def looked(self, look: Look) -> None:
        """Count one look."""
        self._looks.labels(look.instance.group, look.judgement.verdict).inc()
        self._extents.labels(look.instance.group, look.extent).inc()
        self._seconds.labels(look.instance.group).observe(look.duration_s)

    def looked_outside(self, look: Look) -> None:
        """Count one look at a disk."""
        self._disks.labels(look.instance.group, look.judgement.verdict).inc()

    def job_ended(self, job: str, now: datetime, *, well: bool) -> None:
        """Note that a run of a job ended."""
        if well:
            self._beats.labels(job).set(now.timestamp())
        else:
            self._jobs.labels(job).inc()
