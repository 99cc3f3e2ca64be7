"""Every shipped alert fires and resolves by what it is about: real servers, the shipped daemon, Debian's Prometheus and
Alertmanager, and a webhook at their end. Only the rules' lengths of time are divided, all of them by the same number.

Two things are stand-ins: the notifier that is away, since nothing else takes driftd's messages in this test; and who
locks the store, a process that holds the locks that SQLite itself would.
"""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
from daemons import run_daemon, wait_for_end
from days import inside, listeners, probes
from fleets import QUICK
from monitoring import Exporter, alertmanager, locked, prometheus, receiver, shortened
from ruamel.yaml import YAML
from servers import wait_until

from driftd.core.errors import Unavailable
from driftd.core.ports import LaunchRequest
from driftd.core.replacement import State
from driftd.edges import logs

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
RULES = (ROOT / "alerts" / "driftd.rules.yml").read_text()
ALERTS = {rule["alert"] for rule in YAML(typ="safe").load(RULES)["groups"][0]["rules"]}
TEMPLATE = (
    QUICK.replace("every: 1s", "every: 2s")
    .replace("observe_first: 0s ", "observe_first: 0s\n  reported_within: 90s ")
    # A look that hangs is given up after five minutes elsewhere, and until then its server is what it was before.
    .replace("  key: keys/driftd\n", "  key: keys/driftd\n  connect_timeout: 3s\n  look_timeout: 10s\n")
    .replace("park: 500ms", "park: 3s")
    .replace("tick: 100ms", "tick: 200ms\n  janitor: 5s")
)
OF_DRIFTD = {
    "DriftdHeartbeat",
    "DriftdBlind",
    "DriftdStoreDown",
    "DriftdJobFailing",
    "DriftdJournalBroken",
    "DriftdDown",
    "DriftdStoreDoubted",
}
OF_THE_FLEET = {
    "DriftdDriftCritical",
    "DriftdDriftHigh",
    "DriftdTampered",
    "DriftdMessagesNotDelivered",
    "DriftdReplacementStuck",
    "DriftdBreakerOpen",
    "DriftdInstancesUnknown",
}
# What may be so while a daemon begins on a busy machine, and everything is 150 times as fast.
BEGINNING = {"DriftdHeartbeat", "DriftdDown", "DriftdBlind", "DriftdBreakerOpen", "DriftdInstancesUnknown"} | {
    "DriftdStoreDown",
    "DriftdJobFailing",
}
FASTER = 150  # 15 minutes are 6 seconds
LIMIT_S = 90.0


class Watched:
    """A day of a daemon, and what the webhook was told of it."""

    def __init__(self, day, told, url: str) -> None:
        self.day, self.told, self.url = day, told, url
        self.home = day.fleet.stage.config.parent
        self.away = self.home / "notifier-away"
        self.store = self.home / "driftd.db"
        self.tried: set[str] = set()

    def start(self) -> None:
        """The daemon, with a notifier that is away while a file is there."""
        send, away = logs.LogNotifier.send, self.away

        def sending(notifier, message):
            if away.exists():
                raise Unavailable("the notifier of this test is away")
            send(notifier, message)

        def prepare():
            logs.LogNotifier.send = sending

        self.day.pid = run_daemon(self.day.fleet.stage.config, prepare)

    def fires(self, *alerts: str) -> None:
        for alert in alerts:
            self.waits(lambda alert=alert: self.told.fires(alert), f"{alert}, firing,")

    def resolves(self, *alerts: str) -> None:
        for alert in alerts:
            self.waits(lambda alert=alert: self.told.resolved(alert), f"{alert}, resolved,")
            self.tried.add(alert)

    def waits(self, true, what: str) -> None:
        """Until it is true; where it is not, a tale of what was so meanwhile."""
        began = time.time()
        try:
            wait_until(true, what, LIMIT_S)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tale(began)}") from None

    def tale(self, since: float) -> str:
        """Who was what and whether the store was up, as scraped; what the webhook was told; the end of the log."""
        told = [f"{one.at - since:+.1f} s {one.status} {one.labels['alertname']}" for one in self.told.told[-40:]]
        seen = []
        for query in ('driftd_instances{verdict="unknown"}[2m]', "driftd_store_up[2m]", 'up{job="driftd"}[2m]'):
            for one in self.ask(query):
                values = " ".join(f"{at - since:+.0f}:{value}" for at, value in one["values"])
                seen.append(f"{one['metric'].get('__name__')}: {values}")
        return "\n".join([*seen, *told, self.day.fleet.tale()])

    def quiet(self, *alerts: str) -> None:
        assert not [one for one in self.told.told if one.status == "firing" and one.labels["alertname"] in alerts]

    def makes_sense(self) -> None:
        """Of what was told, no place for a name was left empty."""
        for one in self.told.told:
            assert not re.search(r"<no value>|%!|\{\{", " ".join(one.annotations.values())), one

    def ask(self, query: str) -> list:
        words = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{words}", timeout=10) as answer:
            return json.load(answer)["data"]["result"]

    def root(self, slot: str) -> Path:
        return inside(self.day.fleet, self.day.fleet.instances()[slot])

    def command(self, *words: str) -> None:
        done = self.day.command(*words)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def watched(day_of, tmp_path):
    day = day_of({}, start=False)
    metrics = int(day.fleet.stage._metrics.rpartition(":")[2])
    with ExitStack() as stack:
        told = stack.enter_context(receiver())
        manager = stack.enter_context(alertmanager(tmp_path / "am", webhook=told.url))
        rules = shortened(RULES, FASTER)
        url = stack.enter_context(
            prometheus(
                tmp_path / "prometheus",
                Exporter(port=metrics),
                rules=rules,
                alertmanager=manager.url,
                job="driftd",
                beat="2s",  # of which the store has one and a half (docs/metrics.md)
            )
        )
        made = Watched(day, told, url)
        made.start()
        yield made


# --- what is wrong with the fleet, and what is wrong with driftd ------------------------------------------------------


def test_no_alert_is_left_out():
    assert OF_THE_FLEET | OF_DRIFTD == ALERTS
    assert not OF_THE_FLEET & OF_DRIFTD


@pytest.mark.soak  # a minute, on a busy machine a hundred seconds, is more than the suite has left
def test_alerts_about_the_fleet_fire_and_resolve_by_what_they_are_about(watched):
    watched.fires("DriftdHeartbeat")
    watched.quiet(*ALERTS - BEGINNING)
    all_goes_wrong(watched)
    mended(watched)
    watched.makes_sense()
    assert watched.tried == OF_THE_FLEET


@pytest.mark.soak
def test_alerts_about_driftd_fire_and_resolve_by_what_they_are_about(watched):
    watched.fires("DriftdHeartbeat")
    for step in (blind, store_locked, journal_broken, killed_and_put_back):
        step(watched)
    watched.makes_sense()
    assert watched.tried == OF_DRIFTD


def all_goes_wrong(watched) -> None:
    """Messages that nobody takes, drift, a replacement with no way on or back, and an sshd that hangs in the middle of
    a look: connections are taken there, and nobody answers.
    """
    day = watched.day
    rid = day.replace("web/2")
    day.wait(lambda: day.record(rid).launched)
    root = watched.root("web/1")
    (root / "etc/pam.d/eve").write_text("auth sufficient pam_permit.so\n")
    (root / "etc/cron.d/eve").write_text("* * * * * root /bin/true\n")
    with stopped(looked_at(watched.root("web/3"))):
        both_end(watched, rid)
        watched.away.touch()
        (root / "var/log/auth.log").write_bytes(b"")  # only now: of the seconds after a boot nothing is said
        watched.fires("DriftdDriftCritical", "DriftdDriftHigh", "DriftdTampered", "DriftdMessagesNotDelivered")
        watched.fires("DriftdReplacementStuck", "DriftdBreakerOpen", "DriftdInstancesUnknown")
        every_query_of_the_dashboard_has_an_answer(watched)
    watched.resolves("DriftdInstancesUnknown")


def blind(watched) -> None:
    """What the provider keeps of one instance is damaged, and so it can list none."""
    damaged = watched.home / "fleet" / "instances" / "damaged"
    damaged.mkdir()
    (damaged / "meta.json").write_text("{")
    try:
        watched.fires("DriftdBlind")
        watched.resolves("DriftdHeartbeat")
    finally:
        shutil.rmtree(damaged)
    watched.resolves("DriftdBlind")
    watched.fires("DriftdHeartbeat")


def both_end(watched, rid: str) -> None:
    """Somebody ends the old one and the newcomer while driftd may change nothing: there is no way on, nor back."""
    day, provider = watched.day, watched.day.house.provider("web")
    record = day.wait(lambda: (found := day.record(rid)).stop_seen and found)
    assert record.state is State.PARKING
    (watched.home / "pause").touch()
    day.wait(lambda: "stopped while" in day.record(rid).note)
    for name in (record.new_id, record.old_id):
        provider.compute.terminate(name)
    (watched.home / "pause").unlink()
    day.until(rid, State.STUCK)


def looked_at(root: Path) -> list[int]:
    """An instance's sshd in the middle of a look: its listener, and whoever serves the look."""
    wait_until(lambda: probes(root), "a look", 60)
    return listeners(root)


@contextmanager
def stopped(pids: list[int]):
    for pid in pids:
        with suppress(ProcessLookupError):  # a look may end meanwhile
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def every_query_of_the_dashboard_has_an_answer(watched) -> None:
    panels = json.loads((ROOT / "grafana" / "driftd.json").read_text())["panels"]
    asked = [one["expr"] for panel in panels for one in panel.get("targets", ())]
    assert len(asked) > 30
    for query in asked:
        plain = query.replace("$job", "driftd").replace("$group", ".*").replace("$__rate_interval", "10s")
        assert watched.ask(plain), query
    metrics = urllib.request.urlopen(f"http://{watched.day.fleet.stage._metrics}/metrics", timeout=10).read()
    done = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def mended(watched) -> None:
    day, provider = watched.day, watched.day.house.provider("web")
    watched.away.unlink()
    root = watched.root("web/1")
    (root / "etc/pam.d/eve").unlink()
    (root / "etc/cron.d/eve").unlink()
    victim = day.fleet.instances()["web/1"].id
    image = day.fleet.instances()["web/1"].image
    made = provider.compute.launch(LaunchRequest("web", "web/2", image, "by hand", {"driftd:slot": "web/2"}))
    provider.traffic.register("web", made)
    day.wait(lambda: made.id in day.rows() and day.rows()[made.id].looked_at)
    rid = day.replace("web/2")
    drift = ("DriftdDriftCritical", "DriftdDriftHigh", "DriftdTampered")
    accepted: set[str] = set()

    def settled() -> bool:
        """Of the log that was emptied: what was there does not come back. A look may end meanwhile and see less."""
        for signature in bad_findings(store, victim) - accepted:
            words = ("accept", signature, "--for", "1h", "--reason", "the log was emptied by us")
            if day.command(*words).returncode == 0:
                accepted.add(signature)
        return all(watched.told.resolved(one) for one in drift)

    with day.house.store() as store:
        watched.waits(settled, f"{drift}, resolved,")
    watched.resolves(*drift, "DriftdMessagesNotDelivered")
    day.succeeds(rid)
    watched.resolves("DriftdReplacementStuck", "DriftdBreakerOpen")


def bad_findings(store, victim: str) -> set[str]:
    with store.read() as tx:
        rows = [row.finding for row in tx.open_findings(victim)]
    return {one.signature for one in rows if one.subject not in {b"/etc/pam.d/eve", b"/etc/cron.d/eve"}}


def store_locked(watched) -> None:
    """Another process has the store to itself: nothing is read, and no job gets on."""
    with locked(watched.store):
        watched.fires("DriftdStoreDown", "DriftdJobFailing")
    watched.resolves("DriftdStoreDown", "DriftdJobFailing")


def journal_broken(watched) -> None:
    """Somebody who can write the file cuts lines off its end that were verified."""
    with watched.day.house.store() as store, store.read() as tx:
        verified = tx.chain().count
    with closing(sqlite3.connect(watched.store, timeout=20)) as raw:
        raw.execute("DROP TRIGGER IF EXISTS journal_no_delete")
        raw.execute("DELETE FROM journal WHERE seq >= ?", (verified,))
        raw.commit()
    watched.fires("DriftdJournalBroken")
    watched.command("journal", "accept-break", "--reason", "it was this test")
    watched.resolves("DriftdJournalBroken")


def killed_and_put_back(watched) -> None:
    day = watched.day
    watched.command("store", "backup", "-o", str(watched.home / "backup.db"))
    pid, day.pid = day.pid, 0
    os.kill(pid, signal.SIGKILL)
    assert wait_for_end(pid) == -signal.SIGKILL
    watched.fires("DriftdDown")
    watched.command("store", "restore", str(watched.home / "backup.db"))
    watched.start()
    watched.resolves("DriftdDown")
    watched.fires("DriftdStoreDoubted")
    watched.command("store", "accept", "--reason", "compared with the provider's list")
    watched.resolves("DriftdStoreDoubted")
