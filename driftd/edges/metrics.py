"""Prometheus metrics: their names and help in one place. They observe and never decide.

What the store knows is read from it at each scrape, so that it is true after a restart; only counts of this process's
own work live in memory.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from driftd.core import acceptance
from driftd.core.breakers.breaker import Breaker, State
from driftd.core.findings import Verdict
from driftd.core.looks import Look
from driftd.core.memory import FindingRow, InstanceRow, Store, StoreUnavailable, Suppression
from driftd.core.watching import Watched

Clock = Callable[[], datetime]


class _StoreCollector(Collector):
    """Gauges computed from the store at scrape time."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("driftd_store_up", "1 when the store could be read for this scrape.")
        try:
            gauges = list(self._read())
        except StoreUnavailable:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from gauges

    def _read(self) -> Iterator[Metric]:
        now = self._clock()
        with self._store.read() as tx:
            instances = tx.instances()
            findings = tx.open_findings()
            replacements = tx.open_replacements()
            pauses = tx.pauses()
            unsent = tx.unsent(10_000)
            suppressions = tx.every_suppression()
            chain = tx.chain()
            doubts = [doubt for doubt in tx.doubts() if doubt.settled_at is None]
            breakers = tx.breakers()
        by_id = {row.id: row for row in instances}
        verdicts = GaugeMetricFamily("driftd_instances", "Instances by group and verdict.", labels=["group", "verdict"])
        seen = Tally((row.group, row.verdict) for row in instances)
        for group in sorted({row.group for row in instances}):
            for verdict in Verdict:
                verdicts.add_metric([group, verdict], seen[group, verdict])
        yield verdicts
        age = GaugeMetricFamily(
            "driftd_look_age_seconds",
            "Seconds since the last look, by the instance looked at longest ago.",
            labels=["group"],
        )
        tainted = GaugeMetricFamily("driftd_tainted_instances", "Instances with a sticky taint.", labels=["group"])
        for group in sorted({row.group for row in instances}):
            looked = [row.looked_at or row.first_seen for row in instances if row.group == group]
            age.add_metric([group], max((now - at).total_seconds() for at in looked))
            tainted.add_metric([group], sum(1 for row in instances if row.group == group and row.taint))
        yield from (age, tainted)
        open_findings = GaugeMetricFamily(
            "driftd_open_findings", "Findings not resolved, by group and severity.", labels=["group", "severity"]
        )
        worst = Tally(
            (by_id[row.instance_id].group, row.finding.severity) for row in findings if row.instance_id in by_id
        )
        for (group, severity), count in sorted(worst.items()):
            open_findings.add_metric([group, severity], count)
        yield open_findings
        yield from _acceptances(suppressions, findings, by_id, now)
        states = GaugeMetricFamily(
            "driftd_replacement_state", "Open replacements by group and state.", labels=["group", "state"]
        )
        for (group, state), count in sorted(Tally((r.group, r.state) for r in replacements).items()):
            states.add_metric([group, state], count)
        yield states
        paused = GaugeMetricFamily(
            "driftd_paused", '1 while changes are paused; group "" is everywhere.', labels=["group"]
        )
        for pause in pauses:
            paused.add_metric([pause.group], 1)
        yield paused
        yield from _breakers(breakers)
        yield GaugeMetricFamily("driftd_messages_waiting", "Messages not yet sent.", value=len(unsent))
        yield GaugeMetricFamily(
            "driftd_journal_broken", "1 when the journal's chain does not hold.", value=int(bool(chain.broken))
        )
        yield GaugeMetricFamily("driftd_journal_verified_lines", "Lines of the journal that verify.", value=chain.count)
        doubted = "Signs, not settled by a person, that this store is older than the world."
        yield GaugeMetricFamily("driftd_store_doubts", doubted, value=len(doubts))


_LEVELS = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}


def _breakers(breakers: Sequence[Breaker]) -> Iterator[Metric]:
    levels = GaugeMetricFamily(
        "driftd_breaker_state",
        "Circuit breakers by rule and scope: 0 closed, 1 half-open, 2 open; closed ones until they are pruned.",
        labels=["rule", "scope"],
    )
    for one in breakers:
        levels.add_metric([one.rule, one.scope], _LEVELS[one.state])
    yield levels


def _acceptances(
    suppressions: Sequence[Suppression], findings: Sequence[FindingRow], by_id: Mapping[str, InstanceRow], now: datetime
) -> Iterator[Metric]:
    covered = GaugeMetricFamily(
        "driftd_suppressed_findings",
        "Open findings that somebody accepted, by group and severity.",
        labels=["group", "severity"],
    )
    accepted = Tally(
        (by_id[row.instance_id].group, row.finding.severity)
        for row in findings
        if row.finding.suppressed_by and row.instance_id in by_id
    )
    for (group, severity), count in sorted(accepted.items()):
        covered.add_metric([group, severity], count)
    yield covered
    states = GaugeMetricFamily(
        "driftd_acceptances",
        'Acceptances by group ("" is every one) and state: used, unused, expired or withdrawn; until they are pruned.',
        labels=["group", "state"],
    )
    for (group, word), count in sorted(Tally((one.group, acceptance.state(one, now)) for one in suppressions).items()):
        states.add_metric([group, word], count)
    yield states
    hits = GaugeMetricFamily(
        "driftd_acceptance_hits",
        "Findings that acceptances came to cover, by group; until they are pruned.",
        labels=["group"],
    )
    for group in sorted({one.group for one in suppressions}):
        hits.add_metric([group], sum(one.hits for one in suppressions if one.group == group))
    yield hits


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

    def __init__(self, store: Store, clock: Clock, version: str) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_StoreCollector(store, clock))
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
        self._jobs = Counter(
            "driftd_job_failures", "Runs of a job that ended in an error.", ["job"], registry=self.registry
        )
        self._beats = Gauge(
            "driftd_job_last_success_timestamp_seconds", "When a job last ended well.", ["job"], registry=self.registry
        )

    def watch(self, watched: Callable[[], Sequence[Watched]]) -> None:
        """Show how watches stand, too."""
        self.registry.register(_WatchCollector(watched))

    def looked(self, look: Look) -> None:
        """Count one look."""
        self._looks.labels(look.instance.group, look.judgement.verdict).inc()
        self._seconds.labels(look.instance.group).observe(look.duration_s)

    def job_ended(self, job: str, now: datetime, *, well: bool) -> None:
        """Note that a run of a job ended."""
        if well:
            self._beats.labels(job).set(now.timestamp())
        else:
            self._jobs.labels(job).inc()
