"""What Prometheus scrapes: true after a restart, and harmless when the store is away."""

import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from monitoring import locked
from prometheus_client.parser import text_string_to_metric_families
from servers import free_port, wait_until
from store_rows import finding as finding_row
from store_rows import instance as instance_row
from store_rows import record as record_row
from store_rows import session as session_row

from driftd.core.breakers.breaker import Breaker, State
from driftd.core.breakers.facts import Pass
from driftd.core.difference import Change
from driftd.core.findings import Severity, Verdict
from driftd.core.holds import Hold
from driftd.core.memory import Message, Pause, StoreUnavailable, Suppression
from driftd.core.replacement import State as Stage
from driftd.core.watching import Beat, Greeting, Watched, Why
from driftd.edges.gauges import fleet, scraped_within
from driftd.edges.gauges.collector import patience_s
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
    listener = Listener(f"127.0.0.1:{port}", metrics.registry, str, str, within=scraped_within)

    def scrape(waits: str = "60") -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        asked = urllib.request.Request(scrape.url, headers={"X-Prometheus-Scrape-Timeout-Seconds": waits})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            text = answer.read().decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {(s.name, tuple(sorted(s.labels.items()))): s.value for s in samples}

    scrape.url = f"http://127.0.0.1:{port}/metrics"
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
    assert seen["driftd_oldest_look_timestamp_seconds", (("group", "web"),)] == NOW.timestamp() - 3600
    assert seen["driftd_paused", (("group", "web"),)] == 1
    assert seen["driftd_build_info", (("version", "1.2.3"),)] == 1


def test_a_store_that_is_away_is_said_and_breaks_no_scrape(served, monkeypatch: pytest.MonkeyPatch):
    store, _, scrape = served

    def away():
        raise StoreUnavailable("the disk is gone")

    monkeypatch.setattr(store, "read", away)
    assert scrape()["driftd_store_up", ()] == 0


def test_a_store_that_is_locked_is_said_in_time_and_shown_again_when_it_is_free(served, tmp_path):
    """SQLite's own waiting is longer than a scrape's; and scrapes must not pile up behind one another."""
    store, metrics, scrape = served
    with store.write() as tx:
        tx.put_instance(replace(instance_row("i-1"), group="web"))
    metrics.job_ended("sweep", NOW, well=True)
    with locked(tmp_path / "driftd.db"):
        began = time.monotonic()
        for seen in (scrape("1"), scrape("1.5")):
            assert seen["driftd_store_up", ()] == 0
            assert not [name for name, _ in seen if name in {"driftd_instances", "driftd_journal_broken"}]
            assert seen["driftd_job_last_success_timestamp_seconds", (("name", "sweep"),)] == NOW.timestamp()
        assert time.monotonic() - began < 9, "two scrapes, and SQLite alone waits 10 s for one"
    wait_until(lambda: scrape()["driftd_store_up", ()] == 1, "the store")
    assert scrape()["driftd_instances", (("group", "web"), ("verdict", "clean"))] == 1


@pytest.mark.parametrize("waits", ["", "soon", "nan", "-1", "0", "1e9", "inf"])
def test_a_scrape_that_does_not_say_how_long_it_waits_is_answered(served, waits):
    _, _, scrape = served
    assert scrape(waits)["driftd_store_up", ()] == 1


@pytest.mark.parametrize(("waits", "takes"), [(60, 48), (10, 8), (5, 4), (1.5, 1), (0.2, 0.1)])
def test_a_store_has_all_the_time_of_a_scrape_but_what_the_answer_needs(waits, takes):
    assert patience_s(waits) == pytest.approx(takes)


def test_a_slow_store_is_not_taken_for_one_that_is_away(served, monkeypatch: pytest.MonkeyPatch):
    """As on a busy machine. It is waited for as long as the scrape waits, and not a fixed time."""
    store, _, scrape = served
    slow = store.read

    @contextmanager
    def reads():
        time.sleep(1.5)  # the slowness itself
        with slow() as tx:
            yield tx

    monkeypatch.setattr(store, "read", reads)
    assert scrape("0.5")["driftd_store_up", ()] == 0
    assert scrape()["driftd_store_up", ()] == 1


def test_a_driftd_that_is_too_busy_to_tell_all_of_it_fails_the_scrape_and_accuses_no_store(served, monkeypatch):
    _, _, scrape = served
    go_on, tells = threading.Event(), fleet.families

    def late(*given):
        assert go_on.wait(60)
        return tells(*given)

    monkeypatch.setattr(fleet, "families", late)
    with pytest.raises(urllib.error.HTTPError) as failed:
        scrape("0.5")
    assert (failed.value.code, failed.value.read()) == (
        503,
        b"driftd is too busy to tell all of its metrics within 0.5 s\n",
    )
    go_on.set()
    assert scrape()["driftd_store_up", ()] == 1


def test_what_is_shown_satisfies_promtool(served):
    """Of a real endpoint, with something of everything: names, units, help and types as the field has them."""
    store, metrics, scrape = served
    fill(store)
    metrics.expect([("sweep", timedelta(seconds=2))])
    metrics.watch(lambda: [Watched("i-1", "web", Greeting("dnotify", "sweep", 1, 0), Beat(1, 1, 1, 0), 1, 1, {})])
    metrics._looks.labels("web", "clean").inc()
    metrics._seconds.labels("web").observe(1)
    with urllib.request.urlopen(scrape.url, timeout=10) as answer:
        text = answer.read()
    assert b"driftd_stuck_replacements" in text
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def fill(store):
    """Something of everything in the store."""
    with store.write() as tx:
        tx.put_instance(replace(instance_row("i-1"), group="web", taint="bob"))
        tx.add_finding("i-1", finding_row("one"), NOW)
        tx.add_suppression(Suppression(0, "s", "web", "ann", "mine", NOW, NOW + timedelta(days=1)))
        tx.set_pause(Pause("web", "ann", "a fire", NOW))
        tx.put_breaker(Breaker("C1", "group:web", State.OPEN, "why", NOW, changed_at=NOW))
        tx.add_replacement(record_row("r1", group="web", slot="web/1"))
        tx.add_replacement(record_row("r2", group="web", slot="web/2", old_id="i-2", state=Stage.STUCK))
        tx.add_pass(Pass("web", NOW, 1, 1, 1, 1))
        tx.put_hold(Hold(0, "i-1", "web", "ann", "looking", NOW, NOW + timedelta(hours=1)))
        tx.say(Message("k", "code", Severity.HIGH, "text"), NOW)
        tx.journal("decision", "s", {}, NOW)


def test_no_group_name_grows_the_labels_but_those_that_are_configured(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/driftd.db")
    with store.write() as tx:
        for name in ("web", "gone"):
            tx.put_instance(replace(instance_row(f"i-{name}"), group=name))
            tx.add_finding(f"i-{name}", finding_row(name), NOW)
            tx.add_pass(Pass(name, NOW, 1, 1, 1, 1))
    metrics = Metrics(store, lambda: NOW, "1", groups={"web": timedelta(minutes=5), "new": timedelta(minutes=1)})
    found = {s.labels["group"] for family in metrics.registry.collect() for s in family.samples if "group" in s.labels}
    store.close()
    assert found == {"web", "new"}, "of a group that is not configured any more nobody looks, and no alert would end"


def test_of_breakers_so_many_are_shown_one_by_one_and_all_are_counted(served):
    store, _, scrape = served
    with store.write() as tx:
        for number in range(150):
            at = NOW + timedelta(seconds=number)
            tx.put_breaker(Breaker("C1", f"signature:{number:03}", State.OPEN, "why", at, changed_at=at))
    seen = scrape()
    shown = [labels for name, labels in seen if name == "driftd_breaker_state"]
    assert len(shown) == 100
    assert ("scope", "signature:149") in shown[-1]
    assert seen["driftd_breakers", (("rule", "C1"), ("state", "open"))] == 150
    assert seen["driftd_breakers", (("rule", "C2"), ("state", "open"))] == 0


# --- what alerts need -------------------------------------------------------------------------------------------------


def test_a_pass_that_saw_too_few_is_no_full_one(served):
    store, _, scrape = served
    web = (("group", "web"),)
    with store.write() as tx:
        tx.add_pass(Pass("web", NOW - timedelta(hours=1), 20, 20, 20, 19))
        tx.add_pass(Pass("web", NOW - timedelta(minutes=30), 20, 20, 20, 18))
        tx.add_pass(Pass("web", NOW, 0, unseen="the provider is away"))
    seen = scrape()
    assert seen["driftd_last_full_pass_timestamp_seconds", web] == NOW.timestamp() - 3600
    assert seen["driftd_last_pass_timestamp_seconds", web] == NOW.timestamp() - 1800
    assert (seen["driftd_pass_expected_instances", web], seen["driftd_pass_reported_instances", web]) == (20, 18)


def test_a_configured_group_that_no_pass_was_over_says_never(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/driftd.db")
    metrics = Metrics(store, lambda: NOW, "1", groups={"web": timedelta(minutes=5)})
    value = metrics.registry.get_sample_value
    assert value("driftd_last_full_pass_timestamp_seconds", {"group": "web"}) == 0
    assert value("driftd_look_interval_seconds", {"group": "web"}) == 300
    assert value("driftd_instances", {"group": "web", "verdict": "tampered"}) == 0
    store.close()


def test_who_was_never_looked_at_is_counted(served):
    store, _, scrape = served
    with store.write() as tx:
        tx.put_instance(replace(instance_row("i-1"), group="web", looked_at=None))
        tx.put_instance(replace(instance_row("i-2"), group="web"))
    assert scrape()["driftd_never_looked_instances", (("group", "web"),)] == 1


def test_lines_taken_out_of_a_log_are_tampering_until_somebody_accepts_it(served):
    """No later look sees them again, so that it is not a look that notes the acceptance."""
    store, _, scrape = served
    gone = replace(finding_row("s"), kind="session", change=Change.REMOVED, severity=Severity.CRITICAL)
    with store.write() as tx:
        tx.put_instance(replace(instance_row("i-1"), group="web"))
        tx.put_instance(replace(instance_row("i-2"), group="web", verdict=Verdict.TAMPERED))
        tx.add_finding("i-1", gone, NOW)
    web = (("group", "web"),)
    seen = scrape()
    assert seen["driftd_tampered_instances", web] == 2
    assert seen["driftd_suppressed_findings", (*web, ("severity", "critical"))] == 0
    with store.write() as tx:
        tx.add_suppression(Suppression(0, "s", "web", "ann", "mine", NOW, NOW + timedelta(hours=1)))
    seen = scrape()
    assert seen["driftd_tampered_instances", web] == 1
    assert seen["driftd_suppressed_findings", (*web, ("severity", "critical"))] == 1


def test_a_stuck_replacement_counts_until_a_later_one_succeeded(served):
    store, _, scrape = served
    with store.write() as tx:
        tx.put_instance(replace(instance_row("i-1"), group="web"))
        tx.add_replacement(record_row("r1", group="web", state=Stage.STUCK, created_at=NOW, entered_at=NOW))
    assert scrape()["driftd_stuck_replacements", (("group", "web"),)] == 1
    later = NOW + timedelta(hours=1)
    with store.write() as tx:
        tx.add_replacement(record_row("r2", group="web", state=Stage.SUCCEEDED, created_at=later, entered_at=later))
    assert scrape()["driftd_stuck_replacements", (("group", "web"),)] == 0


def test_the_oldest_message_is_one_that_could_have_been_sent(served):
    store, _, scrape = served
    assert ("driftd_oldest_message_timestamp_seconds", ()) not in scrape()
    with store.write() as tx:
        joining = Message("k1", "code", Severity.HIGH, "text", due=NOW + timedelta(minutes=5))
        tx.say(joining, NOW - timedelta(hours=2))
        tx.say(Message("k2", "code", Severity.HIGH, "text"), NOW - timedelta(hours=1))
        tx.mark_failed(2, NOW)
    seen = scrape()
    assert seen["driftd_messages_waiting", ()] == 2
    assert seen["driftd_messages_failing", ()] == 1
    assert seen["driftd_oldest_message_timestamp_seconds", ()] == NOW.timestamp() - 3600


def test_sessions_of_people_and_holds_are_counted_by_group(served):
    store, _, scrape = served
    with store.write() as tx:
        tx.put_instance(replace(instance_row("i-1"), group="web"))
        tx.add_session("i-1", session_row(live=True), own=False, now=NOW)
        tx.add_session("i-1", session_row(live=True, pid=8), own=True, now=NOW)
        tx.add_session("i-1", session_row(live=False, ended_at=NOW, pid=9), own=False, now=NOW)
        tx.add_session("i-1", session_row(live=True, door="service", pid=10), own=False, now=NOW)
        tx.put_hold(Hold(0, "i-1", "web", "ann", "looking", NOW, NOW + timedelta(hours=1)))
        tx.put_hold(Hold(0, "i-1", "web", "ann", "looked", NOW, NOW - timedelta(hours=1)))
    seen = scrape()
    assert seen["driftd_open_sessions", (("group", "web"),)] == 1
    assert seen["driftd_holds", (("group", "web"),)] == 1


def test_only_whose_lease_is_the_newest_leads(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/driftd.db")
    epoch = store.take_lease("one", 30, NOW)
    first = Metrics(store, lambda: NOW, "1", epoch=epoch)
    assert first.registry.get_sample_value("driftd_leader") == 1
    store.drop_lease("one", epoch)
    again = store.take_lease("two", 30, NOW)
    assert first.registry.get_sample_value("driftd_leader") == 0
    second = Metrics(store, lambda: NOW, "1", epoch=again)
    assert second.registry.get_sample_value("driftd_leader") == 1
    assert second.registry.get_sample_value("driftd_lease_epoch") == again
    store.close()


def test_jobs_tell_their_last_success_and_their_failures(served):
    _, metrics, scrape = served
    metrics.expect([("sweep", timedelta(seconds=2)), ("janitor", timedelta(minutes=5))])
    metrics.job_ended("sweep", NOW + timedelta(hours=1), well=True)
    metrics.job_ended("sweep", NOW + timedelta(hours=2), well=False)
    seen = scrape()
    sweep, janitor = (("name", "sweep"),), (("name", "janitor"),)
    assert seen["driftd_job_last_success_timestamp_seconds", sweep] == NOW.timestamp() + 3600
    assert seen["driftd_job_failures_total", sweep] == 1
    assert seen["driftd_job_failures_total", janitor] == 0, "else its first failure is no increase"
    assert seen["driftd_job_last_success_timestamp_seconds", janitor] == NOW.timestamp()
    assert seen["driftd_job_interval_seconds", janitor] == 300


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
    levels = [seen.get(("driftd_breaker_state", (("rule", one), ("scope", "group:web")))) for one in ("C1", "C2", "C4")]
    assert levels == [2, 1, None]


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
