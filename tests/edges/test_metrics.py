"""What Prometheus scrapes: true after a restart, and harmless when the store is away."""

import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from servers import free_port
from store_rows import finding as finding_row
from store_rows import instance as instance_row

from driftd.core.breakers.breaker import Breaker, State
from driftd.core.findings import Verdict
from driftd.core.memory import Pause, StoreUnavailable, Suppression
from driftd.core.watching import Beat, Greeting, Watched, Why
from driftd.edges.listener import Listener
from driftd.edges.metrics import Metrics
from driftd.edges.store import open_store

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


@pytest.fixture
def served(tmp_path):
    """A store, its metrics, and a scrape of them."""
    store = open_store(f"sqlite:///{tmp_path}/driftd.db")
    metrics = Metrics(store, lambda: NOW, "1.2.3")
    port = free_port()
    listener = Listener(f"127.0.0.1:{port}", metrics.registry, str, str)

    def scrape() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {(s.name, tuple(sorted(s.labels.items()))): s.value for s in samples}

    yield store, metrics, scrape
    listener.close()
    store.close()


def test_instances_taints_and_pauses_are_read_from_the_store(served):
    store, _, scrape = served
    with store.write() as tx:
        tx.put_instance(
            replace(instance_row("i-1"), group="web", verdict=Verdict.CLEAN, looked_at=NOW - timedelta(hours=1))
        )
        tx.put_instance(replace(instance_row("i-2"), group="web", verdict=Verdict.DRIFTED, taint="bob", looked_at=NOW))
        tx.set_pause(Pause("web", "ann", "a fire", NOW))
    seen = scrape()
    assert seen["driftd_instances", (("group", "web"), ("verdict", "clean"))] == 1
    assert seen["driftd_instances", (("group", "web"), ("verdict", "drifted"))] == 1
    assert seen["driftd_instances", (("group", "web"), ("verdict", "unknown"))] == 0
    assert seen["driftd_tainted_instances", (("group", "web"),)] == 1
    assert seen["driftd_look_age_seconds", (("group", "web"),)] == 3600
    assert seen["driftd_paused", (("group", "web"),)] == 1
    assert seen["driftd_build_info", (("version", "1.2.3"),)] == 1


def test_a_store_that_is_away_is_said_and_breaks_no_scrape(served, monkeypatch: pytest.MonkeyPatch):
    store, _, scrape = served

    def away():
        raise StoreUnavailable("the disk is gone")

    monkeypatch.setattr(store, "read", away)
    assert scrape()["driftd_store_up", ()] == 0


def test_jobs_tell_their_last_success_and_their_failures(served):
    _, metrics, scrape = served
    metrics.job_ended("sweep", NOW, well=True)
    metrics.job_ended("sweep", NOW + timedelta(hours=1), well=False)
    seen = scrape()
    assert seen["driftd_job_last_success_timestamp_seconds", (("job", "sweep"),)] == NOW.timestamp()
    assert seen["driftd_job_failures_total", (("job", "sweep"),)] == 1


def test_what_was_accepted_is_counted_and_so_is_its_use(served):
    store, _, scrape = served
    later = NOW + timedelta(days=1)
    with store.write() as tx:
        tx.put_instance(replace(instance_row("i-1"), group="web"))
        tx.add_finding("i-1", replace(finding_row("one"), suppressed_by="accepted by ann"), NOW)
        tx.add_finding("i-1", finding_row("two"), NOW)
        for number, (group, until) in enumerate((("web", later), ("web", later), ("", NOW))):
            tx.add_suppression(Suppression(0, str(number), group, "ann", "mine", NOW, until))
        tx.count_suppression(1, NOW, 3)
    seen = scrape()
    assert seen["driftd_suppressed_findings", (("group", "web"), ("severity", finding_row("one").severity.value))] == 1
    assert seen["driftd_acceptances", (("group", "web"), ("state", "used"))] == 1
    assert seen["driftd_acceptances", (("group", "web"), ("state", "unused"))] == 1
    assert seen["driftd_acceptances", (("group", ""), ("state", "expired"))] == 1
    assert seen["driftd_acceptance_hits", (("group", "web"),)] == 3


def test_breakers_say_how_far_they_are_open(served):
    store, _, scrape = served
    with store.write() as tx:
        for rule, state in (("C1", State.OPEN), ("C2", State.HALF_OPEN), ("C4", State.CLOSED)):
            tx.put_breaker(Breaker(rule, "group:web", state, "why", NOW, changed_at=NOW))
    seen = scrape()
    levels = [seen["driftd_breaker_state", (("rule", rule), ("scope", "group:web"))] for rule in ("C1", "C2", "C4")]
    assert levels == [2, 1, 0]


def test_watches_show_their_means_what_they_cost_and_why_they_asked_for_looks(served):
    _, metrics, scrape = served
    means = Greeting("dnotify", "sweep", 790, 0)
    metrics.watch(
        lambda: [
            Watched("i-1", "web", means, Beat(1.5, 13_000_000, 7, 0), 7, 1, {Why.BEGUN: 2, Why.LOST: 1}),
            Watched("i-2", "web", means, Beat(0.5, 12_000_000, 1, 0), 1, 0, {Why.BEGUN: 1}),
            Watched("i-3", "web", None, Beat(9.0, 99_000_000, 1, 0), 1, 1, {Why.LOST: 1}),
        ]
    )
    seen = scrape()
    web = (("group", "web"),)
    assert seen["driftd_watched_instances", (("files", "dnotify"), *web, ("processes", "sweep"))] == 2
    assert seen["driftd_watch_cpu_seconds", web] == 2.0
    assert seen["driftd_watch_memory_bytes", web] == 13_000_000
    assert seen["driftd_watch_glimpses_total", web] == 9
    assert seen["driftd_watch_lost_total", web] == 2
    assert seen["driftd_watch_looks_total", (*web, ("why", "begun"))] == 3
    assert seen["driftd_watch_looks_total", (*web, ("why", "lost"))] == 2
